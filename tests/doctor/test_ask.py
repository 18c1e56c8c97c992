from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgecli.doctor.ask import ask


def broken_module(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "broken_library.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "broken_library"


def test_a_library_that_loads_has_no_failure() -> None:
    answer = ask("import", "json")
    assert answer.failure is None
    assert answer.value == {}


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "died of SIGILL"),
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "OSError: libcudart.so.12"),
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("import os; os.write(1, b'no json'); os._exit(0)", "no JSON"),
    ],
)
def test_a_library_that_breaks_its_process_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, failure: str
) -> None:
    answer = ask("import", broken_module(tmp_path, source, monkeypatch))
    assert failure in (answer.failure or "")


def test_what_a_library_prints_does_not_disturb_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask("import", broken_module(tmp_path, "print('loading\\nmodels…', end='')", monkeypatch))
    assert answer.failure is None


def test_a_library_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = broken_module(tmp_path, "import time; time.sleep(600)", monkeypatch)
    assert ask("import", name, timeout=1.0).failure == "gave no answer within 1 seconds"


def test_a_file_of_the_project_is_not_taken_for_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokenizers.py").write_text("raise RuntimeError('not the library')")
    assert ask("import", "tokenizers").failure is None


def test_a_python_that_is_not_there_is_a_failure() -> None:
    assert "could not start" in (ask("gpus", python=os.devnull + "/python").failure or "")
    assert ask("gpus", python=sys.executable).failure is None


def test_a_gpu_is_seen_by_nvidia_smi_where_its_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ask("gpus").value["via"] == "nvml":
        pytest.skip("this machine has NVML, which is asked first")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 81004, 570.86.15'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert ask("gpus").value == {
        "via": "nvidia-smi",
        "devices": [
            {
                "name": "NVIDIA H100 80GB HBM3",
                "memory_total": 81559 * 1024**2,
                "memory_free": 81004 * 1024**2,
                "driver": "570.86.15",
            }
        ],
    }
