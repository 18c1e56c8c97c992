"""Find the files of a folder that an ingest takes: `.gitignore`, `--exclude` and `--glob` honoured."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecli.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# Never documents: version control, our own state, installed packages, caches.
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Selection:
    """What an ingest call covers, apart from the folder itself."""

    glob: Sequence[str] = ()
    exclude: Sequence[str] = ()
    gitignore: bool = True


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file on disk, by the name users see."""

    name: str
    path: Path
    size: int
    modified_ns: int


class Scanner:
    """Walk one folder (or take one file) of a project."""

    def __init__(self, root: Path, project_root: Path, selection: Selection, *, known: Iterable[str] = ()) -> None:
        """Raise NotFoundError if `root` does not exist and none of the `known` names lies below it.

        A place that documents came from, and that is no more, holds nothing. Raises UsageError if `root` is neither
        a file nor a folder, or may not be read.
        """
        place, project = root.resolve(), project_root.resolve()
        self.vanished = not root.exists()
        if self.vanished and not any((project / name).is_relative_to(place) for name in known):
            raise _not_found(root)
        kind = None if self.vanished else _odd_kind(root)
        if kind:
            raise UsageError(
                f"`{root}` is {kind}, neither a file nor a folder.",
                hint="Write what comes from it to a file, and ingest that.",
                code="unsupported",
            )
        if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
            raise UsageError(
                f"`{root}` cannot be read: permission denied.",
                hint="Give yourself read access to it.",
                code="unreadable",
            )
        self.root = place
        self._project_root = project
        self._selection = selection
        self._glob = _spec(selection.glob) if selection.glob else None
        self._exclude = _spec(selection.exclude)
        self.unreadable: dict[str, str] = {}
        """Files and folders that `files` could not look at, with the reason."""
        self.outside: list[str] = []
        """Links that lead out of the folder: not followed."""

    def name_of(self, path: Path) -> str:
        """Return the name by which users see a file: relative to the project if it lies in it."""
        if path.is_relative_to(self._project_root):
            return path.relative_to(self._project_root).as_posix()
        return path.as_posix()

    def covers(self, name: str) -> bool:
        """Tell whether a name of the manifest is this call's to judge: below its folder and matched by its glob."""
        path = self._project_root / name
        if path == self.root:
            return True
        if not path.is_relative_to(self.root):
            return False
        return self._glob is None or self._glob.match_file(path.relative_to(self.root).as_posix())

    def files(self) -> Iterator[FoundFile]:
        """Yield the selected files, sorted by name within their folders."""
        if self.vanished:
            return
        if self.root.is_file():
            found = self._found(self.root)
            if found is not None:
                yield found
            return
        yield from self._walk(self.root, self._rules_above(self.root))

    def _walk(self, folder: Path, rules: list[tuple[Path, GitIgnoreSpec]]) -> Iterator[FoundFile]:
        rules = rules + self._rules_of(folder)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except FileNotFoundError:
            return  # vanished since its parent was listed
        except OSError as error:
            self._note_unreadable(folder, error.strerror or str(error))
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if not self._skips_folder(path, rules):
                    yield from self._walk(path, rules)
            elif _is_file(entry) and self._takes_file(path, rules):
                if entry.is_symlink() and not path.resolve().is_relative_to(self.root):
                    self.outside.append(self.name_of(path).encode("utf-8", "replace").decode())
                    continue
                found = self._found(path)
                if found is not None:
                    yield found

    def _skips_folder(self, path: Path, rules: list[tuple[Path, GitIgnoreSpec]]) -> bool:
        if path.name.startswith(".") or path.name in _SKIPPED_FOLDERS:
            return True
        relative = path.relative_to(self.root).as_posix() + "/"
        return self._exclude.match_file(relative) or _ignored(path, rules, folder=True)

    def _takes_file(self, path: Path, rules: list[tuple[Path, GitIgnoreSpec]]) -> bool:
        if path.name.startswith("."):
            return False
        relative = path.relative_to(self.root).as_posix()
        if self._glob is not None and not self._glob.match_file(relative):
            return False
        return not self._exclude.match_file(relative) and not _ignored(path, rules, folder=False)

    def _found(self, path: Path) -> FoundFile | None:
        name = self.name_of(path)
        try:
            name.encode()
            stat = path.stat()
        except FileNotFoundError:
            return None
        except UnicodeEncodeError:
            self._note_unreadable(path, "its name is not valid UTF-8; rename it")
            return None
        except OSError as error:
            self._note_unreadable(path, error.strerror or str(error))
            return None
        return FoundFile(name, path, stat.st_size, stat.st_mtime_ns)

    def _note_unreadable(self, path: Path, reason: str) -> None:
        name = self.name_of(path).encode("utf-8", "replace").decode()
        self.unreadable[name] = reason

    def hides(self, name: str) -> bool:
        """Tell whether a name of the manifest may be there still, in a place that could not be read."""
        return any(name == place or name.startswith(f"{place}/") for place in self.unreadable)

    def _rules_of(self, folder: Path) -> list[tuple[Path, GitIgnoreSpec]]:
        if not self._selection.gitignore:
            return []
        try:
            lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [(folder, _spec(lines, lenient=True))]

    def _rules_above(self, folder: Path) -> list[tuple[Path, GitIgnoreSpec]]:
        """Return the rules of the folders from the repository's top down to, but without, `folder`.

        A folder that was named is meant, even if those rules ignore it: then they have no say.
        """
        above: list[Path] = []
        for parent in [folder, *folder.parents]:
            if parent != folder:
                above.insert(0, parent)
            if (parent / ".git").exists():
                rules = [rule for place in above for rule in self._rules_of(place)]
                inside = [place for place in [*above, folder] if place != parent]
                named = any(_ignored(place, _containing(rules, place), folder=True) for place in inside)
                return [] if named else rules
        return []


def _not_found(root: Path) -> NotFoundError:
    there = next(parent for parent in root.absolute().parents if parent.exists())
    return NotFoundError(
        f"`{root}` does not exist.",
        hint=f"Name a file or a folder of documents. `{there}` is there.",
        code="path_not_found",
    )


def _odd_kind(root: Path) -> str | None:
    """Return what a path is, in words, if it is neither a file nor a folder."""
    mode = root.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((words for test, words in kinds if test(mode)), "a device")


def _spec(patterns: Sequence[str], *, lenient: bool = False) -> GitIgnoreSpec:
    """Compile patterns; a `lenient` caller skips those that are wrong, as git does with a `.gitignore`."""
    from pathspec import GitIgnoreSpec

    good: list[str] = []
    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except ValueError as error:
            if lenient:
                continue
            raise UsageError(
                f"`{pattern}` is no valid pattern: {error}", hint="Patterns are written as in a .gitignore."
            ) from error
        good.append(pattern)
    return GitIgnoreSpec.from_lines(good)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False  # a link that leads to itself


def _containing(rules: list[tuple[Path, GitIgnoreSpec]], path: Path) -> list[tuple[Path, GitIgnoreSpec]]:
    return [rule for rule in rules if rule[0] != path and path.is_relative_to(rule[0])]


def _ignored(path: Path, rules: list[tuple[Path, GitIgnoreSpec]], *, folder: bool) -> bool:
    """Ask the rules from the innermost outwards: the first that speaks of the path decides, as git does."""
    for base, spec in reversed(rules):
        verdict = spec.check_file(path.relative_to(base).as_posix() + ("/" if folder else "")).include
        if verdict is not None:
            return verdict
    return False
