from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from edgecli.app import app
from edgecli.cli import run
from edgecli.scaffold.names import free_name
from edgecli.scaffold.templates import list_templates


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["init", "my shop", "--template", "rag", "--yes"]) == 0
    shown = capsys.readouterr()
    steps = [line.split(". ", 1)[1] for line in shown.out.splitlines() if line.startswith("  ")]
    assert shlex.split(steps[0]) == ["cd", "my shop"]
    assert [step.split()[1] for step in steps[1:]] == ["models", "vectorize", "ingest", "rag", "dev"]
    assert "The project is named `my-shop`" in shown.err
    assert 'name = "my-shop"' in (tmp_path / "my shop" / "wrangler.toml").read_text()


def test_init_without_a_name_and_a_terminal_takes_the_defaults(tmp_path: Path) -> None:
    assert run(app, ["init"]) == 0
    assert 'name = "my-app"' in (tmp_path / "my-app" / "wrangler.toml").read_text()


def test_init_here_names_the_project_after_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "我的应用").mkdir()
    monkeypatch.chdir(tmp_path / "我的应用")
    assert run(app, ["init", "."]) == 0
    shown = capsys.readouterr()
    assert "cd " not in shown.out
    assert "named `my-app`" in shown.err
    assert (tmp_path / "我的应用" / "docs" / "zh" / "退款政策.md").is_file()


def test_init_with_json_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["init", "shop", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["name"] == "shop"
    assert result["path"] == str(tmp_path / "shop")
    assert all((tmp_path / "shop" / file).is_file() for file in result["files"])
    assert shown.err == ""


def test_a_second_init_fails_and_lists_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    run(app, ["init", "shop"])
    capsys.readouterr()
    assert run(app, ["init", "shop", "--json"]) == 1
    shown = capsys.readouterr()
    error = json.loads(shown.err)["errors"][0]
    assert error["edge"]["code"] == "would_overwrite"
    assert "wrangler.toml" in error["edge"]["details"]["files"]
    assert shown.out == ""


def test_a_dry_run_prints_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["init", "shop", "--dry-run"]) == 0
    assert "shop/wrangler.toml" in capsys.readouterr().out.splitlines()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "code"), [(["x", "-t", "nope"], 3), ([" "], 2)])
def test_wrong_calls_leave_nothing_behind(tmp_path: Path, arguments: list[str], code: int) -> None:
    assert run(app, ["init", *arguments]) == code
    assert list(tmp_path.iterdir()) == []


def test_the_templates_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["init", "--list", "--json"]) == 0
    names = [each["name"] for each in json.loads(capsys.readouterr().out)]
    assert names == ["batch", "chat", "rag", "rag-js", "stream", "vectorize"]
    assert list(tmp_path.iterdir()) == []


def test_the_menu_fits_a_terminal_of_80_columns() -> None:
    templates = list_templates()
    width = max(len(each.name) for each in templates)
    assert max(len(each.title) for each in templates) < 80 - len("   >  3. ") - width - len("  ")


def test_the_suggested_folder_is_a_new_one(tmp_path: Path) -> None:
    assert free_name(tmp_path) == "my-app"
    (tmp_path / "my-app").mkdir()
    (tmp_path / "my-app-2").touch()
    assert free_name(tmp_path) == "my-app-3"


def test_on_a_terminal_init_asks_for_folder_and_template(tmp_path: Path) -> None:
    child = pexpect.spawn(sys.executable, ["-m", "edgecli", "init"], cwd=str(tmp_path), timeout=60, encoding="utf-8")
    child.expect("Folder of the new project")
    child.sendline("灯笼店")
    child.expect("Server-Sent Events")
    child.send("2\r")
    child.expect(r"Wrote \d+ files")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert 'name = "my-app"' in (tmp_path / "灯笼店" / "wrangler.toml").read_text()
    assert (tmp_path / "灯笼店" / "src" / "page.py").is_file()


def test_git_makes_a_repository_with_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identify(monkeypatch, tmp_path)
    assert run(app, ["init", "shop", "-t", "chat", "--git"]) == 0
    project = tmp_path / "shop"
    assert git(project, "log", "--format=%s") == "Start from the template chat\n"
    assert git(project, "status", "--porcelain") == ""
    assert "src/worker.py" in git(project, "ls-files").splitlines()


def test_git_without_an_identity_says_what_is_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    isolate_git(monkeypatch, tmp_path)
    assert run(app, ["init", "shop", "-t", "chat", "--git"]) == 1
    assert "git does not know who commits" in capsys.readouterr().err
    assert (tmp_path / "shop" / "wrangler.toml").is_file()


def test_without_git_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert run(app, ["init", "shop", "-t", "chat", "--git"]) == 1
    assert "git, which is not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_a_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identify(monkeypatch, tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "wrangler.toml").write_text('name = "$name"\nmain = "w.py"\n[vars]\nPRICE = "$name costs $5"\n')
    assert run(app, ["init", "shop", "--template", "./mine", "--git"]) == 0
    written = (tmp_path / "shop" / "wrangler.toml").read_text()
    assert written == 'name = "shop"\nmain = "w.py"\n[vars]\nPRICE = "$name costs $5"\n'
    assert ".dev.vars" in (tmp_path / "shop" / ".gitignore").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == ["Next:", "  1. cd shop"]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def isolate_git(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(home.parent))
    for name in ("EMAIL", *(f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL"))):
        monkeypatch.delenv(name, raising=False)


def identify(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    isolate_git(monkeypatch, home)
