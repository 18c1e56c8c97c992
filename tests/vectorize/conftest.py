"""Real stores in a temporary directory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edgecli.config.settings import Settings
from edgecli.vectorize.service import VectorizeService

T = TypeVar("T")


class Life:
    """One event loop and a service that can be closed and opened again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._loop = asyncio.new_event_loop()
        self.service = self.open()

    def open(self, settings: Settings | None = None) -> VectorizeService:
        return VectorizeService(self.directory, settings or Settings())

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def reopen(self, settings: Settings | None = None) -> VectorizeService:
        self(self.service.close())
        self.service = self.open(settings)
        return self.service

    def remove(self, part: str) -> None:
        """Close the service, delete `mirror` or `chroma`, and open again."""
        self(self.service.close())
        shutil.rmtree(self.directory / part)
        self.service = self.open()

    def end(self) -> None:
        self(self.service.close())
        self._loop.close()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A service on an empty directory; `life(coroutine)` runs a call to its end."""
    life = Life(tmp_path / "vectorize")
    yield life
    life.end()
