"""`https:` sources: one file."""

from __future__ import annotations

from pathlib import Path

from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import WebAddress
from edgecli.models.sources.download import PARTIAL, Download, length
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report


class WebSource:
    """Download one address."""

    def __init__(self, file: ModelFile, address: WebAddress) -> None:
        self._file = file
        self._download = Download(address.url, file.name, size=file.size)

    def needed(self, into: Path) -> int | None:
        """Return the file's size less what is already here; None if the server does not say."""
        size = self._file.size or self._download.stated_size()
        return None if size is None else max(0, size - length(into / PARTIAL))

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Download until the file is whole; give up after five tries in a row that bring nothing."""
        return Fetched([FetchedFile(self._file.name, self._download.run(into, report))], self._file.source)
