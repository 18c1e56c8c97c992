"""The error for a model file that cannot be used."""

from __future__ import annotations

from pathlib import Path

from edgecli.errors import EngineError


def broken(file: Path, reason: str) -> EngineError:
    """Return the error, code `model_load_failed`; `reason` follows a colon and has no full stop."""
    return EngineError(
        f"The model file `{file}` cannot be loaded: {reason}.",
        hint="`edgecli models verify` tells whether it is as it was pulled. If it is, llama.cpp cannot use this file: "
        "choose another; if not, `edgecli models pull` repairs it.",
        code="model_load_failed",
    )
