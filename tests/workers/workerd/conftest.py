"""The real workerd and esbuild, and real packages of npm: fetched once for the machine, or the tests are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from platformdirs import user_cache_path

from edgecli.errors import EdgeError
from edgecli.workers.workerd.install import install_all


@pytest.fixture(scope="session")
def workerd_home() -> Path:
    """The folder of edgecli's cache that holds both programs."""
    home = Path(os.environ.get("EDGECLI_TEST_HOME") or user_cache_path("edgecli"))
    before = os.environ.get("EDGECLI_HOME")
    os.environ["EDGECLI_HOME"] = str(home)
    try:
        install_all(None, offline=False)
    except EdgeError as error:
        pytest.skip(f"no workerd: {error.message}")
    finally:
        if before is None:
            del os.environ["EDGECLI_HOME"]
        else:
            os.environ["EDGECLI_HOME"] = before
    return home


@pytest.fixture
def programs(workerd_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let edgecli find both programs."""
    monkeypatch.setenv("EDGECLI_HOME", str(workerd_home))


@pytest.fixture(scope="session")
def node_modules(workerd_home: Path) -> Path:
    """A `node_modules` with hono, which npm installed."""
    folder = workerd_home / "tests-npm"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "node_modules" / "hono" / "package.json").is_file():
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip("no npm to install hono with")
            done = subprocess.run(
                [npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "hono@4"],
                capture_output=True,
                text=True,
                timeout=300,
            )
            if done.returncode:
                pytest.skip(f"npm could not install hono: {done.stderr[-500:]}")
    return folder / "node_modules"
