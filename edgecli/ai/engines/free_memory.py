"""How much memory is free, on the GPUs and in the machine, and the error of a model that does not fit into it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, Literal

from edgecli.errors import EngineError

Memory = Literal["gpu", "machine"]

_MEMINFO = Path("/proc/meminfo")
_SELF_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def does_not_fit(model: str, lacks: Set[Memory]) -> EngineError:
    """Return the error for a model that was to be loaded whole: `details["lacks"]` says where memory is short."""
    return EngineError(
        f"`{model}` does not fit into the memory that is free: {' and '.join(sorted(lacks))}.",
        hint="Unload another model: `edgecli ps` lists them.",
        code="out_of_memory",
        details={"lacks": sorted(lacks)},
    )


def free_device_memory() -> int | None:
    """Return the free bytes of the NVIDIA GPUs that this process may use, together, or None if there is none.

    Asks NVML, which starts no CUDA. `CUDA_VISIBLE_DEVICES` counts as for CUDA: numbers or UUIDs, which may be cut
    short, up to the first that is unknown. NVML numbers by bus, as CUDA does with CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        sizes = [int(pynvml.nvmlDeviceGetMemoryInfo(handle).free) for handle in _handles(pynvml, visible)]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
    return sum(sizes) if sizes else None


def free_host_memory() -> int:
    """Return the bytes that this process may still take without swapping: the machine's, or its container's.

    Pages of files that were read count as free, as they are given up first.
    """
    limits = [_machine(), *_cgroup_limits()]
    return max(0, min(limits))


def _handles(pynvml: Any, visible: str | None) -> Iterator[Any]:
    every = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    if visible is None:
        yield from every
        return
    seen: set[str] = set()
    for name in (part.strip() for part in visible.split(",")):
        if name in seen:
            return
        seen.add(name)
        if name.isascii() and name.isdigit() and int(name) < len(every):
            yield every[int(name)]
        elif name.startswith("MIG-"):
            yield pynvml.nvmlDeviceGetHandleByUUID(name)
        else:
            found = [handle for handle in every if name and _uuid(pynvml, handle).startswith(name)]
            if len(found) != 1:
                return
            yield found[0]


def _uuid(pynvml: Any, handle: Any) -> str:
    uuid: str | bytes = pynvml.nvmlDeviceGetUUID(handle)
    return uuid.decode() if isinstance(uuid, bytes) else uuid


def _machine() -> int:
    try:
        for line in _MEMINFO.read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" in names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if "SC_PHYS_PAGES" in names:  # macOS does not tell what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30


def _cgroup_limits() -> Iterator[int]:
    """Yield what each control group around this process leaves free: version 2, then 1."""
    try:
        lines = _SELF_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            yield from _left(_CGROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(_CGROUPS / "memory", path, *files)


def _left(root: Path, path: str, limit: str, used: str, cached: str) -> Iterator[int]:
    # A container sees its own group as the root, and may still be told its path outside.
    inside = Path("" if ".." in path else path.lstrip("/"))
    for group in (inside, *inside.parents):
        folder = root / group
        try:
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no limit is `max`
            continue
        yield free + _statistic(folder / "memory.stat", cached)


def _statistic(file: Path, name: str) -> int:
    try:
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
