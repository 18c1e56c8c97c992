"""Where workerd and esbuild come from, and what is said where they cannot come."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from edgecli.cli import Common
from edgecli.config import load_project
from edgecli.errors import EngineError, UpstreamError
from edgecli.workers import commands
from edgecli.workers.workerd import install


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without both programs, and without npm."""
    for variable in ("EDGECLI_WORKERD", "EDGECLI_ESBUILD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path, says: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_without_npm_the_way_out_is_named(no_programs: Path) -> None:
    with pytest.raises(UpstreamError, match="no `npm`") as caught:
        install.require("workerd", no_programs)
    assert caught.value.code == "not_installed"
    for words in ("edgecli workers install", "EDGECLI_WORKERD", "Python Workers run without it"):
        assert words in (caught.value.hint or "")


def test_offline_npm_is_not_asked(no_programs: Path) -> None:
    program(no_programs / "bin" / "npm", "never", 1)
    with pytest.raises(UpstreamError, match="edgecli is offline"):
        install.require("esbuild", no_programs, offline=True)


def test_what_npm_says_is_shown_and_nothing_half_stays(no_programs: Path) -> None:
    program(no_programs / "bin" / "npm", "E404 no such registry", 1)
    with pytest.raises(UpstreamError, match="E404 no such registry") as caught:
        install.require("workerd", no_programs)
    assert caught.value.code == "npm_failed"
    assert [path.name for path in (no_programs / "home" / "npm").iterdir()] == ["workerd.lock"]


def test_the_variable_comes_first_and_must_be_right(no_programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(no_programs / "own", "workerd 2026-12-02")
    monkeypatch.setenv("EDGECLI_WORKERD", str(path))
    assert install.find("workerd") == install.Program("workerd", "2026-12-02", path, "variable")
    for broken, says in (
        (program(no_programs / "old", "workerd 2024-01-01"), "2026-11-17 is the oldest"),
        (program(no_programs / "bad", "Segmentation fault", 1), "Segmentation fault"),
        (no_programs / "gone", "No such file"),
    ):
        monkeypatch.setenv("EDGECLI_WORKERD", str(broken))
        with pytest.raises(EngineError, match=says) as caught:
            install.find("workerd")
        assert "EDGECLI_WORKERD" in caught.value.message


def test_the_projects_own_is_taken_from_node_modules_above(no_programs: Path) -> None:
    package = install.package_of("esbuild")
    path = program(no_programs / "repo" / "node_modules" / package / "bin" / "esbuild", "0.25.1")
    root = no_programs / "repo" / "apps" / "one"
    root.mkdir(parents=True)
    assert install.find("esbuild", root) == install.Program("esbuild", "0.25.1", path, "project")
    assert install.find("esbuild", no_programs) is None


def test_npms_script_for_node_on_path_is_not_taken(no_programs: Path) -> None:
    program(no_programs / "bin" / "workerd", "workerd 2026-12-02")
    assert install.find("workerd") is None


def test_the_command_installs_through_npm(
    tmp_path: Path, workerd_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """npm fetches the smaller program anew; the larger one is there already."""
    home = tmp_path / "home"
    (home / "npm").mkdir(parents=True)
    name = f"workerd-{install.VERSIONS['workerd']}"
    found = workerd_home / "npm" / name
    if not found.is_dir() or shutil.which("npm") is None:
        pytest.skip("wants npm, and workerd in edgecli's cache")
    (home / "npm" / name).symlink_to(found)
    monkeypatch.setenv("EDGECLI_HOME", str(home))
    monkeypatch.setattr("edgecli.cli._current", Common(json=True, cwd=tmp_path))
    commands.install()
    programs = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in programs] == ["workerd", "esbuild"]
    esbuild = programs[1]
    assert (esbuild["version"], esbuild["source"]) == (install.VERSIONS["esbuild"], "cache")
    assert Path(esbuild["path"]).is_relative_to(home)
    assert sorted(path.name for path in (home / "npm" / f"esbuild-{esbuild['version']}").iterdir()) == [
        "bin",
        "package.json",
    ]


def test_the_variables_are_known_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "x"\n')
    environ = {"EDGECLI_WORKERD": "/x/workerd", "EDGECLI_ESBUILD": "/x/esbuild"}
    assert load_project(cwd=tmp_path, environ=environ).diagnostics == ()
