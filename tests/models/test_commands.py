"""The command line as a user meets it: processes, exit codes, stdout and stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.models.conftest import noise
from tests.models.file_server import FileServer

CONTENT = noise(200_000)
LLAMA = "@cf/meta/llama-3.1-8b-instruct"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(edgecli: Run, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in a project with one own model, which also stands in for another."""
    root = tmp_path / "项目"
    root.mkdir()
    source = server.add("/one.gguf", CONTENT)
    (root / "wrangler.toml").write_text(
        'name = "x"\n[edgecli]\ngeneration_model = "@my/one"\nembedding_model = "@my/one"\n'
        f'[edgecli.models."@my/one"]\ntask = "Text Generation"\nengine = "llama_cpp"\nsource = "{source}"\n'
        f'[edgecli.models."{LLAMA}"]\nuse = "@my/one"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(root)
    return edgecli


@pytest.mark.slow
def test_from_pull_to_removal(cli: Run) -> None:
    absent = cli("models", "path", "@my/one")
    assert (absent.returncode, absent.stdout) == (3, "")
    assert "hint: Run `edgecli models pull @my/one`." in absent.stderr

    pulled = cli("models", "pull")
    assert (pulled.returncode, pulled.stdout) == (0, "")
    assert pulled.stderr == "✓ @my/one, 195.3 KiB\n"

    again = cli("models", "pull", "--json")
    step, summary = (json.loads(line) for line in again.stdout.splitlines())
    assert (step["phase"], summary) == ("present", {"models": [{"id": "@my/one", "phase": "present"}]})

    path = cli("models", "path", LLAMA)
    assert (Path(path.stdout.rstrip("\n")) / "one.gguf").read_bytes() == CONTENT

    listed = cli("models", "list", "--installed")
    assert [line.split("  ")[0] for line in listed.stdout.splitlines()] == [
        "model",
        "@my/one",
        f"{LLAMA} (stand-in: @my/one)",
    ]

    assert cli("models", "verify").stdout == "@my/one: ok, 1 file\n"

    refused = cli("models", "remove", "@my/one")
    assert (refused.returncode, refused.stderr.splitlines()[1]) == (2, "hint: Add --yes.")
    removed = cli("models", "remove", "@my/one", "--yes")
    assert (removed.returncode, removed.stdout) == (0, "")
    assert removed.stderr.startswith("✓ Removed @my/one, ")


@pytest.mark.slow
def test_a_damaged_model_fails_the_verification(cli: Run) -> None:
    cli("models", "pull")
    file = Path(cli("models", "path", "@my/one").stdout.strip()) / "one.gguf"
    file.chmod(0o644)
    file.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    verified = cli("models", "verify")
    assert (verified.returncode, verified.stdout) == (1, "@my/one: damaged, 1 file\n")
    assert "`edgecli models pull @my/one` repairs it." in verified.stderr
    assert cli("models", "path", "@my/one").returncode == 1
    assert cli("models", "pull").returncode == 0
    assert cli("models", "verify").returncode == 0


def test_an_unknown_model_exits_3_with_the_nearest_names(cli: Run) -> None:
    shown = cli("models", "show", "@my/on")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert shown.stderr == "error: No such model @my/on or task\nhint: Did you mean `@my/one`?\n"


def test_outside_a_project_the_catalog_still_answers(
    edgecli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = edgecli("models", "show", "@cf/baai/bge-m3", "--json", EDGECLI_HOME=str(tmp_path / "home"))
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["dimensions"] == 1024


@pytest.mark.slow
def test_on_a_terminal_a_removal_asks_and_a_pull_draws(cli: Run, tmp_path: Path) -> None:
    def terminal(*arguments: str) -> pexpect.spawn[str]:
        command = [*("-m", "edgecli", "models"), *arguments]
        return pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=60, dimensions=(24, 120))

    pull = terminal("pull")
    pull.expect("✓.* @my/one, 195.3 KiB")
    pull.expect(pexpect.EOF)
    remove = terminal("remove", "@my/one")
    remove.expect("Delete the files of @my/one")
    remove.sendline("n")
    remove.expect("Nothing was removed")
    remove.expect(pexpect.EOF)
    remove.close()
    assert remove.exitstatus == 1
    assert cli("models", "path", "@my/one").returncode == 0


@pytest.mark.slow
def test_interrupting_a_pull_leaves_what_the_next_one_takes_up(cli: Run, server: FileServer) -> None:
    hold = threading.Event()
    server.files["/one.gguf"].hold = hold
    process = subprocess.Popen(
        [sys.executable, "-m", "edgecli", "models", "pull", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["phase"] != "download":
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    hold.set()
    assert cli("models", "pull").returncode == 0
    assert server.ranges("/one.gguf")[-1] is not None


def test_no_words_to_search_for_are_said(cli: Run) -> None:
    done = cli("models", "search", " ")
    assert (done.returncode, done.stderr) == (
        2,
        "error: There are no words to search for.\nhint: `edgecli models list` shows all models.\n",
    )


@pytest.mark.parametrize("model", ["@cf/nope/nope", "@hf/some/thing"])
def test_nothing_far_fetched_is_suggested(cli: Run, model: str) -> None:
    assert "Did you mean" not in cli("models", "show", model).stderr
