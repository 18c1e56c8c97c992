"""Download one file by ranges, and take it up where it was cut."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli import __version__
from edgecli.errors import ConfigError, UpstreamError
from edgecli.models.durable import read_json, sync, write_json
from edgecli.models.sources.address import redacted
from edgecli.models.sources.fetched import Report

if TYPE_CHECKING:
    import httpx2

TRIES_WITHOUT_PROGRESS = 5
BACKOFF_SECONDS = 0.5
"""Wait before the second try; doubled for each further one."""
LONGEST_WAIT_SECONDS = 30.0
PARTIAL = "file.partial"
JOURNAL = "journal.json"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class _TryAgainError(Exception):
    """Say that a try failed in a way that the next one may not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Download:
    """One address, downloaded to `file.partial` with a journal of which version of the file it holds.

    A cut download goes on only if the server still has that version (its ETag or date, by `If-Range`).
    """

    def __init__(
        self, url: str, name: str, *, size: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._url = url
        self._shown = redacted(url)
        self._name = name
        self._size = size
        self._headers = headers or {}

    def stated_size(self) -> int | None:
        """Ask the server how large the file is; None if it does not say."""
        import httpx2

        try:
            with self._client() as client:
                answer = client.head(self._url)
        except httpx2.RequestError:
            # The download that follows meets the same fault, tries again and reports it.
            return None
        stated = answer.headers.get("content-length", "") if answer.is_success else ""
        return int(stated) if stated.isdigit() else None

    def run(self, folder: Path, report: Report) -> Path:
        """Download into `folder` and return the whole file, synced.

        Raises UpstreamError, code `download`, after five tries in a row that bring nothing, or at once where
        trying again is no use; `details` then holds the `status`.
        """
        import httpx2

        folder.mkdir(parents=True, exist_ok=True)
        partial, failures = folder / PARTIAL, 0
        with self._client() as client:
            while True:
                before = length(partial)
                try:
                    self._continue(client, partial, folder / JOURNAL, report)
                    return partial
                except (httpx2.RequestError, _TryAgainError) as error:
                    failures = 1 if length(partial) > before else failures + 1
                    if failures >= TRIES_WITHOUT_PROGRESS:
                        raise self._gave_up(error, length(partial)) from error
                    wait = getattr(error, "wait", None) or BACKOFF_SECONDS * 2 ** (failures - 1)
                    self._pause(min(wait, LONGEST_WAIT_SECONDS), partial, report)
                except httpx2.InvalidURL as error:
                    raise ConfigError(f"`{self._shown}` is no address: {error}.", code="bad_source") from error

    def _client(self) -> httpx2.Client:
        import httpx2

        # A compressed answer would make ranges and sizes mean something else.
        own = {"user-agent": f"edgecli/{__version__}", "accept-encoding": "identity"}
        headers = {**self._headers, **own}
        return httpx2.Client(headers=headers, follow_redirects=True, timeout=httpx2.Timeout(30.0))

    def _continue(self, client: httpx2.Client, partial: Path, journal: Path, report: Report) -> None:
        known = read_json(journal) or {}
        have = length(partial)
        if have and not self._resumable(known):
            partial.unlink()
            have = 0
        if have and have == known.get("size"):
            report("download", self._name, have, have)
            return
        headers = {"range": f"bytes={have}-", "if-range": known["validator"]} if have else {}
        with client.stream("GET", self._url, headers=headers) as answer:
            self._check(answer, partial)
            start = _range_start(answer)
            if start not in {0, have}:
                raise _TryAgainError(f"the server sent bytes from {start} on, {have} was asked for")
            total = self._total(answer, start)
            if start == 0:
                # In this order: a journal must never speak of another version's bytes.
                partial.unlink(missing_ok=True)
                write_json(journal, {"url": self._shown, "validator": _validator(answer.headers), "size": total})
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
                f"`{self._shown}` answered {status} {answer.reason_phrase}.",
                hint=hint,
                code="download",
                details={"status": status},
            )
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html") and not self._name.endswith((".html", ".htm")):
            raise UpstreamError(
                f"`{self._shown}` answered with a web page, not with `{self._name}`.",
                hint="The address may want a login, or be that of a page about the file.",
                code="download",
            )
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamError(f"`{self._shown}` answered compressed, which was not asked for.", code="download")

    def _total(self, answer: httpx2.Response, start: int) -> int | None:
        stated = answer.headers.get("content-length", "")
        return start + int(stated) if stated.isdigit() else None

    def _write(self, answer: httpx2.Response, partial: Path, start: int, total: int | None, report: Report) -> None:
        done = start
        with partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            # Chunks as they come: collecting larger ones would lose the last bytes before a cut.
            for chunk in answer.iter_raw():
                file.write(chunk)
                done += len(chunk)
                report("download", self._name, done, total)
            file.flush()
            sync(file.fileno())
        if total is not None and done != total:
            raise _TryAgainError(f"the server sent {done} bytes of {total}")

    def _pause(self, seconds: float, partial: Path, report: Report) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            report("download", self._name, length(partial), self._size)
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


def length(path: Path) -> int:
    """Return the size of a file, 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
