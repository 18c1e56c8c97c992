"""The ONNX engine on the starter model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.errors import EngineError

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def engine(embedding_folder: Path) -> Iterator[OnnxEmbedding]:
    engine = OnnxEmbedding(embedding_folder)
    yield engine
    engine.close()


def test_what_it_says_of_itself(engine: OnnxEmbedding) -> None:
    assert (engine.name, engine.device) == ("onnx", "cpu")
    assert (engine.dimensions, engine.max_tokens, engine.pooling) == (384, 254, "mean")


def test_meaning_is_near_to_meaning(engine: OnnxEmbedding) -> None:
    question, answer, other = engine.embed(
        ["How do I get my money back?", "Refunds are paid within five days.", "The cat sleeps on the roof."]
    )
    assert question @ answer > question @ other + 0.1


def test_a_text_has_the_same_vector_in_any_company(engine: OnnxEmbedding) -> None:
    texts = ["short", "退款需要五个工作日。", "word " * 300, "", " . ", "🙂"] * 8
    together = engine.embed(texts)
    alone = np.vstack([engine.embed([text]) for text in texts[:6]])
    assert np.allclose(together[:6], alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_vectors(engine: OnnxEmbedding) -> None:
    assert engine.embed([]).shape == (0, 384)


def test_what_lies_beyond_the_limit_does_not_count(engine: OnnxEmbedding) -> None:
    kept = "token " * engine.max_tokens
    first, second = engine.embed([kept + "and more", kept + "or something else"])
    assert np.array_equal(first, second)
    assert engine.count_tokens([kept + "and more"]) == [engine.max_tokens + 2]


def test_counts_and_offsets_agree(engine: OnnxEmbedding) -> None:
    texts = ["Hello wörld", "退款 needs 5 days 🙂", "", "a\u0000b \ud800"]
    for text, count in zip(texts, engine.count_tokens(texts), strict=True):
        spans = engine.offsets(text)
        assert len(spans) == count
        assert all(0 <= start < end <= len(text) for start, end in spans)
    assert [("退款 ok")[start:end] for start, end in engine.offsets("退款 ok")] == ["退", "款", "ok"]


def test_torch_is_never_imported(embedding_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edgecli.ai.engines.onnx import OnnxEmbedding\n"
        f"OnnxEmbedding(Path({str(embedding_folder)!r})).embed(['退款'])\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'scipy', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def copied(embedding_folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(embedding_folder, target))


def test_a_model_without_a_graph(embedding_folder: Path, tmp_path: Path) -> None:
    folder = copied(embedding_folder, tmp_path / "model")
    for graph in folder.rglob("*.onnx"):
        graph.unlink()
    with pytest.raises(EngineError) as caught:
        OnnxEmbedding(folder)
    assert caught.value.code == "onnx_missing"


def test_a_damaged_graph(embedding_folder: Path, tmp_path: Path) -> None:
    folder = copied(embedding_folder, tmp_path / "model")
    graph = next(folder.rglob("model.onnx"))
    content = graph.read_bytes()
    graph.unlink()
    graph.write_bytes(content[: len(content) // 2])
    with pytest.raises(EngineError, match="cannot load") as caught:
        OnnxEmbedding(folder)
    assert caught.value.code == "model_files_damaged"
