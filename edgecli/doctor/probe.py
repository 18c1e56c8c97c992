"""Questions that are asked in a process of their own, since the answer may be a crash or a hang.

Native libraries die by signals when they were built for another processor, and drivers can block for ever.
This file is run by its path (`python probe.py gpus`), prints one JSON object, and imports nothing of edgecli.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from typing import Any


def import_module(name: str) -> dict[str, Any]:
    """Import a library."""
    importlib.import_module(name)
    return {}


def llama() -> dict[str, Any]:
    """Load llama.cpp, and say whether it was built with a GPU backend."""
    llama_cpp = importlib.import_module("llama_cpp")
    return {
        "gpu_offload": bool(llama_cpp.llama_supports_gpu_offload()),
        "system_info": llama_cpp.llama_print_system_info().decode(),
    }


def torch() -> dict[str, Any]:
    """Say whether torch sees a CUDA device."""
    module = importlib.import_module("torch")
    available = bool(module.cuda.is_available())
    return {
        "cuda": available,
        "built_for_cuda": module.version.cuda,
        "devices": [module.cuda.get_device_name(i) for i in range(module.cuda.device_count())] if available else [],
    }


def gpus() -> dict[str, Any]:
    """List NVIDIA devices, by NVML or by `nvidia-smi`; memory in bytes."""
    try:
        return {"via": "nvml", "devices": _by_nvml()}
    except Exception as error:
        # Without driver or library NVML raises errors of its own; nvidia-smi may still know.
        if shutil.which("nvidia-smi"):
            return {"via": "nvidia-smi", "devices": _by_nvidia_smi()}
        return {"via": None, "devices": [], "reason": f"{type(error).__name__}: {error}"}


def _by_nvml() -> list[dict[str, Any]]:
    nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    driver = nvml.nvmlSystemGetDriverVersion()
    found: list[dict[str, Any]] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        found.append(
            {
                "name": nvml.nvmlDeviceGetName(handle),
                "memory_total": int(memory.total),
                "memory_free": int(memory.free),
                "driver": driver,
            }
        )
    return found


def _by_nvidia_smi() -> list[dict[str, Any]]:
    query = "--query-gpu=name,memory.total,memory.free,driver_version"
    output = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True
    ).stdout
    rows = [[cell.strip() for cell in line.rsplit(",", 3)] for line in output.splitlines() if line.strip()]
    return [
        {
            "name": name,
            "memory_total": int(total) * 1024**2,
            "memory_free": int(free) * 1024**2,
            "driver": driver,
        }
        for name, total, free, driver in rows
    ]


QUESTIONS = {"import": import_module, "llama": llama, "torch": torch, "gpus": gpus}

if __name__ == "__main__":
    answer = QUESTIONS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
