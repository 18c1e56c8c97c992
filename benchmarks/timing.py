"""Time whole processes side by side: interleaved runs, medians, ratios, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Timing:
    """The runs of one command."""

    seconds: list[float] = field(default_factory=list[float])
    peak_mib: list[float] = field(default_factory=list[float])

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        return max(self.peak_mib)


def run_once(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Run a command; return wall seconds and peak resident MiB. A failing command ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{errors.decode()}")
    return seconds, usage.ru_maxrss / 1024


def interleaved(
    commands: Mapping[str, Sequence[str]],
    *,
    runs: int,
    warmup: int = 1,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, Timing]:
    """Run the commands in turn, A B C A B C …, so that a drift of the machine meets all of them."""
    timings = {name: Timing() for name in commands}
    for turn in range(warmup + runs):
        for name, command in commands.items():
            seconds, peak = run_once(command, cwd=cwd, env=env)
            if turn >= warmup:
                timings[name].seconds.append(seconds)
                timings[name].peak_mib.append(peak)
    return timings


def report(title: str, rows: Sequence[tuple[str, float, str, float | None]]) -> bool:
    """Print rows of (what, value, unit, target at most); return whether all targets were met."""
    print(f"\n{title}")
    met = True
    for what, value, unit, target in rows:
        verdict = ""
        if target is not None:
            met &= value <= target
            verdict = f"  target <= {target:g}{unit}  {'met' if value <= target else 'MISSED'}"
        print(f"  {what:<58} {value:9.3f}{unit}{verdict}")
    return met
