"""Where model files lie on this machine: by content, verified, shared by all projects.

    blobs/sha256-<hex>        each file once, whatever models hold it
    installed/<id>/           a model as engines want it: ordinary files, hard links to the blobs
    sources/<key>.json        which blobs a source gave, so that another model need not fetch it again
    partial/<key>/            a download that is not finished
    locks/                    one lock a model, one a source, one for the store's own steps

A model is installed exactly when its folder is there: it is built aside with its manifest, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.errors import NotFoundError, StateError
from edgecli.models.durable import delete_tree, digest, link, read_json, sync_folder, sync_tree, write_json
from edgecli.models.names import folder_name
from edgecli.models.schema import InstalledModel, ModelFile, ModelSpec
from edgecli.models.sources.address import redacted

if TYPE_CHECKING:
    from filelock import BaseFileLock

MANIFEST = ".edgecli-model.json"
BUSY_SECONDS = 10.0
"""How long a removal waits for a pull of the same model."""
FETCH_KEPT_SECONDS = 7 * 24 * 3600
"""How long files stay that were fetched for a pull which did not end: the next one need not fetch them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one file of an installed model."""

    model: str
    file: str
    problem: str
    """`missing` or `changed`."""
    expected: str
    """The SHA-256 that the file had when it was pulled."""
    actual: str | None = None


def default_home() -> Path:
    """Return `$EDGECLI_HOME/models`, or the models' folder in the user's cache directory."""
    home = os.environ.get("EDGECLI_HOME")
    if home:
        return Path(home).expanduser() / "models"
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgecli")) / "models"


def fingerprint(spec: ModelSpec) -> str:
    """Return a hash of what a model's files are, so that a changed definition is noticed."""
    files = [[file.source, file.name, sorted(file.sha256.items())] for file in spec.files]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:32]


class Store:
    """The models on this machine."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or default_home()
        self.blobs = self.home / "blobs"
        self._installed = self.home / "installed"
        self._sources = self.home / "sources"

    def folder(self, spec: ModelSpec) -> Path:
        """Return where a model's files lie once it is installed."""
        return self._installed / folder_name(spec.id)

    def partial(self, file: ModelFile) -> Path:
        """Return the folder of a file's unfinished download."""
        return self.home / "partial" / file_key(file)

    def lock(self, *parts: str) -> BaseFileLock:
        """Return a lock between processes; the operating system frees it when a process dies."""
        from filelock import FileLock

        folder = self.home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ("-".join(parts) + ".lock"))

    def installed(self) -> list[InstalledModel]:
        """Return every whole model, by id."""
        models = [model for model, _ in self._manifests()]
        return sorted(models, key=lambda model: model.id)

    def get(self, spec: ModelSpec) -> InstalledModel:
        """Return an installed model after a look at its manifest and its files' sizes; nothing is hashed.

        Raises NotFoundError, code `model_not_pulled` or `no_open_weights`; StateError, code `model_damaged`.
        """
        manifest = self._manifest(spec)
        if manifest is None:
            raise _not_pulled(spec)
        if manifest.get("fingerprint") != fingerprint(spec):
            raise NotFoundError(
                f"The files of the model `{spec.display_name}` have another definition now than when pulled.",
                hint=f"Run `edgecli models pull {spec.id}`; files that stayed the same are kept.",
                code="model_not_pulled",
                details={"model": spec.id},
            )
        damaged = self._damaged(self.folder(spec), manifest)
        if damaged:
            raise StateError(
                f"The model `{spec.display_name}` is damaged: `{damaged[0]}` is not as it was pulled.",
                hint=f"Run `edgecli models pull {spec.id}` to repair it.",
                code="model_damaged",
                details={"model": spec.id, "files": damaged},
            )
        return _model(self.folder(spec), manifest)

    def file_count(self, spec: ModelSpec) -> int:
        """Return how many files an installed model has."""
        return len((self._manifest(spec) or {"files": {}})["files"])

    def verify(self, spec: ModelSpec, progress: Callable[[str, int, int], None] | None = None) -> list[Problem]:
        """Hash an installed model's files again and return what is wrong; `pull` then repairs it.

        `progress` gets the file, its bytes hashed so far and its size. Raises NotFoundError.
        """
        manifest = self._manifest(spec)
        if manifest is None:
            raise _not_pulled(spec)
        problems: list[Problem] = []
        for name, entry in manifest["files"].items():
            problem = self._check(spec.id, name, entry, self.folder(spec) / name, progress)
            if problem is not None:
                problems.append(problem)
        self._note_damage(spec, manifest, problems)
        return problems

    def remove(self, spec: ModelSpec) -> int:
        """Delete a model and its unfinished downloads; what other models hold stays. Return the bytes freed.

        Raises NotFoundError, code `model_not_pulled`, if nothing of it is here; StateError if busy.
        """
        if not self.folder(spec).exists() and not any(self._traces(file) for file in spec.files):
            raise _not_pulled(spec)
        before = self.disk_usage()
        with self._alone(spec):
            manifest = self._manifest(spec) or {}
            # The definition may have changed since: the manifest knows what it was pulled from.
            for key in {*manifest.get("records", []), *(file_key(file) for file in spec.files)}:
                self._forget(key)
            with self.lock("store"):
                delete_tree(self.folder(spec))
                delete_tree(self.home / "staging" / folder_name(spec.id))
                self._sweep()
        return before - self.disk_usage()

    def disk_usage(self) -> int:
        """Return the bytes that the store takes; a file that several models hold counts once."""
        seen: dict[tuple[int, int], int] = {}
        for parent, _, names in os.walk(self.home):
            for name in names:
                with suppress(FileNotFoundError):  # another process may be pulling
                    status = (Path(parent) / name).lstat()
                    seen[(status.st_dev, status.st_ino)] = status.st_size
        return sum(seen.values())

    def add_blob(self, path: Path, sha256: str) -> None:
        """Move a verified file into the store under its hash."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)
        path.replace(self.blob(sha256))

    def blob(self, sha256: str) -> Path:
        """Return where the file of this hash lies, or would lie."""
        return self.blobs / f"sha256-{sha256}"

    def record(self, file: ModelFile, files: dict[str, dict[str, Any]], resolved: str) -> None:
        """Remember durably which blobs a source gave: path -> `{"sha256", "size"}`."""
        self._sources.mkdir(parents=True, exist_ok=True)
        value = {"source": redacted(file.source), "resolved": redacted(resolved), "files": files}
        write_json(self._record(file), value)

    def recorded(self, file: ModelFile) -> dict[str, Any] | None:
        """Return what `record` wrote, if its blobs are still here and have the hashes of the definition."""
        record = read_json(self._record(file))
        if record is None or not all(self._has(entry) for entry in record["files"].values()):
            return None
        hashes = {name: entry["sha256"] for name, entry in record["files"].items()}
        return record if file.sha256.items() <= hashes.items() else None

    def stage(self, spec: ModelSpec) -> Path:
        """Return an empty folder to build a model in; the caller holds the model's lock."""
        folder = self.home / "staging" / folder_name(spec.id)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def link_into(self, staged: Path, files: dict[str, dict[str, Any]]) -> bool:
        """Link blobs into a folder; return False if one was removed meanwhile and must be fetched again."""
        with self.lock("store"):
            if not all(self._has(entry) for entry in files.values()):
                return False
            for name, entry in files.items():
                link(self.blob(entry["sha256"]), staged / name)
        return True

    def commit(self, spec: ModelSpec, staged: Path, manifest: dict[str, Any]) -> InstalledModel:
        """Make a staged folder the installed model, in one durable step."""
        known = {
            "id": spec.id,
            "task": spec.task,
            "engine": spec.engine,
            "fingerprint": fingerprint(spec),
            "records": [file_key(file) for file in spec.files],
        }
        write_json(staged / MANIFEST, known | manifest)
        sync_tree(staged)
        target = self.folder(spec)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.lock("store"):
            delete_tree(target)
            staged.replace(target)
            sync_folder(self._installed)
        return self.get(spec)

    def _record(self, file: ModelFile) -> Path:
        return self._sources / f"{file_key(file)}.json"

    def _manifest(self, spec: ModelSpec) -> dict[str, Any] | None:
        return read_json(self.folder(spec) / MANIFEST)

    def _manifests(self) -> Iterable[tuple[InstalledModel, dict[str, Any]]]:
        for path in self._installed.glob(f"[!.]*/{MANIFEST}"):
            manifest = read_json(path)
            if manifest is not None:
                yield _model(path.parent, manifest), manifest

    def _has(self, entry: dict[str, Any]) -> bool:
        return _size(self.blob(entry["sha256"])) == entry["size"]

    def _damaged(self, folder: Path, manifest: dict[str, Any]) -> list[str]:
        known = list(manifest.get("damaged", []))
        return known or [name for name, entry in manifest["files"].items() if _size(folder / name) != entry["size"]]

    def _check(
        self,
        model: str,
        name: str,
        entry: dict[str, Any],
        path: Path,
        progress: Callable[[str, int, int], None] | None,
    ) -> Problem | None:
        size = _size(path)
        if size is None:
            return Problem(model, name, "missing", entry["sha256"])
        actual = digest(path, lambda done: progress(name, done, size) if progress else None)
        return None if actual == entry["sha256"] else Problem(model, name, "changed", entry["sha256"], actual)

    def _note_damage(self, spec: ModelSpec, manifest: dict[str, Any], problems: list[Problem]) -> None:
        """Keep damaged files from being linked again, and let `get` say so, until `pull` repairs them."""
        damaged = [problem.file for problem in problems]
        if damaged == manifest.get("damaged", []):
            return
        with self.lock("store"):
            for problem in problems:
                blob = self.blob(problem.expected)
                if _size(blob) is not None and digest(blob) != problem.expected:
                    blob.unlink()
            write_json(self.folder(spec) / MANIFEST, manifest | {"damaged": damaged})

    @contextmanager
    def _alone(self, spec: ModelSpec) -> Generator[None]:
        """Hold the lock of a model. Raises StateError, code `model_busy`, if a pull keeps it."""
        from filelock import Timeout

        try:
            with self.lock("model", folder_name(spec.id)).acquire(timeout=BUSY_SECONDS):
                yield
        except Timeout as error:
            raise StateError(
                f"The model `{spec.id}` is being pulled by another process.",
                hint="Wait for it to end, or end it; what it fetched stays.",
                code="model_busy",
            ) from error

    def _traces(self, file: ModelFile) -> bool:
        return self.partial(file).exists() or self._record(file).exists()

    def _forget(self, key: str) -> None:
        """Delete an unfinished download and the record of a source, unless another model's pull is at it."""
        from filelock import Timeout

        try:
            with self.lock("source", key).acquire(timeout=0):
                delete_tree(self.home / "partial" / key)
                (self._sources / f"{key}.json").unlink(missing_ok=True)
        except Timeout:
            return

    def _sweep(self) -> None:
        """Delete blobs that no model and no recent fetch holds, and what crashes left behind."""
        held = {entry["sha256"] for _, manifest in self._manifests() for entry in manifest["files"].values()}
        oldest = time.time() - FETCH_KEPT_SECONDS
        for path in self._sources.glob("*.json"):
            record = read_json(path)
            hashes = {entry["sha256"] for entry in record["files"].values()} if record else set[str]()
            if hashes and (hashes <= held or path.stat().st_mtime > oldest):
                held |= hashes
            else:
                path.unlink()
        for blob in self.blobs.glob("sha256-*"):
            if blob.name.removeprefix("sha256-") not in held:
                blob.unlink()
        for leftover in (*self._installed.glob(".deleted-*"), *(self.home / "partial").glob(".deleted-*")):
            shutil.rmtree(leftover)


def file_key(file: ModelFile) -> str:
    """Return a short name for a file of a definition, the same in every model that has it."""
    return hashlib.sha256(f"{file.source}\0{file.name}".encode()).hexdigest()[:24]


def no_open_weights(spec: ModelSpec) -> NotFoundError:
    """Return the error for a model that has a name and a price, and no files to pull."""
    return NotFoundError(
        f"No open weights of `{spec.display_name}` are known, so it cannot run here.",
        hint=f'Let another {spec.task} model stand in: [edgecli.models."{spec.id}"] use = "…", '
        "or give it a `source` there.",
        code="no_open_weights",
    )


def _not_pulled(spec: ModelSpec) -> NotFoundError:
    if not spec.files:
        return no_open_weights(spec)
    return NotFoundError(
        f"The model `{spec.display_name}` is not on this machine.",
        hint=f"Run `edgecli models pull {spec.id}`.",
        code="model_not_pulled",
        details={"model": spec.id},
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _model(folder: Path, manifest: dict[str, Any]) -> InstalledModel:
    files: dict[str, dict[str, Any]] = manifest["files"]
    return InstalledModel(
        id=manifest["id"],
        path=folder,
        size=sum(entry["size"] for entry in files.values()),
        pulled_at=manifest["pulled_at"],
        files={name: entry["sha256"] for name, entry in files.items()},
        task=manifest.get("task", ""),
        engine=manifest.get("engine", ""),
    )
