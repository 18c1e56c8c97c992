"""Deployed Workers on the disk.

    NAME/worker.json     the deployment that holds, its settings and secrets; readable by its owner only
    NAME/VERSION/…       its modules

`worker.json` is replaced as a whole once the modules are there, so a crash leaves the old Worker or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgecli.errors import NotFoundError, StateError, UsageError
from edgecli.space import full_disk
from edgecli.state import now, write_atomically
from edgecli.workers.deployed.upload import BINDINGS, VALUES, Upload
from edgecli.workers.spec import Binding, WorkerSpec

_NAME = re.compile(r"[a-z0-9_][a-z0-9-_]{0,62}")
_RECORD = "worker.json"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Worker as it was deployed last."""

    name: str
    version: str
    created_on: str
    modified_on: str
    main_module: str
    modules: dict[str, str]
    """Name -> content type."""
    bindings: list[dict[str, Any]]
    """As wrangler names them, without secrets."""
    compatibility_date: str | None = None
    compatibility_flags: list[str] = field(default_factory=list[str])
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    crons: list[str] = field(default_factory=list[str])
    message: str | None = None
    tag: str | None = None
    number: int = 1
    """Counts the versions of a Worker."""


class DeployedStore:
    """The folder of deployed Workers. Its functions block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def list(self) -> list[Deployment]:
        """Return all, by name."""
        records = sorted(self.directory.glob(f"*/{_RECORD}"))
        return [_read(path) for path in records]

    def find(self, name: str) -> Deployment | None:
        """Return the Worker of this name, or None."""
        try:
            return _read(self._folder(name) / _RECORD)
        except FileNotFoundError:
            return None

    def get(self, name: str) -> Deployment:
        """Return the Worker of this name. Raises NotFoundError."""
        found = self.find(name)
        if found is None:
            raise NotFoundError(
                f"No Worker `{name}` is deployed here.",
                hint="`edgecli workers list` shows those that are.",
                code="no_such_worker",
                cf_code=10007,
            )
        return found

    def draft(self, name: str, upload: Upload, before: Deployment | None = None) -> Deployment:
        """Write the modules of a new version and return what `publish` makes hold.

        What the upload keeps of bindings and secrets is that of the version `before`.
        """
        version = str(uuid.uuid4())
        folder = self._folder(name) / version
        try:
            for module, (_, content) in upload.modules.items():
                _write(folder / module, content)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise full_disk(error, self.directory) or UsageError(
                f"The modules of `{name}` cannot be written: {error.strerror}, `{error.filename}`.",
                hint="Two modules may be in each other's way, or a name be longer than 255 bytes.",
                code="bad_upload",
                cf_code=10021,
            ) from error
        inherited = {each["name"] for each in upload.bindings if each["type"] == "inherit"}
        secrets = {
            secret: text
            for secret, text in (before.secrets if before else {}).items()
            if "secret_text" in upload.kept or secret in inherited
        }
        secrets |= {each["name"]: str(each["text"]) for each in upload.bindings if each["type"] == "secret_text"}
        own = {each["name"]: each for each in (before.bindings if before else [])}
        named = {each["name"] for each in upload.bindings}
        bindings = [
            own[each["name"]] if each["type"] == "inherit" else each
            for each in upload.bindings
            if each["type"] != "secret_text" and (each["type"] != "inherit" or each["name"] in own)
        ]
        bindings += [each for each in own.values() if each["type"] in upload.kept and each["name"] not in named]
        return Deployment(
            name=name,
            version=version,
            created_on=before.created_on if before else now(),
            modified_on=now(),
            main_module=upload.main_module,
            modules={module: kind for module, (kind, _) in upload.modules.items()},
            bindings=bindings,
            compatibility_date=upload.compatibility_date,
            compatibility_flags=list(upload.compatibility_flags),
            secrets=secrets,
            message=upload.message,
            tag=upload.tag,
            number=before.number + 1 if before else 1,
        )

    def modules(self, deployment: Deployment) -> dict[str, bytes]:
        """Return the content of a version's modules."""
        folder = self._folder(deployment.name) / deployment.version
        return {name: (folder / name).read_bytes() for name in deployment.modules}

    def publish(self, deployment: Deployment, *, waiting: Collection[str] = ()) -> None:
        """Make a deployment the one that holds, and remove the modules of others that are not `waiting`."""
        folder = self._folder(deployment.name)
        write_atomically(folder / _RECORD, json.dumps(asdict(deployment), ensure_ascii=False, indent=1))
        for each in folder.iterdir():
            if each.is_dir() and each.name != deployment.version and each.name not in waiting:
                shutil.rmtree(each, ignore_errors=True)

    def discard(self, deployment: Deployment) -> None:
        """Remove a draft."""
        folder = self._folder(deployment.name)
        shutil.rmtree(folder / deployment.version, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing else is there

    def delete(self, name: str) -> None:
        """Remove a Worker: first its record, so that a crash leaves none without modules."""
        folder = self._folder(self.get(name).name)
        (folder / _RECORD).unlink()
        shutil.rmtree(folder, ignore_errors=True)

    def spec(self, deployment: Deployment) -> WorkerSpec:
        """Return the Worker as it is to run."""
        folder = self._folder(deployment.name) / deployment.version
        services = [each for each in deployment.bindings if each["type"] in BINDINGS]
        values = [each for each in deployment.bindings if each["type"] in VALUES]
        return WorkerSpec(
            name=deployment.name,
            root=folder,
            main=folder / deployment.main_module,
            bindings=tuple(_binding(each) for each in services),
            vars={each["name"]: each[VALUES[each["type"]]] for each in values},
            secrets=deployment.secrets,
            compatibility_date=deployment.compatibility_date,
            compatibility_flags=tuple(deployment.compatibility_flags),
            crons=tuple(deployment.crons),
            bundled=True,
            modules=deployment.modules,
        )

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` cannot name a Worker, which takes up to 63 of a-z, 0-9, `-` and `_`.",
                code="bad_name",
                cf_code=10016,
            )
        return self.directory / name


def _read(path: Path) -> Deployment:
    try:
        return Deployment(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise StateError(
            f"The record `{path}` of a deployed Worker cannot be read: {error}.",
            hint="Move its folder away, and deploy the Worker again.",
            code="state_damaged",
        ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        os.fsync(file.fileno())


def _binding(given: dict[str, Any]) -> Binding:
    kind, field = BINDINGS[given["type"]]
    return Binding(given["name"], kind, str(given[field]) if field else "")  # pyright: ignore[reportArgumentType]
