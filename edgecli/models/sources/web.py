"""`https:` sources: one file, by ranges, taken up where it was cut."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli import __version__
from edgecli.errors import UpstreamError
from edgecli.models.durable import read_json, sync, write_json
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import WebAddress, redacted
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report

if TYPE_CHECKING:
    import httpx2

TRIES_WITHOUT_PROGRESS = 5
BACKOFF_SECONDS = 0.5
"""Wait before the second try; doubled for each further one."""
LONGEST_WAIT_SECONDS = 30.0
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class _TryAgainError(Exception):
    """Say that a try failed in a way that the next one may not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class WebSource:
    """Download one address to `file.partial`, with a journal of which version of the file it holds.

    A cut download goes on only if the server still has that version (its ETag or date, by `If-Range`).
    """

    def __init__(self, file: ModelFile, address: WebAddress) -> None:
        self._file = file
        self._url = address.url
        self._shown = redacted(address.url)

    def needed(self, into: Path) -> int | None:
        """Return the file's size less what is already here; None if the server does not say."""
        import httpx2

        size = self._file.size
        if size is None:
            try:
                with self._client() as client:
                    answer = client.head(self._url)
                stated = answer.headers.get("content-length", "") if answer.is_success else ""
                size = int(stated) if stated.isdigit() else None
            except httpx2.TransportError:
                # The download that follows meets the same fault, tries again and reports it.
                size = None
        return None if size is None else max(0, size - _length(into / "file.partial"))

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Download until the file is whole; give up after five tries in a row that bring nothing."""
        import httpx2

        partial, failures = into / "file.partial", 0
        with self._client() as client:
            while True:
                before = _length(partial)
                try:
                    self._continue(client, partial, into / "journal.json", report)
                    return Fetched([FetchedFile(self._file.name, partial)], self._file.source)
                except (httpx2.TransportError, _TryAgainError) as error:
                    failures = 1 if _length(partial) > before else failures + 1
                    if failures >= TRIES_WITHOUT_PROGRESS:
                        raise self._gave_up(error, _length(partial)) from error
                    wait = getattr(error, "wait", None) or BACKOFF_SECONDS * 2 ** (failures - 1)
                    self._pause(min(wait, LONGEST_WAIT_SECONDS), partial, report)

    def _client(self) -> httpx2.Client:
        import httpx2

        # A compressed answer would make ranges and sizes mean something else.
        headers = {"user-agent": f"edgecli/{__version__}", "accept-encoding": "identity"}
        return httpx2.Client(headers=headers, follow_redirects=True, timeout=httpx2.Timeout(30.0))

    def _continue(self, client: httpx2.Client, partial: Path, journal: Path, report: Report) -> None:
        known = read_json(journal) or {}
        have = _length(partial)
        if have and not self._resumable(known):
            partial.unlink()
            have = 0
        if have and have == known.get("size"):
            report("download", self._file.name, have, have)
            return
        headers = {"range": f"bytes={have}-", "if-range": known["validator"]} if have else {}
        with client.stream("GET", self._url, headers=headers) as answer:
            self._check(answer, partial)
            start = _range_start(answer)
            if start not in {0, have}:
                raise _TryAgainError(f"the server sent bytes from {start} on, {have} was asked for")
            total = self._total(answer, start)
            if start == 0:
                write_json(
                    journal, {"url": self._shown, "validator": _validator(answer.headers), "size": total}
                )
            self._write(answer, partial, start, total, report)

    def _resumable(self, known: dict[str, Any]) -> bool:
        return known.get("url") == self._shown and bool(known.get("validator"))

    def _check(self, answer: httpx2.Response, partial: Path) -> None:
        status = answer.status_code
        if status == 416:
            partial.unlink(missing_ok=True)
            raise _TryAgainError("the server has no such range; the file is fetched from its beginning")
        if status in _RETRIED:
            stated = answer.headers.get("retry-after", "")
            raise _TryAgainError(f"the server answered {status}", float(stated) if stated.isdigit() else None)
        if not answer.is_success:
            hint = {401: "It wants a login.", 403: "Access is denied.", 404: "Check the address."}.get(status)
            raise UpstreamError(
                f"`{self._shown}` answered {status} {answer.reason_phrase}.", hint=hint, code="download"
            )
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html") and not self._file.name.endswith((".html", ".htm")):
            raise UpstreamError(
                f"`{self._shown}` answered with a web page, not with `{self._file.name}`.",
                hint="The address may want a login, or be that of a page about the file.",
                code="download",
            )
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamError(
                f"`{self._shown}` answered compressed, which was not asked for.", code="download"
            )

    def _total(self, answer: httpx2.Response, start: int) -> int | None:
        stated = answer.headers.get("content-length", "")
        return start + int(stated) if stated.isdigit() else None

    def _write(
        self, answer: httpx2.Response, partial: Path, start: int, total: int | None, report: Report
    ) -> None:
        done = start
        with partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            # Chunks as they come: collecting larger ones would lose the last bytes before a cut.
            for chunk in answer.iter_raw():
                file.write(chunk)
                done += len(chunk)
                report("download", self._file.name, done, total)
            file.flush()
            sync(file.fileno())
        if total is not None and done != total:
            raise _TryAgainError(f"the server sent {done} bytes of {total}")

    def _pause(self, seconds: float, partial: Path, report: Report) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            report("download", self._file.name, _length(partial), self._file.size)
            time.sleep(min(left, 0.2))

    def _gave_up(self, error: Exception, have: int) -> UpstreamError:
        reason = str(error) or type(error).__name__
        return UpstreamError(
            f"`{self._shown}` could not be downloaded after {TRIES_WITHOUT_PROGRESS} tries: {reason}.",
            hint=f"Check the network and pull again: {have} bytes are here and are not fetched twice.",
            code="download",
        )


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what `If-Range` can compare: a strong ETag, else the date. A weak one is not about bytes."""
    etag = headers.get("etag")
    return etag if etag and not etag.startswith("W/") else headers.get("last-modified")


def _range_start(answer: httpx2.Response) -> int:
    """Return the offset of an answer's first byte: 0 for a whole file, also where a range was asked for."""
    if answer.status_code != 206:
        return 0
    stated = answer.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    if not stated.isdigit():
        raise _TryAgainError("the server answered with a range and did not say which")
    return int(stated)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
