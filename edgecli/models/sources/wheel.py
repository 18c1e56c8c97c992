"""`pypi:` sources: files inside a Python package's wheel, by pip and the user's own pip configuration."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgecli.errors import EngineError, NotFoundError, UpstreamError
from edgecli.models.durable import CHUNK, sync
from edgecli.models.schema import ModelFile
from edgecli.models.sources.address import WheelAddress, checked_name
from edgecli.models.sources.fetched import Fetched, FetchedFile, Report

POLL_SECONDS = 0.2
_SYMLINK = 0o120000


class WheelSource:
    """Download one wheel without its dependencies and take the named path out of it.

    pip cannot take up a download that was cut; its own cache spares the second one where the first was whole.
    """

    def __init__(self, file: ModelFile, address: WheelAddress) -> None:
        self._file = file
        self._address = address
        self._requirement = f"{address.package}=={address.version}"

    def needed(self, into: Path) -> int | None:
        """Return room for the wheel and for what is taken out of it, which compression makes larger."""
        return None if self._file.size is None else int(self._file.size * 2.2)

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Run `pip download`, then unpack; nothing of the wheel stays."""
        for leftover in into.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        # Names of this process's own: a pip whose parent was killed may still be writing to the leftovers.
        downloads, unpacked = into / f"wheel-{os.getpid()}", into / f"files-{os.getpid()}"
        unpacked.mkdir()
        try:
            wheel = self._download(downloads, report)
            names = self._unpack(wheel, unpacked, report)
        finally:
            shutil.rmtree(downloads, ignore_errors=True)
        resolved = f"pypi:{self._requirement}/{self._address.path}"
        return Fetched([FetchedFile(name, path) for name, path in names.items()], resolved)

    def _download(self, folder: Path, report: Report) -> Path:
        folder.mkdir()
        with _pip_download(self._requirement, folder) as (process, log):
            while True:
                report("download", self._requirement, _bytes_below(folder), self._file.size)
                try:
                    code = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue
            log.seek(0)
            if code != 0:
                raise _pip_failed(self._requirement, log.read())
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise UpstreamError(f"pip ended without an error, yet left {len(wheels)} wheels of `{self._requirement}`.")
        report("download", self._requirement, wheels[0].stat().st_size, wheels[0].stat().st_size)
        return wheels[0]

    def _unpack(self, wheel: Path, into: Path, report: Report) -> dict[str, Path]:
        with _open_wheel(wheel, self._requirement) as archive:
            members = self._members(archive)
            _check_room(sum(member.file_size for member in members.values()), into)
            paths: dict[str, Path] = {}
            for number, (name, member) in enumerate(members.items()):
                paths[name] = into / str(number)
                with archive.open(member) as reader, paths[name].open("wb") as writer:
                    _copy(reader, writer, name, member.file_size, report)
            return paths

    def _members(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        """Return name below the model's folder -> member; a name that would leave that folder is refused."""
        wanted, prefix = self._address.path, self._file.name
        chosen: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            inside = member.filename.startswith(wanted) if wanted.endswith("/") else member.filename == wanted
            if not inside or member.is_dir():
                continue
            if wanted.endswith("/"):
                below = member.filename.removeprefix(wanted)
                name = f"{prefix}/{below}" if prefix else below
            else:
                name = prefix or Path(wanted).name
            chosen[_checked_member(name, member, self._requirement)] = member
        if not chosen:
            raise NotFoundError(
                f"The wheel of `{self._requirement}` holds no `{wanted}`.",
                hint="It holds, among others: " + ", ".join(f"`{name}`" for name in _largest(archive)) + ".",
                code="source_not_found",
            )
        return chosen


@contextmanager
def _pip_download(requirement: str, folder: Path) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run pip in a process of its own, ended when the block is left."""
    if importlib.util.find_spec("pip") is None:
        raise EngineError(
            f"pip, which downloads `{requirement}`, is not installed for `{sys.executable}`.",
            hint="Run `python -m ensurepip` (or `uv pip install pip`) in this environment.",
            code="pip_missing",
        )
    temporary = folder / "tmp"
    temporary.mkdir()
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--progress-bar=off",
        "--disable-pip-version-check",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    with (folder / "log").open("w+b") as log:
        # pip writes to its temporary folder first: lying in ours, it shows progress and is cleaned with it.
        environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _pip_failed(requirement: str, log: bytes) -> UpstreamError:
    lines = [line for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-3:]
    # The last error is the conclusion; one before it may list every version of the package.
    reason = " ".join(line.removeprefix("ERROR:").strip()[:300] for line in errors[-2:])
    return UpstreamError(
        f"pip could not download `{requirement}`: {reason}",
        hint="edgecli uses your own pip configuration (`pip config list`): check its index and the network.",
        code="pip_failed",
    )


@contextmanager
def _open_wheel(wheel: Path, requirement: str) -> Generator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise UpstreamError(
            f"The wheel of `{requirement}` is damaged: {error}.", hint="Pull the model again."
        ) from error


def _checked_member(name: str, member: zipfile.ZipInfo, requirement: str) -> str:
    try:
        checked_name(name)
    except ValueError as error:
        raise UpstreamError(f"The wheel of `{requirement}` is refused: {error}.", code="unsafe_archive") from error
    if (member.external_attr >> 16) & 0o170000 == _SYMLINK:
        raise UpstreamError(f"The wheel of `{requirement}` is refused: `{name}` is a link.", code="unsafe_archive")
    return name


def _check_room(size: int, folder: Path) -> None:
    from edgecli.space import check_space

    check_space(size, folder)


def _copy(reader: IO[bytes], writer: IO[bytes], name: str, size: int, report: Report) -> None:
    done = 0
    while chunk := reader.read(CHUNK):
        writer.write(chunk)
        done += len(chunk)
        report("unpack", name, done, size)
    writer.flush()
    sync(writer.fileno())


def _largest(archive: zipfile.ZipFile) -> list[str]:
    members = sorted(archive.infolist(), key=lambda member: -member.file_size)
    return [member.filename for member in members[:3]]


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # pip moves and deletes files while they are counted.
            if (path := Path(parent) / name).exists():
                total += _size(path)
    return total


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
