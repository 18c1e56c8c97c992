"""The conversion to ONNX, on a network of a few kilobytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding
from edgecli.errors import EngineError
from edgecli.models.catalog import Catalog
from edgecli.models.onnx_export import _import_path, export
from edgecli.models.schema import PullCancelled
from edgecli.models.store import Store


def test_an_export_that_nobody_wants_any_more_ends(tmp_path: Path) -> None:
    calls = 0

    def gone() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise PullCancelled

    with pytest.raises(PullCancelled):
        export(tmp_path, tmp_path / "onnx", gone)
    assert list((tmp_path / "onnx").iterdir()) == []
    assert not [child for child in psutil.Process().children() if str(tmp_path) in child.cmdline()]


def test_the_worker_finds_this_package() -> None:
    assert (Path(_import_path()[0]) / "edgecli" / "models" / "onnx_export_worker.py").is_file()


@pytest.fixture(scope="module")
def embedding_folder(edgecli_home: Path) -> Path:
    return Store(edgecli_home / "models").get(Catalog.load().resolve("@edge/all-minilm-l6-v2")).path


@pytest.fixture(scope="module")
def small_model(embedding_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights and the starter model's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small") / "model"
    source = next(embedding_folder.rglob("modules.json")).parent
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "onnx"))
    torch.manual_seed(1)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder)
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text('{"word_embedding_dimension": 32, "pooling_mode_cls_token": true}', encoding="utf-8")
    return folder


@pytest.mark.models
@pytest.mark.slow
def test_the_graph_runs_on_other_shapes_than_it_was_traced_with(small_model: Path) -> None:
    export(small_model, small_model / "onnx" / "model.onnx")
    assert sorted(path.name for path in (small_model / "onnx").iterdir()) == ["model.onnx", "model.onnx.data"]
    onnx, reference = OnnxEmbedding(small_model), SentenceTransformersEmbedding(small_model, device="cpu")
    texts = ["a", "退款需要五个工作日。" * 3, "many words " * 100, " . ", "x y z"] * 5
    assert onnx.pooling == "cls"
    assert onnx.dimensions == 32
    assert np.allclose(onnx.embed(texts), reference.embed(texts), atol=1e-4)


@pytest.mark.models
@pytest.mark.slow
def test_a_failure_says_why_and_leaves_nothing(small_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_model, tmp_path / "model", ignore=shutil.ignore_patterns("onnx")))
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EngineError, match="failed") as caught:
        export(folder, folder / "onnx")
    assert caught.value.code == "export_failed"
    assert "safetensors" in caught.value.details["log"].lower()
    assert list((folder / "onnx").iterdir()) == []
