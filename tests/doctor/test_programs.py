from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.config import load_project
from edgecli.doctor import service
from edgecli.doctor.check import Check, Status


def workers(root: Path, main: str) -> list[Check]:
    (root / "wrangler.toml").write_text(f'name = "test"\n{main}\n')
    steps = service._project_steps(load_project(cwd=root, config=None, env=None), False)  # pyright: ignore
    return [check for step in steps if step.name == "workers" for check in service.run_step(step)]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))


def program(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("main", ["", 'main = "worker.py"\ncompatibility_flags = ["python_workers"]'])
def test_only_javascript_needs_programs(tmp_path: Path, main: str) -> None:
    assert workers(tmp_path, main) == []


def test_what_is_missing_is_said_with_the_command(tmp_path: Path) -> None:
    (check,) = workers(tmp_path, 'main = "src/index.ts"')
    assert (check.status, check.summary) == (Status.WARN, "no `workerd` and no `esbuild` for `src/index.ts`")
    assert "edgecli workers install" in (check.hint or "")


def test_what_is_there_is_said_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_WORKERD", program(tmp_path / "workerd", "workerd 2099-01-02"))
    monkeypatch.setenv("EDGECLI_ESBUILD", program(tmp_path / "esbuild", "0.99.1"))
    (check,) = workers(tmp_path, 'main = "src/index.ts"')
    assert (check.status, check.summary) == (Status.OK, "workerd 2099-01-02, esbuild 0.99.1")


def test_a_program_that_does_not_run_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_WORKERD", str(tmp_path / "gone"))
    (check,) = workers(tmp_path, 'main = "src/index.ts"')
    assert (check.status, "EDGECLI_WORKERD" in check.summary) == (Status.FAIL, True)
