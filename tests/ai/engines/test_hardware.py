"""What the machine offers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgecli.ai.engines.hardware import available_cores


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no processor affinity")
def test_affinity_counts() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from edgecli.ai.engines.hardware import available_cores; print(available_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_used(hidden: str) -> None:
    code = (
        "import sys; from edgecli.ai.engines.hardware import cuda_device_name, torch_can_use_cuda\n"
        "print(cuda_device_name(), torch_can_use_cuda(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": hidden},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "None False False\n"
