"""What all tests share: the starter models, pulled once for the machine, and projects to use them in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# A shell that starts the tests in the background lets them ignore Ctrl-C, and their children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

STARTER_MODELS = ("@edge/all-minilm-l6-v2", "@edge/smollm2-135m-instruct")


@pytest.fixture(scope="session")
def edgecli_home() -> Path:
    """The folder with the starter models: `EDGECLI_TEST_HOME`, or the user's own cache.

    Pulling them is part of the test: if it fails, so does every test that needs them.
    """
    from platformdirs import user_cache_path

    home = Path(os.environ.get("EDGECLI_TEST_HOME") or user_cache_path("edgecli"))
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "tests.lock"):
        done = subprocess.run(
            [sys.executable, "-m", "edgecli", "models", "pull", *STARTER_MODELS],
            env=os.environ | {"EDGECLI_HOME": str(home)},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    assert done.returncode == 0, f"the starter models could not be pulled:\n{done.stdout}\n{done.stderr}"
    return home


@pytest.fixture
def project(tmp_path: Path, edgecli_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an empty wrangler.toml, beside the starter models."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    monkeypatch.setenv("EDGECLI_HOME", str(edgecli_home))
    monkeypatch.chdir(root)
    return root


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def edgecli(tmp_path: Path) -> Run:
    """Run the command line as a user does: a process of its own, in the current directory."""

    def run(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgecli", *arguments],
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "100"} | environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run
