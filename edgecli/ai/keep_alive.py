"""How long a model stays loaded, as clients say it."""

from __future__ import annotations

import re
from typing import Any

from edgecli.ai.tasks.validation import bad_input

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST = 1_000_000_000
"""Seconds; 31 years."""
_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)\s*([smh]?)")


def read_keep_alive(value: Any) -> float | None:
    """Return seconds from a number or a text as `5m`, `90s`, `1h`; below 0 is for ever; None says nothing.

    Raises UsageError, cf_code 5006, for anything else.
    """
    if value is None:
        return None
    found = _DURATION.fullmatch(str(value).strip()) if isinstance(value, (str, int, float)) else None
    seconds = float(found.group(1)) * _UNITS[found.group(2)] if found and not isinstance(value, bool) else None
    if seconds is not None and seconds > _LONGEST:
        raise bad_input(
            f"'/keep_alive' is {str(value)[:40]!r}, which is more than {_LONGEST} seconds", hint="-1 keeps it for ever."
        )
    if seconds is None:
        raise bad_input(
            f"'/keep_alive' is {str(value)[:40]!r}, which is no duration",
            hint="Send seconds, or a text as `5m`; 0 unloads the model at once, -1 keeps it for ever.",
        )
    return seconds if seconds >= 0 else -1.0
