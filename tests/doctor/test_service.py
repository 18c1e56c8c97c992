from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecli.app import app
from edgecli.cli import run
from edgecli.doctor import machine, project
from edgecli.doctor.check import Check, Examination, Status
from edgecli.doctor.service import Step, examine, run_step
from edgecli.models.service import ModelsService
from edgecli.scaffold.service import create

GROUPS = ["machine", "libraries", "project", "state"]


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fresh project on a machine without models."""
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    return create("rag", tmp_path / "app", "app").path


def find(examination: Examination, name: str) -> Check:
    return next(check for check in examination.checks if check.name == name)


@pytest.mark.slow
def test_a_fresh_project_lacks_nothing_but_its_models(project_folder: Path) -> None:
    examination = examine(project_folder)
    failed = [check for check in examination.checks if check.status is Status.FAIL]
    assert [check.name for check in failed] == [
        "model @cf/baai/bge-small-en-v1.5",
        "model @cf/meta/llama-3.1-8b-instruct",
    ]
    for check in failed:
        assert check.group == "project"
        assert "edgecli models pull" in (check.hint or "")
        assert "stand-in: @edge/" in check.summary
    assert not examination.ok
    assert not (project_folder / ".edgecli").exists()

    groups = [check.group for check in examination.checks]
    assert list(dict.fromkeys(groups)) == GROUPS
    assert groups == sorted(groups, key=GROUPS.index)
    assert len({check.name for check in examination.checks}) == len(groups)


def test_outside_a_project_missing_models_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    examination = examine(tmp_path)
    assert examination.ok
    assert find(examination, "configuration").status is Status.WARN
    assert "edgecli init" in (find(examination, "configuration").hint or "")
    assert find(examination, "model @edge/all-minilm-l6-v2").status is Status.WARN
    assert "state" not in {check.group for check in examination.checks}


def test_a_broken_configuration_is_named_with_its_line(project_folder: Path) -> None:
    (project_folder / "wrangler.toml").write_text("name = \n")
    check, loaded = project.configuration(project_folder, None, None)
    assert loaded is None
    assert (check.status, check.essential) == (Status.FAIL, True)
    assert "wrangler.toml:1" in check.summary


def test_wrong_settings_are_counted(project_folder: Path) -> None:
    (project_folder / "wrangler.toml").write_text('name = 5\nmain = 6\n[edgecli]\nthreads = "many"\n')
    check, _ = project.configuration(project_folder, None, None)
    assert check.status is Status.FAIL
    assert 'Expected "name" to be of type string' in check.summary
    assert "(and 2 more)" in check.summary


def test_warnings_about_the_configuration_are_passed_on(project_folder: Path) -> None:
    (project_folder / "wrangler.toml").write_text("nmae = 'x'\n")
    check, loaded = project.configuration(project_folder, None, None)
    assert loaded is not None
    assert (check.status, len(check.data["warnings"])) == (Status.WARN, 1)


def test_an_unknown_model_is_named_with_the_nearest_ones(project_folder: Path) -> None:
    (project_folder / "wrangler.toml").write_text('[edgecli]\ngeneration_model = "@edge/smollm2"\n')
    _, loaded = project.configuration(project_folder, None, None)
    assert loaded is not None
    [check] = project.models(loaded)
    assert check.status is Status.FAIL
    assert "@edge/smollm2-135m-instruct" in (check.hint or "")


def test_a_model_without_open_weights_comes_with_a_way_out(project_folder: Path) -> None:
    _, loaded = project.configuration(project_folder, None, None)
    assert loaded is not None
    catalog = ModelsService.for_project(loaded).catalog
    closed = next(spec.id for spec in catalog.list("text-generation") if not spec.files)
    (project_folder / "wrangler.toml").write_text(f'[edgecli]\ngeneration_model = "{closed}"\n')
    _, loaded = project.configuration(project_folder, None, None)
    assert loaded is not None
    check = project.models(loaded)[1]
    assert check.status is Status.FAIL
    assert "use = " in (check.hint or "")


@pytest.mark.parametrize(("free", "status"), [(10**12, Status.OK), (10**9, Status.WARN), (10**7, Status.FAIL)])
def test_room_on_the_disk(tmp_path: Path, free: int, status: Status) -> None:
    check = project.room("disk", tmp_path, free)
    assert (check.status, check.essential) == (status, True)
    assert check.data == {"path": str(tmp_path), "free": free}


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> Check:
        raise PermissionError(13, "Permission denied", "/somewhere")

    [check] = run_step(Step("state", "lock", broken))
    assert (check.group, check.name, check.status, check.essential) == ("state", "lock", Status.FAIL, True)
    assert "PermissionError" in check.summary
    assert run_step(Step("machine", "python", machine.python)) == [machine.python()]


def test_doctor_prints_json_and_fails_while_the_main_job_cannot_run(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project_folder)
    assert run(app, ["doctor", "--json"]) == 1
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert shown.err == ""
    assert result["ok"] is False
    for check in result["checks"]:
        assert set(check) == {"group", "name", "status", "essential", "summary", "hint", "data"}
        assert check["status"] in {"ok", "warn", "fail"}
        assert check["group"] in GROUPS
        assert check["status"] != "fail" or check["hint"]


def test_doctor_finds_a_broken_database(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project_folder / ".edgecli").mkdir()
    (project_folder / ".edgecli" / "edge.db").write_bytes(b"not a database" * 1000)
    monkeypatch.chdir(project_folder)
    assert run(app, ["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  ✗ edge.db"))
    assert "damaged: file is not a database" in lines[at]
    assert "hint: Move `" in lines[at + 1]
    assert lines[-1].startswith("✗ Documents cannot be ingested and asked yet: ")
    assert "edge.db" in lines[-1]


@pytest.mark.models
@pytest.mark.slow
def test_with_the_starter_models_the_main_job_can_run(
    edgecli_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(edgecli_home))
    examination = examine(create("rag", tmp_path / "app", "app").path)
    assert examination.ok
    model = find(examination, "model @cf/meta/llama-3.1-8b-instruct")
    assert model.status is Status.OK
    assert model.data["id"] == "@edge/smollm2-135m-instruct"
