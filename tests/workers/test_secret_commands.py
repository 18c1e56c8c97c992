from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wrangler.toml").write_text('name = "app"\n[env.staging]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def test_a_secret_is_read_from_a_pipe_listed_and_deleted(folder: Path, edgecli: Run) -> None:
    done = edgecli("secret", "put", "TOKEN", stdin="it's 密 $HOME\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Set `TOKEN` in `.dev.vars`" in done.stderr
    path = folder / ".dev.vars"
    assert path.read_text() == 'TOKEN="it\'s 密 $HOME"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(edgecli("secret", "list", "--json").stdout) == [{"name": "TOKEN", "type": "secret_text"}]
    assert edgecli("secret", "list").stdout == "TOKEN\n"
    assert edgecli("secret", "delete", "TOKEN").returncode == 0
    assert path.read_text() == ""
    assert edgecli("secret", "delete", "TOKEN").returncode == 3


def test_an_environment_has_a_file_of_its_own(folder: Path, edgecli: Run) -> None:
    edgecli("secret", "put", "A", stdin="top")
    done = edgecli("secret", "put", "A", "--env", "staging", "--value", "-", "--json", stdin="staging")
    assert json.loads(done.stdout)["file"] == str(folder / ".dev.vars.staging")
    assert "takes the place" not in done.stderr
    assert (folder / ".dev.vars").read_text() == "A=top\n"
    assert (folder / ".dev.vars.staging").read_text() == "A=staging\n"


def test_a_new_file_that_hides_another_is_a_warning(folder: Path, edgecli: Run) -> None:
    (folder / ".env").write_text("OLD=1\n")
    assert "the file that set `OLD`" in edgecli("secret", "put", "A", stdin="x").stderr
    assert "takes the place" not in edgecli("secret", "put", "OLD", stdin="x").stderr


def test_a_secret_on_the_command_line_is_refused(folder: Path, edgecli: Run) -> None:
    done = edgecli("secret", "put", "TOKEN", "--value", "hunter2")
    assert done.returncode == 2
    assert "hunter2" not in done.stderr
    assert not (folder / ".dev.vars").exists()


@pytest.mark.parametrize(("key", "value"), [("a-b", "x"), ("1A", "x"), ("A", ""), ("A", "\n")])
def test_wrong_names_and_empty_values_are_refused(folder: Path, edgecli: Run, key: str, value: str) -> None:
    assert edgecli("secret", "put", key, stdin=value).returncode == 2
    assert not (folder / ".dev.vars").exists()


def test_git_that_would_keep_the_file_is_a_warning(folder: Path, edgecli: Run) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    assert "git does not ignore `.dev.vars`" in edgecli("secret", "put", "A", stdin="x").stderr
    (folder / ".gitignore").write_text(".dev.vars*\n")
    assert "git does not ignore" not in edgecli("secret", "put", "A", stdin="x").stderr


def test_a_secret_that_the_worker_will_not_see_is_a_warning(folder: Path, edgecli: Run) -> None:
    (folder / "wrangler.toml").write_text('name = "app"\n[secrets]\nrequired = ["B"]\n')
    assert "The Worker will not see `A`" in edgecli("secret", "put", "A", stdin="x").stderr
    assert "will not see" not in edgecli("secret", "put", "B", stdin="x").stderr


def test_many_are_set_at_once(folder: Path, edgecli: Run) -> None:
    path = folder / ".dev.vars"
    path.write_text("# mine\nA=1\nB=2\n")
    (folder / "secrets.json").write_text('{"A": "it\'s 密", "C": "", "B": null, "NEVER": null}')
    done = edgecli("secret", "bulk", "secrets.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Set 2 secrets, deleted 2 in `.dev.vars`." in done.stderr
    assert path.read_text() == "# mine\nA=\"it's 密\"\nC=''\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = edgecli("secret", "bulk", "-", "--json", stdin="D=4 # four\nexport E='five\n5'\n")
    assert json.loads(done.stdout) == {"set": ["D", "E"], "deleted": [], "file": str(path)}
    assert edgecli("secret", "list").stdout == "A\nC\nD\nE\n"
    assert "Deleted 1 in" in edgecli("secret", "bulk", "-", stdin='{"D": null}').stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "holds no secrets"),
        ("just words", "holds no secrets"),
        ('{\n  A: "b"\n}', "is no JSON: Expecting property name"),
        ('{"A": "1", "B": 2}', "`B` is no string"),
        ('{"A": "1", "a-b": "2"}', "`a-b` is no name"),
    ],
)
def test_where_one_is_refused_none_is_set(folder: Path, edgecli: Run, content: str, said: str) -> None:
    done = edgecli("secret", "bulk", "-", stdin=content)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (folder / ".dev.vars").exists()


def test_a_file_of_secrets_that_is_not_there_or_cannot_be_kept_changes_nothing(folder: Path, edgecli: Run) -> None:
    assert edgecli("secret", "bulk", "none.json").returncode == 3
    assert "error: `.` cannot be read: Is a directory.\n" in edgecli("secret", "bulk", ".").stderr
    (folder / ".dev.vars").write_text("A=1\n")
    assert edgecli("secret", "bulk", "-", stdin=json.dumps({"A": "2", "B": "a'\"`#\\"})).returncode == 4
    assert (folder / ".dev.vars").read_text() == "A=1\n"


def test_to_delete_makes_no_file_that_would_hide_another(folder: Path, edgecli: Run) -> None:
    (folder / ".env").write_text("A=1\n")
    done = edgecli("secret", "bulk", "-", stdin='{"NEVER": null}')
    assert (done.returncode, "takes the place" in done.stderr) == (0, False)
    assert not (folder / ".dev.vars").exists()
    assert edgecli("secret", "list").stdout == "A\n"


def test_a_terminal_asks_and_shows_nothing(folder: Path) -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "edgecli", "secret", "put", "A"], encoding="utf-8", timeout=60, env=dict(os.environ)
    )
    child.expect("Value of A")
    child.sendline("hunter2")
    child.expect("Set `A`")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "hunter2" not in (child.before or "")
    assert (folder / ".dev.vars").read_text() == "A=hunter2\n"
