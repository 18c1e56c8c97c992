"""What the machine offers, asked without importing an inference library."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the number of cores this process may use: affinity and container quota counted, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
    except (OSError, ValueError):
        return max(1, cores)
    if quota == "max":
        return max(1, cores)
    return max(1, min(cores, int(quota) // int(period)))


@cache
def cuda_device_name() -> str | None:
    """Return the name of the first NVIDIA GPU that this process may use, or None.

    Asks NVML, else the driver's files, else `nvidia-smi`; torch is never imported for it.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return None
    return _name_from_nvml() or _name_from_driver() or _name_from_tool()


def _name_from_nvml() -> str | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        name: str | bytes = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
        return name.decode() if isinstance(name, bytes) else name
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _name_from_driver() -> str | None:
    for information in sorted(_NVIDIA_DRIVER.glob("*/information")):
        for line in information.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                return value.strip()
    return None


def _name_from_tool() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(answer.stdout.splitlines()), None)


def torch_can_use_cuda() -> bool:
    """Tell whether a GPU is there and the installed torch was not built for the CPU only."""
    if cuda_device_name() is None:
        return False
    try:
        return not importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False


@cache
def llama_cpp_backends() -> frozenset[str]:
    """Return what the installed llama.cpp was built to compute on beside the CPU: `cuda`, `metal`, … ."""
    package = importlib.util.find_spec("llama_cpp")
    places = package.submodule_search_locations if package is not None else None
    files = [file for place in places or () for file in Path(place, "lib").glob("*ggml-*")]
    named = {file.name.removeprefix("lib").removeprefix("ggml-").partition(".")[0] for file in files}
    return frozenset(named) - {"base"} - {name for name in named if name.startswith("cpu")}
