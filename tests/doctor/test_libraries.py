from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.doctor import libraries, machine
from edgecli.doctor.check import Check, Status
from edgecli.doctor.libraries import BUILD_WITH_CUDA, LIBRARIES, Library


def seen(**data: object) -> Check:
    return Check("machine", "seen", Status.OK, "", data=dict(data))


@pytest.mark.parametrize("entry", [each for each in LIBRARIES if each.essential], ids=lambda each: each.module)
def test_the_libraries_of_the_main_job_load_here(entry: Library) -> None:
    check = libraries.library(entry)
    assert (check.status, check.essential) == (Status.OK, True)
    assert check.data["version"] == check.summary


def test_slow_libraries_are_only_looked_up() -> None:
    check = libraries.library(Library("pytest", "no_such_module", "tests", slow=True))
    assert check.status is Status.OK
    assert "not loaded" in check.summary


@pytest.mark.parametrize(("essential", "status"), [(True, Status.FAIL), (False, Status.WARN)])
def test_a_missing_library_names_what_stops_and_how_to_install_it(essential: bool, status: Status) -> None:
    check = libraries.library(Library("no-such-library", "no_such", "reading runes", essential=essential))
    assert check.status is status
    assert check.summary == "not installed; needed for reading runes"
    assert check.hint == "pip install no-such-library"


def test_an_installed_library_that_does_not_load_is_found() -> None:
    check = libraries.library(Library("pytest", "no_such_module", "tests", essential=True))
    assert check.status is Status.FAIL
    assert "cannot be loaded: ModuleNotFoundError" in check.summary
    assert "--force-reinstall" in (check.hint or "")


def test_a_gpu_that_llama_does_not_use_comes_with_the_command_that_builds_it() -> None:
    check = libraries.offload(seen(kind="cuda"), seen(gpu_offload=False))
    assert check.status is Status.WARN
    assert BUILD_WITH_CUDA in (check.hint or "")


@pytest.mark.parametrize(
    ("gpu", "llama", "status", "words"),
    [
        (seen(kind="cuda"), seen(gpu_offload=True), Status.OK, "built with GPU support"),
        (seen(), seen(gpu_offload=True), Status.OK, "no GPU is seen"),
        (seen(), seen(gpu_offload=False), Status.OK, "processor only"),
        (seen(kind="cuda"), seen(), Status.WARN, "unknown"),
    ],
)
def test_what_is_said_of_offloading(gpu: Check, llama: Check, status: Status, words: str) -> None:
    check = libraries.offload(gpu, llama)
    assert check.status is status
    assert words in check.summary


def test_torch_is_only_a_question_where_a_gpu_is() -> None:
    assert libraries.torch_device(seen(), seen(version="2.13.0+cpu")) is None
    assert libraries.torch_device(seen(kind="cuda"), seen(version=None)) is None


@pytest.mark.parametrize(
    ("torch", "status"),
    [
        (seen(version="2.13.0+cpu"), Status.WARN),
        (seen(version="2.13.0", cuda=False), Status.WARN),
        (seen(version="2.13.0+cu128"), Status.OK),
        (seen(version="2.13.0+cu128", cuda=True), Status.OK),
    ],
)
def test_what_is_said_of_torch(torch: Check, status: Status) -> None:
    check = libraries.torch_device(seen(kind="cuda"), torch)
    assert check is not None
    assert check.status is status


def test_the_machine_of_this_test_can_run_edgecli() -> None:
    for check in (
        machine.python(),
        machine.edgecli(),
        machine.sqlite(),
        machine.processor(),
        machine.memory(),
    ):
        assert check.status is not Status.FAIL, check
        assert check.summary
    assert machine.processor().data["usable"] >= 1
    assert machine.memory().data["total"] > 100 * 1024**2


def test_the_gpu_check_answers_with_or_without_a_gpu() -> None:
    check = machine.gpu()
    assert check.status is Status.OK
    assert isinstance(check.data["devices"], list)


def test_a_library_that_hangs_is_doubtful_and_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging_library.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(libraries, "TIMEOUT_SECONDS", 1.0)
    check = libraries.library(Library("pytest", "hanging_library", "tests", essential=True))
    assert check.status is Status.WARN
    assert "gave no answer within 1 seconds" in check.summary
