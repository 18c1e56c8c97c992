"""Writing files so that a crash at any instant leaves the old state or the new one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file durably: a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        sync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object, or return None if the file is absent or no object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def sync(descriptor: int) -> None:
    """Have the operating system write a file's data to the disk."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the operating system write a folder's entries to the disk; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Sync a folder and every folder below it."""
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))


def digest(path: Path, report: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file; `report` gets the bytes read so far."""
    hashed = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
            done += len(chunk)
            if report is not None:
                report(done)
    return hashed.hexdigest()


def copy(source: Path, target: Path, report: Callable[[int], None] | None = None) -> None:
    """Copy a file's bytes and sync them; `report` gets the bytes written so far."""
    done = 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
            done += len(chunk)
            if report is not None:
                report(done)
        writer.flush()
        sync(writer.fileno())


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy(source, target)


def delete_tree(folder: Path) -> None:
    """Delete a folder; it is first moved aside, so that nobody sees half of it."""
    if not folder.exists():
        return
    aside = folder.with_name(f".deleted-{os.getpid()}-{folder.name}"[:200])
    if aside.exists():
        shutil.rmtree(aside)
    folder.replace(aside)
    shutil.rmtree(aside)
