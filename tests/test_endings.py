"""How a command ends when something outside ends it: a closed pipe, SIGTERM, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecli.state import State


def _start(root: Path, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgecli", *arguments],
        cwd=root,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    return tmp_path


PRINTING = [
    ("--help",),
    ("--version",),
    ("models", "--help"),
    ("models", "list"),
    ("models", "list", "--json"),
    ("config", "show"),
]


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_reader_that_has_gone_is_no_error(root: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = _start(root, *arguments, stdout=writer)
    os.close(writer)
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (141, "")


@pytest.mark.parametrize("arguments", PRINTING)
@pytest.mark.parametrize(("target", "why"), [("/dev/full", "No space left on device"), ("&-", "stdout is closed")])
def test_an_output_that_cannot_be_written_is_named(
    root: Path, arguments: tuple[str, ...], target: str, why: str
) -> None:
    command = f"{sys.executable} -m edgecli {' '.join(arguments)} >{target}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=root, env=environment, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"The output could not be written: {why}" in done.stderr
    assert "Traceback" not in done.stderr and "fault of edgecli" not in done.stderr


def test_closed_stdin_and_stderr_are_no_error(root: Path) -> None:
    command = f"{sys.executable} -m edgecli config check <&- 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)

MODULE = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
from edgecli.entry import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "edgecli.cli", "edgecli.config.project"])
def test_ctrl_c_while_a_library_is_imported_is_quiet(root: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, module, "config", "check"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr in {"", "Interrupted.\n"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_waits_for_the_state_ends_at_once(root: Path, number: int, code: int) -> None:
    state = State(root / ".edgecli")
    state.acquire()
    process = _start(root, "vectorize", "list")
    _wait_for_the_app(process)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=60)
    state.close()
    assert process.returncode == code
    assert "Traceback" not in complaints
    assert "in use by process" not in complaints


def _wait_for_the_app(process: subprocess.Popen[str]) -> None:
    """Wait until the app's thread runs and has met the lock; where /proc does not say, until it probably has."""
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.exists():
        time.sleep(3)
        return
    while process.poll() is None and len(list(threads.iterdir())) < 2:
        time.sleep(0.01)
    time.sleep(1)
