from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecli.errors import EngineError
from edgecli.models import convert as module
from edgecli.models.convert import needs_conversion
from edgecli.models.pull import pull
from edgecli.models.schema import ModelFile, ModelSpec
from edgecli.models.store import Store
from tests.models.conftest import Steps, files_below, model


def embedding(folder: Path, **files: str) -> ModelSpec:
    """Return an embedding model of these files; `__` in a name is a folder."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return model(ModelFile(f"file:{folder}/", ""), engine="embedding")


def modules(*kinds: str) -> str:
    return json.dumps([{"type": f"sentence_transformers.models.{kind}", "path": kind} for kind in kinds])


PLAIN = modules("Transformer", "Pooling", "Normalize")


def test_a_model_that_brings_its_graph_is_left_alone(store: Store, tmp_path: Path, steps: Steps) -> None:
    spec = embedding(tmp_path / "m", **{"config.json": "{}", "modules.json": PLAIN, "onnx__model.onnx": "graph"})
    pull(spec, store, offline=True, progress=steps)
    assert {"convert", "skip"}.isdisjoint(steps.phases)


def test_a_model_of_another_engine_is_left_alone(tmp_path: Path) -> None:
    assert not needs_conversion(model(), tmp_path)


def test_modules_that_onnx_would_leave_out_are_named_and_the_model_is_installed(
    store: Store, tmp_path: Path, steps: Steps
) -> None:
    spec = embedding(
        tmp_path / "m", **{"config.json": "{}", "modules.json": modules("Transformer", "Pooling", "Dense")}
    )
    pull(spec, store, offline=True, progress=steps)
    (skipped,) = [step for step in steps if step.phase == "skip"]
    assert "Dense" in skipped.text
    assert "sentence-transformers" in skipped.text
    assert skipped.to_dict()["text"] == skipped.text
    second = Steps()
    pull(spec, store, offline=True, progress=second)
    assert second.phases == ["present"]


def test_without_torch_it_says_so_and_a_later_pull_with_torch_converts(
    store: Store, tmp_path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = embedding(tmp_path / "m", **{"config.json": "{}", "modules.json": PLAIN})
    present = importlib.util.find_spec
    with monkeypatch.context() as without:
        without.setattr(module.importlib.util, "find_spec", lambda name: None if name == "torch" else present(name))
        pull(spec, store, offline=True, progress=steps)
    assert "torch is not installed" in next(step.text for step in steps if step.phase == "skip")

    def write(folder: Path, target: Path, still_wanted: Callable[[], None]) -> None:
        target.parent.mkdir()
        target.write_bytes(b"graph")
        target.with_name("model.onnx.data").write_bytes(b"weights")

    monkeypatch.setattr(module, "_export", write)
    again = Steps()
    installed = pull(spec, store, offline=True, progress=again)
    assert again.phases == ["check", "present", "convert", "done"]
    assert {"onnx/model.onnx", "onnx/model.onnx.data"} <= installed.files.keys()
    assert store.verify(spec) == []


def test_a_conversion_that_fails_leaves_a_model_that_can_be_used(
    store: Store, tmp_path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, target: Path, still_wanted: Callable[[], None]) -> None:
        target.parent.mkdir()
        target.write_bytes(b"half")
        raise EngineError("the vectors differ.")

    monkeypatch.setattr(module, "_export", fail)
    spec = embedding(tmp_path / "m", **{"config.json": "{}", "modules.json": PLAIN})
    installed = pull(spec, store, offline=True, progress=steps)
    assert set(files_below(installed.path)) == {"config.json", "modules.json"}
    assert "the vectors differ." in next(step.text for step in steps if step.phase == "skip")


@pytest.mark.models
def test_the_starter_model_got_its_graph(edgecli_home: Path) -> None:
    from edgecli.models.catalog import Catalog

    store = Store(edgecli_home / "models")
    installed = store.get(Catalog.load().resolve("@edge/all-minilm-l6-v2"))
    assert "onnx/model.onnx" in installed.files
