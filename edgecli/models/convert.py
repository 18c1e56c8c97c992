"""After the download: write the ONNX graph of an embedding model that comes without one."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from edgecli.errors import EngineError
from edgecli.models.durable import digest, sync
from edgecli.models.schema import ModelSpec

GRAPHS = ("onnx/model.onnx", "model.onnx")
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_ONNX_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})


class Say(Protocol):
    """Report a phase of a pull."""

    def __call__(self, phase: str, file: str = "", done: int = 0, total: int | None = None, text: str = "") -> None: ...


def needs_conversion(spec: ModelSpec, folder: Path) -> bool:
    """Tell whether a graph is missing that could be written on this machine."""
    return _lacks_graph(spec, folder) and not _obstacle(folder)


def convert(spec: ModelSpec, folder: Path, say: Say) -> dict[str, dict[str, Any]]:
    """Write `onnx/model.onnx` below `folder` if the model needs it; return the new files' hashes and sizes.

    Where that is not possible the model stays usable through sentence-transformers; a `skip` step says so.
    """
    if not _lacks_graph(spec, folder):
        return {}
    obstacle = _obstacle(folder)
    if obstacle:
        say(
            "skip",
            GRAPHS[0],
            text=f"No ONNX graph: {obstacle}. Only the sentence-transformers engine can run it.",
        )
        return {}
    say("convert", GRAPHS[0])
    target = folder / GRAPHS[0]
    try:
        _export(folder, target, lambda: say("convert", GRAPHS[0]))
    except EngineError as error:
        shutil.rmtree(target.parent, ignore_errors=True)
        text = f"No ONNX graph: {error.message} Only the sentence-transformers engine can run the model."
        say("skip", GRAPHS[0], text=text)
        return {}
    made = sorted(path for path in target.parent.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _entry(path) for path in made}


def _lacks_graph(spec: ModelSpec, folder: Path) -> bool:
    return spec.engine == "embedding" and not any((folder / graph).exists() for graph in GRAPHS)


def _obstacle(folder: Path) -> str | None:
    """Return why no graph can be written, or None."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    modules = folder / "modules.json"
    if not modules.exists():
        return None if (folder / "config.json").exists() else "the files are no transformer"
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1] for module in json.loads(modules.read_text("utf-8"))}
    others = sorted(kinds - _ONNX_MODULES)
    return f"it has modules that ONNX leaves out ({', '.join(others)})" if others else None


def _export(folder: Path, target: Path, still_wanted: Callable[[], None]) -> None:
    from edgecli.models.onnx_export import export

    export(folder, target, still_wanted)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sync(file.fileno())
    return {"sha256": digest(path), "size": path.stat().st_size}
