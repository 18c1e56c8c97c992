"""A server to deploy onto, and the real wrangler: fetched once for the machine, or its tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.server.conftest import Server
from tests.workers.deployed.deployer import SCRIPTS, Deployer
from tests.workers.workerd.conftest import workerd_home  # noqa: F401 - a fixture

WRANGLER = "4.86.0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("项目 one")
    (root / "wrangler.toml").write_text('name = "test"\n')
    server = Server(root, edgecli_home, "--no-warm")
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def cloud(server: Server) -> Iterator[Deployer]:
    deployer = Deployer(server)
    yield deployer
    for each in deployer.http.get(SCRIPTS).json()["result"]:
        deployer.http.delete(f"{SCRIPTS}/{each['id']}")
    deployer.http.close()


@pytest.fixture(scope="session")
def wrangler(edgecli_home: Path) -> Path:
    """The program, in the cache of the tests."""
    folder = edgecli_home / f"tests-wrangler-{WRANGLER}"
    program = folder / "node_modules" / ".bin" / "wrangler"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not program.exists():
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip("no npm to install wrangler with")
            options = ["--prefix", str(folder), "--no-audit", "--no-fund"]
            done = subprocess.run(
                [npm, "install", *options, f"wrangler@{WRANGLER}"], capture_output=True, text=True, timeout=600
            )
            if done.returncode:
                pytest.skip(f"npm could not install wrangler: {done.stderr[-500:]}")
    return program
