"""What every kind of source gives: files on disk, and how it says how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Report(Protocol):
    """Take one step of a fetch. It may raise to end the fetch; what is on disk then serves the next try."""

    def __call__(self, phase: str, file: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file that a source gave, not yet verified."""

    name: str
    """Path below the model's folder."""
    path: Path
    sha256: str | None = None
    """The hash that the source itself states, where it does."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """All files of one source."""

    files: list[FetchedFile] = field(default_factory=list[FetchedFile])
    resolved: str = ""
    """The source with what it stood for at that time, as a commit in place of a branch."""


class Source(Protocol):
    """One kind of source, for one `ModelFile`."""

    def needed(self, into: Path) -> int | None:
        """Return the bytes of disk that fetching into `into` still takes, if that can be known."""
        ...

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Bring the files into the folder `into`, taking up what an earlier try left there.

        Raises UpstreamError, NotFoundError or ConfigError; whole files are checked by the caller.
        """
        ...
