"""The manners of the command line: streams, exit codes, hints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecli import __version__, cli
from edgecli.errors import StateError
from edgecli.outline import COMMANDS
from tests.conftest import Run


def test_version_is_bare(edgecli: Run) -> None:
    assert edgecli("--version").stdout == f"{__version__}\n"
    assert edgecli("--debug", "--version").stdout == f"{__version__}\n"


def test_both_ways_to_the_root_help_print_the_same(edgecli: Run) -> None:
    assert edgecli("--help").stdout == edgecli().stdout == edgecli("--debug", "--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_takes_the_common_options(edgecli: Run, command: str) -> None:
    done = edgecli(command, "--help")
    assert done.returncode == 0, done.stderr
    for flag in ("--json", "--config", "--env", "--cwd", "--verbose", "--debug"):
        assert flag in done.stdout


def test_an_unknown_command_names_the_nearest(edgecli: Run) -> None:
    done = edgecli("vectorise")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: `edgecli` has no command `vectorise`." in done.stderr
    assert "hint: Did you mean `vectorize`?" in done.stderr


@pytest.mark.parametrize(
    ("called", "meant"),
    [(("run", "hi"), "ai run"), (("pull",), "models pull"), (("ai", "chat"), "chat")],
)
def test_a_name_from_elsewhere_leads_to_ours(edgecli: Run, called: tuple[str, ...], meant: str) -> None:
    done = edgecli(*called)
    assert done.returncode == 2
    assert f"hint: That is `edgecli {meant}`." in done.stderr


def test_an_unknown_option_is_wrong_usage(edgecli: Run) -> None:
    done = edgecli("query", "x", "--topk", "3")
    assert done.returncode == 2
    assert "--topk" in done.stderr
    assert "hint: `edgecli query --help`" in done.stderr


def test_a_port_that_is_no_number_is_told_in_plain_words(edgecli: Run) -> None:
    done = edgecli("dev", "--port", "80x")
    assert done.returncode == 2
    assert "'80x' is not a whole number." in done.stderr


def test_an_error_is_one_json_object_on_stderr_where_json_was_asked_for(edgecli: Run, tmp_path: Path) -> None:
    done = edgecli("query", "x", "--json", "--cwd", str(tmp_path))
    assert (done.returncode, done.stdout) == (4, "")
    body = json.loads(done.stderr)
    assert body["success"] is False
    assert body["errors"][0]["edge"]["code"] == "no_config"


def test_no_project_says_how_to_start_one(edgecli: Run, tmp_path: Path) -> None:
    done = edgecli("vectorize", "list", "--cwd", str(tmp_path))
    assert done.returncode == 4
    assert "edgecli init" in done.stderr


def test_a_missing_directory_is_named(edgecli: Run) -> None:
    done = edgecli("doctor", "--cwd", "/no/such/place")
    assert done.returncode == 2
    assert "/no/such/place" in done.stderr


@pytest.mark.parametrize("arguments", [("models", "list"), ("models", "list", "--json")])
def test_a_closed_pipe_is_no_error(arguments: tuple[str, ...]) -> None:
    read_nothing = f"{sys.executable} -m edgecli {' '.join(arguments)} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", read_nothing], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() in {"0", "141"}
    assert done.stderr == ""


def test_an_end_that_fails_is_told_and_leaves_no_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken:
        def close(self) -> None:
            raise StateError("The database did not close.", hint="Look at the disk.")

    app = cli.EdgeTyper()

    @app.command()
    def work() -> None:  # pyright: ignore[reportUnusedFunction] - Typer calls it
        cli.common()._client = Broken()  # type: ignore[assignment]

    assert cli.run(app, []) == 1
    assert capsys.readouterr().err == "error: The database did not close.\nhint: Look at the disk.\n"
