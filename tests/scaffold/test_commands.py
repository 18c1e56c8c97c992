from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pexpect
import pytest

from edgecli.app import app
from edgecli.cli import run


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["init", "my shop", "--template", "rag", "--yes"]) == 0
    shown = capsys.readouterr()
    steps = [line.split(". ", 1)[1] for line in shown.out.splitlines() if line.startswith("  ")]
    assert shlex.split(steps[0]) == ["cd", "my shop"]
    assert [step.split()[1] for step in steps[1:]] == ["models", "vectorize", "ingest", "rag"]
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
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["rag"]
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_init_asks_for_the_folder(tmp_path: Path) -> None:
    child = pexpect.spawn(sys.executable, ["-m", "edgecli", "init"], cwd=str(tmp_path), timeout=60, encoding="utf-8")
    child.expect("Folder of the new project")
    child.sendline("灯笼店")
    child.expect("Wrote 20 files")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert 'name = "my-app"' in (tmp_path / "灯笼店" / "wrangler.toml").read_text()
