"""Every template as a user gets it: its steps are taken, its own tests call each of its routes, the checks pass."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgecli.errors import ExitCode
from edgecli.scaffold.service import create
from edgecli.scaffold.templates import list_templates

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(900)]

TEMPLATES = [template.name for template in list_templates()]
EDGECLI = [sys.executable, "-m", "edgecli"]


def call(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=project,
        env=os.environ | {"EDGECLI": shlex.join(EDGECLI), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def take_steps(project: Path, steps: tuple[str, ...]) -> None:
    """Do what comes before `edgecli dev`, which the template's tests start."""
    for step in steps[: steps.index("edgecli dev")]:
        program, *arguments = shlex.split(step)
        if program != "edgecli" and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        done = call(project, *(EDGECLI if program == "edgecli" else [program]), *arguments)
        if (done.returncode != 0 and program == "npm") or done.returncode == ExitCode.UPSTREAM:
            pytest.skip(f"no package of npm is to be had here: {done.stderr.strip()[-300:]}")
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_works_at_once(
    tmp_path: Path, edgecli_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(edgecli_home))
    monkeypatch.delenv("WORKER_URL", raising=False)
    result = create(name, tmp_path / "应用 one", "app-one")
    take_steps(result.path, result.next_steps)
    for command in (("check", "--strict"), ("deploy", "--dry-run")):
        done = call(result.path, *EDGECLI, *command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    tested = call(result.path, sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider")
    assert tested.returncode == 0, f"{tested.stdout[-6000:]}\n{tested.stderr[-3000:]}"
    assert call(result.path, *EDGECLI, "ps").returncode == 0  # no server was left behind that holds the state


def test_a_server_that_runs_already_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER_URL", raising=False)
    project = create("stream", tmp_path / "app", "app").path
    command = [*EDGECLI, "dev", "--port", "0", "--no-warm"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline()
            tested = call(project, sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider")
        finally:
            server.terminate()
    said = tested.stdout + tested.stderr
    assert tested.returncode == 1, said
    assert said.count("A server of this project already runs at http://127.0.0.1:") == 1
    assert "WORKER_URL=http://localhost:8787 python -m pytest" in said
