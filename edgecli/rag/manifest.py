"""Compare a folder with the manifest: what is new, changed, unchanged, gone, or left by a killed run."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edgecli.documents.suffixes import supported
from edgecli.rag.scan import FoundFile, Scanner
from edgecli.rag.store import DocumentRow, FileVersion

RACY_NS = 2_000_000_000
"""A file changed this recently may change again within the clock's resolution: its time proves nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """A file to read, chunk, embed and write."""

    file: FoundFile
    version: FileVersion
    doc_id: str
    replaces: bool
    """Whether an older version of the file is in the index."""


@dataclass(slots=True)
class Plan:
    """What a run has to do."""

    found: int = 0
    unchanged: int = 0
    work: list[Work] = field(default_factory=list[Work])
    touched: list[tuple[str, FileVersion]] = field(default_factory=list[tuple[str, FileVersion]])
    """Documents whose file has a new time but the same content."""
    gone: list[DocumentRow] = field(default_factory=list[DocumentRow])
    leftovers: list[DocumentRow] = field(default_factory=list[DocumentRow])


def plan_run(scanner: Scanner, documents: Iterable[DocumentRow], fingerprint: str) -> Plan:
    """Compare the scanner's files with the manifest's documents."""
    plan = Plan()
    live: dict[str, DocumentRow] = {}
    for document in documents:
        if document.state == "live":
            live[document.version.path] = document
        else:
            plan.leftovers.append(document)
    seen: set[str] = set()
    for file in scanner.files():
        if not supported(file.path) and file.path != scanner.root:
            continue
        plan.found += 1
        seen.add(file.name)
        _judge(plan, file, live.get(file.name), fingerprint)
    plan.gone = [
        row for name, row in live.items() if name not in seen and scanner.covers(name) and not scanner.hides(name)
    ]
    return plan


def _judge(plan: Plan, file: FoundFile, known: DocumentRow | None, fingerprint: str) -> None:
    if known and known.version.fingerprint == fingerprint and _same_stat(file, known.version):
        plan.unchanged += 1
        return
    digest = _sha256(file.path)
    racy = time.time_ns() - file.modified_ns < RACY_NS
    version = FileVersion(file.name, file.size, 0 if racy else file.modified_ns, digest, fingerprint)
    if known and digest == known.version.sha256 and known.version.fingerprint == fingerprint:
        plan.unchanged += 1
        plan.touched.append((known.doc_id, version))
        return
    plan.work.append(Work(file, version, document_id(version), replaces=known is not None))


def _same_stat(file: FoundFile, version: FileVersion) -> bool:
    return file.size == version.size and file.modified_ns == version.modified_ns


def document_id(version: FileVersion) -> str:
    """Return the id of one version of one file: 32 characters of `a-z2-7`.

    A changed file gets another id, so that its old and new chunks never mix.
    """
    identity = "\0".join((version.path, version.sha256, version.fingerprint))
    return base64.b32encode(hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()[:20]).decode().lower()


def _sha256(path: Path) -> str:
    """Return the file's hash; an unreadable file hashes to nothing and fails later, where it is reported."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
