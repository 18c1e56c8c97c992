"""What the files of an embedding model say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgecli.ai.engines.pooling import choose_pooling
from edgecli.errors import EngineError, UsageError
from edgecli.models.sentence_files import find_onnx, read_sentence_files


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


CONFIG = {"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512, "pad_token_id": 1}
TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def test_a_model_below_a_folder_of_the_store(tmp_path: Path) -> None:
    files = read_sentence_files(
        write(
            tmp_path,
            {
                "model/config.json": CONFIG,
                "model/modules.json": [TRANSFORMER, POOLING, NORMALIZE],
                "model/1_Pooling/config.json": {
                    "word_embedding_dimension": 384,
                    "pooling_mode_cls_token": True,
                    "pooling_mode_mean_tokens": False,
                },
                "model/sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": True},
            },
        )
    )
    assert files.folder == tmp_path / "model"
    assert (files.dimensions, files.max_sequence, files.pad_id) == (384, 256, 1)
    assert (files.pooling, files.normalise, files.lowercase) == ("cls", True, True)
    assert files.other_modules == ()


def test_the_newer_form_of_pooling_and_other_modules(tmp_path: Path) -> None:
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    files = read_sentence_files(
        write(
            tmp_path,
            {
                "config.json": CONFIG,
                "modules.json": [TRANSFORMER, POOLING, dense],
                "1_Pooling/config.json": {"embedding_dimension": 384, "pooling_mode": "lasttoken"},
            },
        )
    )
    assert (files.pooling, files.normalise, files.other_modules) == ("lasttoken", False, ("Dense",))
    assert files.max_sequence == 512


def test_a_tokenizer_without_a_limit_does_not_set_one(tmp_path: Path) -> None:
    unlimited = {"model_max_length": 1000000000000000019884624838656}
    files = read_sentence_files(write(tmp_path, {"config.json": CONFIG, "tokenizer_config.json": unlimited}))
    assert files.max_sequence == 512
    assert files.pooling is None


def test_two_poolings_at_once_are_refused_by_name(tmp_path: Path) -> None:
    both = {"pooling_mode_cls_token": True, "pooling_mode_weightedmean_tokens": True}
    write(tmp_path, {"config.json": CONFIG, "modules.json": [POOLING], "1_Pooling/config.json": both})
    with pytest.raises(EngineError, match="weightedmean"):
        read_sentence_files(tmp_path)


@pytest.mark.parametrize(("content", "code"), [("{", "model_files_damaged"), (None, "model_files_missing")])
def test_damaged_and_missing_files(tmp_path: Path, content: str | None, code: str) -> None:
    if content is not None:
        write(tmp_path, {"config.json": content, "tokenizer.json": "{}"})
    with pytest.raises(EngineError) as caught:
        read_sentence_files(tmp_path)
    assert caught.value.code == code


def test_the_graph_nearest_to_the_top(tmp_path: Path) -> None:
    assert find_onnx(tmp_path) is None
    write(tmp_path, {"a/b/onnx/model.onnx": "", "z/onnx/model.onnx": ""})
    assert find_onnx(tmp_path) == tmp_path / "z/onnx/model.onnx"


def test_who_decides_on_pooling(tmp_path: Path) -> None:
    bare = read_sentence_files(write(tmp_path, {"config.json": CONFIG}))
    assert choose_pooling(None, bare, None) == "mean"
    assert choose_pooling(None, bare, "cls") == "cls"
    assert choose_pooling("max", bare, "cls") == "max"
    with pytest.raises(UsageError, match="'median'"):
        choose_pooling("median", bare, None)
