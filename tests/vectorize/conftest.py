"""Real stores in a temporary directory, and the same on a real Chroma server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from edgecli.config.settings import Settings
from edgecli.vectorize.service import VectorizeService

T = TypeVar("T")

PLACES = ("local", pytest.param("server", marks=pytest.mark.slow))
"""Where Chroma is; most tests run on its server only in `make test`."""


class Life:
    """One event loop and a service that can be closed and opened again."""

    def __init__(self, directory: Path, place: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.place = place or {}
        self._loop = asyncio.new_event_loop()
        self.service = self.open()

    def open(self, settings: Settings | None = None) -> VectorizeService:
        settings = settings or Settings()
        placed = replace(settings, vectorize=replace(settings.vectorize, **self.place))
        return VectorizeService(self.directory, placed)

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def reopen(self, settings: Settings | None = None) -> VectorizeService:
        self(self.service.close())
        self.service = self.open(settings)
        return self.service

    def remove(self, part: str) -> None:
        """Close the service, delete `mirror` or `chroma`, and open again."""
        self(self.service.close())
        for folder in self.directory.glob(f"{part}*"):
            shutil.rmtree(folder)
        self.service = self.open()

    def end(self) -> None:
        self(self.service.close())
        self._loop.close()


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Chroma server that these tests share."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [Path(sys.executable).with_name("chroma"), "run", "--host", "127.0.0.1", "--port", str(port)]
    folder = tmp_path_factory.mktemp("chroma-server")
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--path", folder / "data"], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx2.get(f"{url}/api/v2/heartbeat").raise_for_status()
                break
            except httpx2.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


def place_on(url: str) -> dict[str, str]:
    """Return the settings of a new, empty database on a Chroma server."""
    name = f"test-{uuid.uuid4().hex}"
    httpx2.post(f"{url}/api/v2/tenants/default_tenant/databases", json={"name": name}).raise_for_status()
    return {"url": url, "database": name}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings that say where Chroma is."""
    return {} if request.param == "local" else place_on(request.getfixturevalue("chroma_server"))


@pytest.fixture
def life(tmp_path: Path, place: dict[str, str]) -> Iterator[Life]:
    """A service on an empty directory; `life(coroutine)` runs a call to its end."""
    life = Life(tmp_path / "vectorize", place)
    yield life
    life.end()
