"""Checks of Python, SQLite, processor, memory and GPU."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from functools import partial
from pathlib import Path

from edgecli import __version__, console
from edgecli.doctor.ask import ask
from edgecli.doctor.check import Check, Status

OLDEST_PYTHON = (3, 11)
LITTLE_MEMORY = 1024**3
"""Bytes; the starter models and an ingest take about 700 MB together."""

_check = partial(Check, "machine")


def python() -> Check:
    """Check the version of Python."""
    version = platform.python_version()
    enough = sys.version_info >= OLDEST_PYTHON
    return _check(
        "python",
        Status.OK if enough else Status.FAIL,
        f"{version} ({sys.executable})",
        None if enough else "edgecli needs Python 3.11 or newer.",
        essential=True,
        data={"version": version, "executable": sys.executable, "platform": platform.platform()},
    )


def edgecli() -> Check:
    """Say which edgecli runs."""
    place = Path(__file__).resolve().parents[1]
    return _check("edgecli", Status.OK, f"{__version__} ({place})", data={"version": __version__, "path": str(place)})


def sqlite() -> Check:
    """Check that SQLite has full-text search."""
    version = sqlite3.sqlite_version
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    except sqlite3.OperationalError as error:
        return _check(
            "sqlite",
            Status.FAIL,
            f"{version}, without FTS5: {error}",
            "Use a Python whose SQLite has FTS5: those of python.org, Debian, Homebrew and uv do.",
            essential=True,
            data={"version": version, "fts5": False},
        )
    finally:
        connection.close()
    return _check(
        "sqlite",
        Status.OK,
        f"{version}, with full-text search",
        essential=True,
        data={"version": version, "fts5": True},
    )


def processor() -> Check:
    """Say how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    return _check(
        "cpu",
        Status.OK,
        f"{usable} {'core' if usable == 1 else 'cores'}, {platform.machine()}",
        data={"usable": usable, "total": os.cpu_count(), "architecture": platform.machine()},
    )


def memory() -> Check:
    """Say how much memory there is, within the limit of a container."""
    total, available = _memory()
    if total is None:
        return _check("memory", Status.OK, "unknown on this system")
    data = {"total": total, "available": available}
    summary = console.human_bytes(total)
    if available is not None:
        summary += f", {console.human_bytes(available)} available"
        if available < LITTLE_MEMORY:
            hint = "Even the starter models need about 700 MB. Close other programs, or expect swapping."
            return _check("memory", Status.WARN, summary, hint, data=data)
    return _check("memory", Status.OK, summary, data=data)


def _memory() -> tuple[int | None, int | None]:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None, None
    available = None
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    limit = _container_number("memory.max")
    if limit is not None and limit < total:
        used = _container_number("memory.current") or 0
        total, available = limit, min(available or limit, max(0, limit - used))
    return total, available


def _container_number(name: str) -> int | None:
    """Read a number of the control group that this process is in; None where there is no limit."""
    path = Path("/sys/fs/cgroup") / name
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def gpu() -> Check:
    """Say which GPU is seen."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return _check("gpu", Status.OK, "Apple GPU (Metal)", data={"kind": "metal", "devices": []})
    answer = ask("gpus")
    if answer.failure:
        hint = "`nvidia-smi` says more about the driver."
        return _check("gpu", Status.WARN, f"asking for a GPU {answer.failure}", hint, data={"devices": []})
    devices = answer.value["devices"]
    if not devices:
        return _check("gpu", Status.OK, "none seen; models run on the processor", data=answer.value)
    shown = "; ".join(
        f"{device['name']}, {console.human_bytes(device['memory_free'])} of "
        f"{console.human_bytes(device['memory_total'])} free"
        for device in devices
    )
    return _check("gpu", Status.OK, shown, data={"kind": "cuda"} | answer.value)
