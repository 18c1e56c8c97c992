"""Write the ONNX graph of an embedding model, once, when it is pulled.

The work happens in a process of its own, so that torch's seconds and gigabytes end with it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edgecli.errors import EngineError

EXPORT_SECONDS = 1800
_NEEDED = ("torch", "transformers", "onnx", "onnxruntime")


def export(folder: Path, into: Path) -> None:
    """Export the transformer of the sentence-transformers model below `folder` to `into`.

    `into` is the file to write (`…/onnx/model.onnx`) or its folder. The weights lie beside it in
    `model.onnx.data`, which ONNX Runtime maps into memory: a session then starts in a fraction of the time.
    The graph is optimised and compared with torch before it takes its name; a failure leaves nothing behind.
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
        _run_worker(folder, Path(workplace) / target.name)
        made = sorted(Path(workplace).glob("*"), key=lambda file: file.name == target.name)
        for file in made:  # the graph comes last: where it exists, its weights do
            if file.is_file():
                file.replace(target.parent / file.name)


def _import_path() -> list[str]:
    package = Path(__file__).parents[3]
    inherited = os.environ.get("PYTHONPATH")
    return [str(package), *([inherited] if inherited else [])]


def _run_worker(folder: Path, target: Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(_import_path())}
    # -P: a `torch.py` in the user's directory must not stand in for the library.
    command = [sys.executable, "-P", "-m", "edgecli.models.onnx_export_worker", str(folder), str(target)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"Converting the model in `{folder}` to ONNX took longer than {EXPORT_SECONDS} s.",
            code="export_failed",
        ) from error
    if done.returncode != 0:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        raise EngineError(
            f"Converting the model in `{folder}` to ONNX failed: {reason.strip()}",
            hint='`[edgecli.embeddings] engine = "sentence_transformers"` runs it without a conversion.',
            code="export_failed",
            details={"log": done.stderr[-4000:]},
        )
