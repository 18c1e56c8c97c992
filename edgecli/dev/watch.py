"""Notice that the source of a Worker was saved."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Literal

IGNORED = {"node_modules", "__pycache__", "python_modules", "site-packages", "venv", "dist", "build"}
"""Folders that hold no source of one's own; those whose names begin with a dot are left out too."""
MOST_FOLDERS = 2_000
"""Folders that are watched; a system has room for some tens of thousands, for all programs."""
SOURCES = {
    "python": {".py"},
    "javascript": {
        *(".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"),
        *(".json", ".wasm", ".html", ".txt", ".css", ".sql", ".bin"),
    },
}
# Editors write a file in several steps: wait for a pause of 20 ms, but not for longer than 100.
_STEP, _DEBOUNCE = 20, 100

Kind = Literal["source", "configuration"]


def is_configuration(path: Path) -> bool:
    """Tell whether a file is one that the configuration is read from."""
    name = path.name
    return name in {"wrangler.toml", "wrangler.json", "wrangler.jsonc"} or name.startswith((".dev.vars", ".env"))


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders of a project that may hold source, links followed, each once."""
    seen: set[Path] = set()
    waiting = [root]
    while waiting and len(seen) < MOST_FOLDERS:
        folder = waiting.pop()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        yield real
        try:
            entries = [entry.path for entry in os.scandir(folder) if _may_hold_source(entry)]
        except OSError:
            continue
        waiting.extend(Path(path) for path in entries)


def _may_hold_source(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and entry.name not in IGNORED and not entry.name.startswith(".")
    except OSError:
        return False


def linked_files(folder: Path) -> Iterator[Path]:
    """Yield what the links among the files of a folder lead to: saving changes that, and not the link."""
    try:
        for entry in os.scandir(folder):
            if entry.is_symlink() and not entry.is_dir():
                yield Path(entry.path).resolve()
    except OSError:
        return


class Watcher:
    """The files of one project."""

    def __init__(self, root: Path, main: Path, config: Path | None, language: str) -> None:
        self._root = root
        self._main = main
        self._config = config
        self._suffixes = SOURCES[language]

    async def changes(self) -> AsyncGenerator[set[Kind]]:
        """Yield what kind of files were saved, each time after a short pause."""
        from watchfiles import Change, awatch

        while True:
            watched = set(folders(self._root)) | {self._main.parent.resolve()}
            files = {file for folder in watched for file in linked_files(folder)}
            if self._config is not None:
                files.add(self._config.resolve())
            places = watched | {file.parent for file in files if file.parent.is_dir()}
            changed = awatch(*places, recursive=False, step=_STEP, debounce=_DEBOUNCE, watch_filter=None)
            async with aclosing(changed):
                async for batch in changed:
                    paths = [Path(path) for _, path in batch]
                    if kinds := self._kinds(paths, watched, files):
                        yield kinds
                    if any(change is Change.added and _is_new(Path(path), watched) for change, path in batch):
                        break  # look at the folders again

    def _kinds(self, paths: Iterable[Path], watched: set[Path], files: set[Path]) -> set[Kind]:
        kinds: set[Kind] = set()
        for path in paths:
            if path not in files and path.parent not in watched:
                continue
            if is_configuration(path) or path == self._config:
                kinds.add("configuration")
            elif path.suffix in self._suffixes or path == self._main or _is_new(path, watched):
                kinds.add("source")
        return kinds


def _is_new(path: Path, watched: set[Path]) -> bool:
    """Tell whether a path is a folder that is not watched and should be."""
    named = path.name not in IGNORED and not path.name.startswith(".")
    return named and path.parent in watched and path not in watched and path.is_dir()
