"""The starter models' folders, and the service over them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edgecli.ai.service import AiService
from edgecli.config.settings import Settings
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store

T = TypeVar("T")

EMBEDDING = "@edge/all-minilm-l6-v2"
GENERATION = "@edge/smollm2-135m-instruct"


@dataclass
class Models:
    """The catalog and store that the service works on."""

    catalog: Catalog
    store: Store


@pytest.fixture(scope="session")
def models(edgecli_home: Path) -> Models:
    return Models(Catalog.load(), Store(edgecli_home / "models"))


@pytest.fixture(scope="session")
def embedding_folder(models: Models) -> Path:
    return models.store.get(models.catalog.resolve(EMBEDDING)).path


@pytest.fixture(scope="session")
def generation_folder(models: Models) -> Path:
    return models.store.get(models.catalog.resolve(GENERATION)).path


class Life:
    """One event loop and a service in it; `life(coroutine)` runs a call to its end."""

    def __init__(self, models: Models) -> None:
        self._loop = asyncio.new_event_loop()
        self.service = AiService(models, Settings(threads=1))

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def end(self) -> None:
        self(self.service.close())
        self(self._loop.shutdown_asyncgens())
        self._loop.close()


@pytest.fixture
def life(models: Models) -> Iterator[Life]:
    life = Life(models)
    yield life
    life.end()
