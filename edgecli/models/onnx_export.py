"""Write the ONNX graph of an embedding model, once, when it is pulled.

The work happens in a process of its own, so that torch's seconds and gigabytes end with it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgecli.errors import EngineError

EXPORT_SECONDS = 1800
POLL_SECONDS = 0.2
_NEEDED = ("torch", "transformers", "onnx", "onnxruntime")


def export(folder: Path, into: Path, still_wanted: Callable[[], None] = lambda: None) -> None:
    """Export the transformer of the sentence-transformers model below `folder` to `into`.

    `into` is the file to write (`…/onnx/model.onnx`) or its folder. The weights lie beside it in
    `model.onnx.data`, which ONNX Runtime maps into memory: a session then starts in a fraction of the time.
    The graph is optimised and compared with torch before it takes its name; a failure leaves nothing behind.
    `still_wanted` is called again and again while that goes on; what it raises ends the export.
    Raises EngineError if a library is missing, the export fails, or the vectors differ.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineError(
            f"Converting the model in `{folder}` to ONNX needs missing packages: {', '.join(missing)}.",
            hint="Install them for the conversion: `pip install sentence-transformers onnx onnxruntime`.",
            code="library_missing",
        )
    target = into if into.suffix == ".onnx" else into / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as workplace:
        _run_worker(folder, Path(workplace) / target.name, still_wanted)
        made = sorted(Path(workplace).glob("*"), key=lambda file: file.name == target.name)
        for file in made:  # the graph comes last: where it exists, its weights do
            if file.is_file():
                file.replace(target.parent / file.name)


def _import_path() -> list[str]:
    package = Path(__file__).parents[2]
    inherited = os.environ.get("PYTHONPATH")
    return [str(package), *([inherited] if inherited else [])]


def _run_worker(folder: Path, target: Path, still_wanted: Callable[[], None]) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(_import_path())}
    # -P: a `torch.py` in the user's directory must not stand in for the library.
    command = [sys.executable, "-P", "-m", "edgecli.models.onnx_export_worker", str(folder), str(target)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            code = _wait(process, folder, still_wanted)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if code != 0:
        reason = next((line for line in reversed(said.splitlines()) if line.strip()), "no message")
        raise EngineError(
            f"Converting the model in `{folder}` to ONNX failed: {reason.strip()}",
            hint='`[edgecli.embeddings] engine = "sentence_transformers"` runs it without a conversion.',
            code="export_failed",
            details={"log": said[-4000:]},
        )


def _wait(process: subprocess.Popen[bytes], folder: Path, still_wanted: Callable[[], None]) -> int:
    deadline = time.monotonic() + EXPORT_SECONDS
    while time.monotonic() < deadline:
        still_wanted()
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    raise EngineError(
        f"Converting the model in `{folder}` to ONNX took longer than {EXPORT_SECONDS} s.",
        hint='`[edgecli.embeddings] engine = "sentence_transformers"` runs it without a conversion.',
        code="export_failed",
    )
