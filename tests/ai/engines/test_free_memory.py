"""How much memory is free, as machines and containers say it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgecli.ai.engines import free_memory
from edgecli.ai.engines.free_memory import free_device_memory, free_host_memory


class Nvml:
    """Three GPUs with 10, 20 and 30 bytes free, and an instance of a fourth with 5."""

    class NVMLError(Exception):
        pass

    uuids = ("GPU-aaa1", "GPU-aab2", "GPU-ccc3")

    def __init__(self, *, driver: bool = True) -> None:
        self._driver = driver
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self._driver:
            raise self.NVMLError
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if uuid != "MIG-ddd4":
            raise self.NVMLError
        return -1

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802
        return self.uuids[handle].encode()

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(free=(10, 20, 30, 5)[handle])


@pytest.mark.parametrize(
    ("visible", "free"),
    [
        (None, 60),
        ("", None),
        ("-1", None),
        ("0", 10),
        ("2,0", 40),
        (" 1 , 2 ", 50),
        ("0,-1,1", 10),
        ("0,7,1", 10),
        ("1,1", 20),
        ("9", None),
        ("GPU-ccc3", 30),
        ("GPU-aab", 20),
        ("GPU-aa", None),
        ("GPU-zzz", None),
        ("MIG-ddd4", 5),
        ("MIG-eee5", None),
        ("words", None),
    ],
)
def test_gpus_that_may_be_used(visible: str | None, free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert free_device_memory() == free
    assert nvml.open == 0


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(driver=False))
    assert free_device_memory() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert free_device_memory() is None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 KiB free, and no limits yet."""
    for attribute, name in (("_MEMINFO", "meminfo"), ("_SELF_CGROUP", "self"), ("_CGROUPS", "cgroup")):
        monkeypatch.setattr(free_memory, attribute, tmp_path / name)
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:   1000 kB\n")
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def limit(folder: Path, **files: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_a_machine_without_limits(machine: Path) -> None:
    assert free_host_memory() == 1000 * 1024
    (machine / "self").write_text("0::/\n")
    assert free_host_memory() == 1000 * 1024
    limit(machine / "cgroup", memory__max="max", memory__current=5)
    assert free_host_memory() == 1000 * 1024


def test_a_container(machine: Path) -> None:
    (machine / "self").write_text("0::/user/app\n")
    app = machine / "cgroup" / "user" / "app"
    limit(app, memory__max=1000, memory__current=700)
    assert free_host_memory() == 300
    limit(app, memory__stat="anon 600\nfile 90\ninactive_file 80\nactive_file 10")
    assert free_host_memory() == 380
    limit(machine / "cgroup" / "user", memory__max=900, memory__current=800)
    assert free_host_memory() == 100
    limit(machine / "cgroup", memory__max=50, memory__current=60)
    assert free_host_memory() == 0


@pytest.mark.parametrize("told", ["0::/docker/absent", "0::/../../outside"])
def test_a_container_that_sees_itself_as_the_root(told: str, machine: Path) -> None:
    (machine / "self").write_text(f"{told}\n")
    limit(machine / "cgroup", memory__max=1000, memory__current=400)
    assert free_host_memory() == 600


def test_control_groups_of_version_1(machine: Path) -> None:
    (machine / "self").write_text("7:cpu,cpuacct:/app\n5:memory:/app\n0::/app\n")
    files = {"memory__limit_in_bytes": 1000, "memory__usage_in_bytes": 900, "memory__stat": "total_inactive_file 50"}
    limit(machine / "cgroup" / "memory" / "app", **files)
    assert free_host_memory() == 150


def test_without_proc(machine: Path) -> None:
    (machine / "meminfo").unlink()
    assert free_host_memory() > 1 << 20


def test_this_machine() -> None:
    assert 1 << 20 < free_host_memory() < 1 << 50
    free = free_device_memory()
    assert free is None or free > 0
