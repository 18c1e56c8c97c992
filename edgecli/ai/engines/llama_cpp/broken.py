"""The error for a model file that cannot be used."""

from __future__ import annotations

from pathlib import Path

from edgecli.errors import EngineError


def broken(file: Path, reason: str) -> EngineError:
    """Return the error, code `model_load_failed`; `reason` follows a colon and has no full stop."""
    return EngineError(
        f"The model file `{file}` cannot be loaded: {reason}.",
        hint="`edgecli models verify` checks it; remove and pull the model again if it is damaged.",
        code="model_load_failed",
    )
