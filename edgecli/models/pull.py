"""Bring a model onto this machine: room, files, hashes, conversion, and one step that makes it installed.

Every file is verified before it enters the store, and the model appears whole or not at all. What an
interrupted pull fetched stays and is taken up by the next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.errors import NotFoundError, StateError, UpstreamError
from edgecli.models.convert import convert, needs_conversion
from edgecli.models.durable import digest, sync_folder
from edgecli.models.names import folder_name
from edgecli.models.schema import InstalledModel, ModelFile, ModelSpec, PullProgress
from edgecli.models.sources import open_source
from edgecli.models.sources.address import checked_name, redacted
from edgecli.models.sources.fetched import Fetched
from edgecli.models.store import Store, file_key, no_open_weights
from edgecli.space import check_space, is_no_space, no_space

if TYPE_CHECKING:
    from filelock import BaseFileLock

Progress = Callable[[PullProgress], None]
Files = dict[str, dict[str, Any]]
"""Path below the model's folder -> `{"sha256", "size"}`."""

WAIT_SECONDS = 0.25
GGUF_HEADER = 24
"""Bytes: magic, version, numbers of tensors and of keys."""


def pull(spec: ModelSpec, store: Store, *, offline: bool, progress: Progress) -> InstalledModel:
    """Install a model, or return it if it is there already.

    `progress` is called often and may raise to end the pull, which leaves a state that the next one takes up.
    A second pull of the same model or file waits for the first. Raises NotFoundError, code `no_open_weights`;
    LimitError, code `no_space`; UpstreamError, code `hash_mismatch`, `not_gguf`, `offline` or a source's; ConfigError.
    """
    if not spec.files:
        raise no_open_weights(spec)
    present = _present(spec, store)
    if present is None:
        try:
            return _Pull(spec, store, offline, progress).run()
        except OSError as error:
            if is_no_space(error):
                raise no_space(store.home) from error
            raise
    progress(PullProgress(spec.id, "present", done=present.size, total=present.size))
    return present


def _present(spec: ModelSpec, store: Store) -> InstalledModel | None:
    try:
        model = store.get(spec)
    except (NotFoundError, StateError):
        return None
    return None if needs_conversion(spec, model.path) else model


class _Pull:
    """One pull of one model."""

    def __init__(self, spec: ModelSpec, store: Store, offline: bool, progress: Progress) -> None:
        self.spec = spec
        self.store = store
        self.offline = offline
        self.progress = progress

    def run(self) -> InstalledModel:
        with self._held(self.store.lock("model", folder_name(self.spec.id)), ""):
            present = _present(self.spec, self.store)  # another process may have pulled it while we waited
            if present is not None:
                self._say("present", done=present.size, total=present.size)
                return present
            self._check_space()
            staged = self.store.stage(self.spec)
            files: Files = {}
            resolved: dict[str, str] = {}
            for file in self.spec.files:
                record = self._into(staged, file)
                files |= record["files"]
                resolved[redacted(file.source)] = record["resolved"]
            derived = convert(self.spec, staged, self._say)
            model = self.store.commit(
                self.spec,
                staged,
                {
                    "files": files | derived,
                    "derived": sorted(derived),
                    "resolved": resolved,
                    "pulled_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                },
            )
            self._say("done", done=model.size, total=model.size)
            return model

    def _check_space(self) -> None:
        """Add up what is still to come, and refuse before the first byte if it cannot fit."""
        needed = 0
        for file in self.spec.files:
            self._say("check", redacted(file.source))
            if self.store.recorded(file) is None:
                needed += open_source(file, offline=self.offline).needed(self.store.partial(file)) or 0
        check_space(needed, self.store.home)

    def _into(self, staged: Path, file: ModelFile) -> dict[str, Any]:
        """Link one source's files into the staged folder, fetching them if they are not in the store."""
        while True:
            record = self._fetched(file)
            if self.store.link_into(staged, record["files"]):
                return record

    def _fetched(self, file: ModelFile) -> dict[str, Any]:
        with self._held(self.store.lock("source", file_key(file)), redacted(file.source)):
            record = self.store.recorded(file)
            if record is not None:
                self._say("present", redacted(file.source))
                return record
            folder = self.store.partial(file)
            folder.mkdir(parents=True, exist_ok=True)
            fetched = open_source(file, offline=self.offline).fetch(folder, self._say)
            files = self._verified(file, fetched, folder)
            self._keep(file, fetched, files)
            shutil.rmtree(folder)
            return {"files": files, "resolved": redacted(fetched.resolved)}

    def _verified(self, file: ModelFile, fetched: Fetched, folder: Path) -> Files:
        """Hash what a source gave; on any mismatch delete it all and raise UpstreamError."""
        files: Files = {}
        for each in fetched.files:
            size = each.path.stat().st_size
            actual = digest(each.path, partial(self._verifying, each.name, size))
            expected = file.sha256.get(each.name) or each.sha256
            if expected is not None and actual != expected:
                shutil.rmtree(folder)
                raise _mismatch(file, each.name, expected, actual)
            if each.name.lower().endswith(".gguf") and not _is_gguf(each.path):
                shutil.rmtree(folder)
                raise _no_gguf(file, each.name, size)
            files[checked_name(each.name)] = {"sha256": actual, "size": size}
        lacking = [name for name in file.sha256 if name not in files]
        if lacking:
            shutil.rmtree(folder)
            raise _lacking(file, lacking[0])
        return files

    def _verifying(self, name: str, size: int, done: int) -> None:
        self._say("verify", name, done, size)

    def _keep(self, file: ModelFile, fetched: Fetched, files: Files) -> None:
        # The record comes first: it counts once its blobs are there, and keeps them from being swept.
        self.store.record(file, files, fetched.resolved)
        for each in fetched.files:
            self.store.add_blob(each.path, files[each.name]["sha256"])
        sync_folder(self.store.blobs)

    @contextmanager
    def _held(self, lock: BaseFileLock, what: str) -> Generator[None]:
        from filelock import Timeout

        while True:
            try:
                lock.acquire(timeout=WAIT_SECONDS, poll_interval=0.05)
                break
            except Timeout:
                self._say("wait", what, text="another process is pulling it")
        try:
            yield
        finally:
            lock.release()

    def _say(self, phase: str, file: str = "", done: int = 0, total: int | None = None, text: str = "") -> None:
        self.progress(PullProgress(self.spec.id, phase, file, done, total, text))


def _mismatch(file: ModelFile, name: str, expected: str, actual: str) -> UpstreamError:
    return UpstreamError(
        f"`{name}` from `{redacted(file.source)}` is not the expected file: "
        f"its SHA-256 is {actual}, {expected} was expected. Nothing of it was kept.",
        hint="Pull again; if it stays so, the source has changed or was tampered with.",
        code="hash_mismatch",
        details={"expected": expected, "actual": actual},
    )


def _is_gguf(path: Path) -> bool:
    """Tell whether a file begins as one of GGUF does, and could hold its header: docs/gguf.md of ggml."""
    with path.open("rb") as file:
        head = file.read(GGUF_HEADER)
    return head.startswith(b"GGUF") and len(head) == GGUF_HEADER


def _no_gguf(file: ModelFile, name: str, size: int) -> UpstreamError:
    return UpstreamError(
        f"`{name}` from `{redacted(file.source)}` is no GGUF file: "
        f"its {size} bytes do not begin with the header of one. Nothing of it was kept.",
        hint="Check the source: a page about the file, or a Git LFS pointer, is not the file itself.",
        code="not_gguf",
    )


def _lacking(file: ModelFile, name: str) -> UpstreamError:
    return UpstreamError(
        f"`{redacted(file.source)}` gave no `{name}`, whose hash the model's definition states.",
        hint="The source has changed; check the definition.",
        code="source_changed",
    )
