from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecli.models.schema import ModelFile, ModelSpec, PullProgress, Task
from edgecli.models.sources import download
from edgecli.models.store import Store
from tests.models.file_server import FileServer, file_server


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: the waits are for servers that others use."""
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


class Steps(list[PullProgress]):
    """The steps of a pull, collected."""

    def __call__(self, step: PullProgress) -> None:
        self.append(step)

    @property
    def phases(self) -> list[str]:
        """The phases in their order, each run of the same one once."""
        names = [step.phase for step in self]
        return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]


@pytest.fixture
def steps() -> Steps:
    return Steps()


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that no compression shortens and no other seed gives; they begin as a GGUF file does."""
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(*files: ModelFile, id: str = "@test/model", engine: str = "llama_cpp") -> ModelSpec:
    return ModelSpec(id=id, task=Task.TEXT_GENERATION, engine=engine, files=files)


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, the manifest excepted."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".edgecli-model.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
