"""Start a project: copy a template into a folder, without ever writing over a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecli.errors import EdgeError, StateError, UsageError
from edgecli.scaffold.names import derive_project_name, is_project_name
from edgecli.scaffold.templates import Template, find_template, list_templates, templates_directory

__all__ = ["ScaffoldResult", "create", "list_templates"]

_CONFLICTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ScaffoldResult:
    """What `create` did, or would do."""

    name: str
    template: str
    path: Path
    files: tuple[str, ...]
    """The files written, by their path below `path`."""
    next_steps: tuple[str, ...]
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the result as `--json` prints it."""
        return {
            "name": self.name,
            "template": self.template,
            "path": str(self.path),
            "files": list(self.files),
            "next_steps": list(self.next_steps),
            "dry_run": self.dry_run,
        }


def create(
    template: str | Template, target: Path, name: str, *, git: bool = False, dry_run: bool = False
) -> ScaffoldResult:
    """Copy a template into `target`, which is made if need be, as the project `name`.

    All or nothing: if one of the files is there already nothing is written, and what an interrupted or
    failed call has written is removed again. With `git`, a template without a .gitignore gets the usual one.
    Raises NotFoundError for an unknown template, UsageError for a name that wrangler refuses, StateError with
    code `would_overwrite` or `unwritable`.
    """
    chosen = template if isinstance(template, Template) else find_template(template)
    if not is_project_name(name):
        raise UsageError(
            f"`{name}` cannot name a Worker, which takes up to 63 of a-z, 0-9, `-` and `_`.",
            hint=f"`{derive_project_name(name)}` would do.",
            code="bad_name",
        )
    target = Path(os.path.abspath(target))  # noqa: PTH100 - `resolve` would follow links in what the user typed
    contents = {file: _content(chosen, file, name) for file in chosen.sources}
    if git and ".gitignore" not in contents and not os.path.lexists(target / ".gitignore"):
        contents[".gitignore"] = (templates_directory() / "_shared" / "gitignore").read_bytes()
    _refuse_conflicts(target, list(contents))
    if not dry_run:
        _write_all(target, contents)
    return ScaffoldResult(name, chosen.name, target, tuple(contents), chosen.next_steps, dry_run)


def _content(template: Template, file: str, name: str) -> bytes:
    try:
        return template.content(file, name)
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeError(
            f"`{file}` of the template `{template.name}` cannot be read: {error}.",
            hint="Files in which `$name` is replaced are UTF-8.",
            code="bad_template",
        ) from error


def _refuse_conflicts(target: Path, files: list[str]) -> None:
    try:
        if os.path.lexists(target) and not target.is_dir():
            raise StateError(
                f"`{target}` exists and is not a folder.", hint="Choose another name.", code="would_overwrite"
            )
        conflicts = sorted({conflict for file in files if (conflict := _conflict(target, file))})
    except OSError as error:
        raise _unwritable(target, error) from error
    if not conflicts:
        return
    shown = ", ".join(f"`{each}`" for each in conflicts[:_CONFLICTS_SHOWN])
    more = len(conflicts) - _CONFLICTS_SHOWN
    raise StateError(
        f"`{target}` already has {shown}{f' and {more} more' if more > 0 else ''}; nothing was written.",
        hint="Choose another folder, or move these files away. `edgecli init` never writes over a file.",
        code="would_overwrite",
        details={"path": str(target), "files": conflicts},
    )


def _conflict(target: Path, relative: str) -> str | None:
    """Return the part of `relative` that is in the way, or None.

    A link in the place of a folder counts: writing through it would leave the project.
    """
    parts = relative.split("/")
    for depth in range(1, len(parts)):
        folder = target.joinpath(*parts[:depth])
        if not os.path.lexists(folder):
            return None
        if folder.is_symlink() or not folder.is_dir():
            return "/".join(parts[:depth])
    return relative if os.path.lexists(target / relative) else None


def _write_all(target: Path, contents: dict[str, bytes]) -> None:
    made: list[Path] = []
    try:
        for relative, content in contents.items():
            path = target / relative
            _make_folders(path.parent, made)
            # "x" refuses a file that has appeared since the check.
            with path.open("xb") as file:
                made.append(path)
                file.write(content)
    except BaseException as error:
        left = _remove(made)
        if isinstance(error, OSError):
            raise _unwritable(target, error, left) from error
        raise


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


def _remove(made: list[Path]) -> list[Path]:
    """Remove what was made, newest first, and return what would not go."""
    left: list[Path] = []
    for path in reversed(made):
        try:
            path.rmdir() if path.is_dir() else path.unlink()
        except OSError:
            left.append(path)
    return left


def _unwritable(target: Path, error: OSError, left: Sequence[Path] = ()) -> EdgeError:
    after = f"These could not be removed again: {', '.join(map(str, left))}." if left else "Nothing was left behind."
    return StateError(
        f"Cannot write the project to `{target}`: {error.strerror or error}. {after}",
        hint="Choose a folder that you may write to, with a shorter name if this one is very long.",
        code="would_overwrite" if isinstance(error, FileExistsError) else "unwritable",
    )
