"""Ask one of the questions of probe.py in a process of its own, with a time limit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROBE = Path(__file__).with_name("probe.py")
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process said, or why it said nothing."""

    value: dict[str, Any] = field(default_factory=dict[str, Any])
    failure: str | None = None
    timed_out: bool = False
    """Nothing is known: the process hung, or the machine is very busy."""


def ask(question: str, *arguments: str, timeout: float = TIMEOUT_SECONDS, python: str = sys.executable) -> Answer:
    """Run one question and return its answer; a crash, a hang or an exception of it is a `failure`."""
    # -P: a file of the user's project must not be taken for the library.
    command = [python, "-P", str(PROBE), question, *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(failure=f"gave no answer within {timeout:.0f} seconds", timed_out=True)
    except OSError as error:
        return Answer(failure=f"could not start `{python}`: {error}")
    if done.returncode < 0:
        return Answer(failure=f"died of {_signal_name(-done.returncode)}")
    if done.returncode > 0:
        return Answer(failure=_last_line(done.stderr) or f"ended with exit code {done.returncode}")
    try:
        return Answer(value=json.loads(_last_line(done.stdout)))
    except ValueError:
        return Answer(failure=f"gave an answer that is no JSON: {_last_line(done.stdout)[:100]!r}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
