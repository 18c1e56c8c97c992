"""The templates that `init` copies: where they lie, and what each says of itself."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli

import edgecli
from edgecli.errors import EdgeError, NotFoundError, did_you_mean

DESCRIPTION_FILE = "template.toml"

# What running a template in place leaves behind in a source checkout.
LEFTOVERS = frozenset(
    {
        ".git",
        "__pycache__",
        ".edgecli",
        ".wrangler",
        ".venv",
        "node_modules",
        "python_modules",
        ".dev.vars",
        ".pytest_cache",
        ".DS_Store",
    }
)


# `$name` as the value of the `name` of a wrangler configuration.
_NAME_VALUE = re.compile(r'^(\s*"?name"?\s*[=:]\s*")(?:\$name|\$\{name\})(")', re.MULTILINE)


@dataclass(frozen=True)
class Template:
    """One template, as its template.toml describes it."""

    name: str
    title: str
    description: str
    path: Path
    placeholders: frozenset[str] = frozenset()
    """The files, by their path below `path`, in which `$name` is replaced."""
    next_steps: tuple[str, ...] = ()
    """Commands to run in the new project, in order."""
    shared: tuple[tuple[str, Path], ...] = ()
    """Files and folders that lie elsewhere: the path in the project, and where they are."""
    described: bool = True
    """Has a template.toml; otherwise `$name` is replaced in the configuration's `name` alone."""

    @cached_property
    def sources(self) -> dict[str, Path]:
        """Where each file of the project comes from, by its path there, with `/`, in a stable order."""
        found = dict(_walk(self.path, ""))
        found.pop(DESCRIPTION_FILE, None)
        for place, path in self.shared:
            found |= dict(_walk(path, f"{place}/")) if path.is_dir() else {place: path}
        return dict(sorted(found.items()))

    def content(self, file: str, name: str) -> bytes:
        """Return a file as it is in a project of this name."""
        raw = self.sources[file].read_bytes()
        if not self.described and file in {"wrangler.toml", "wrangler.json", "wrangler.jsonc"}:
            text = raw.decode("utf-8", errors="surrogateescape")
            return _NAME_VALUE.sub(rf"\g<1>{name}\g<2>", text).encode("utf-8", errors="surrogateescape")
        if file not in self.placeholders:
            return raw
        return string.Template(raw.decode("utf-8")).safe_substitute(name=name).encode("utf-8")


def _walk(root: Path, above: str) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFTOVERS]
        for name in names:
            if name not in LEFTOVERS:
                path = Path(folder) / name
                yield above + path.relative_to(root).as_posix(), path


def templates_directory(package: Path | None = None) -> Path:
    """Return the folder of the templates: inside the installed package, or beside it in a source checkout.

    `package` is the folder of the imported `edgecli`; an editable install imports it from the checkout.
    Raises EdgeError, code `templates_missing`, if the installation has lost them.
    """
    package = package or Path(edgecli.__file__).resolve().parent
    candidates = (package / "_templates", package.parent / "templates")
    for candidate in candidates:
        if any(candidate.glob(f"*/{DESCRIPTION_FILE}")):
            return candidate
    raise EdgeError(
        f"edgecli has lost its templates: neither `{candidates[0]}` nor `{candidates[1]}` holds one.",
        hint="Install it again: `pip install --force-reinstall --no-deps edgecli`.",
        code="templates_missing",
    )


def list_templates(directory: Path | None = None) -> list[Template]:
    """Return all templates, by name."""
    directory = directory or templates_directory()
    return [_read(path.parent) for path in sorted(directory.glob(f"*/{DESCRIPTION_FILE}"))]


def find_template(name: str, directory: Path | None = None) -> Template:
    """Return the template of this name. Raises NotFoundError that names the nearest ones."""
    known = {template.name: template for template in list_templates(directory)}
    if name not in known:
        listing = ", ".join(f"`{each}`" for each in known)
        hints = [did_you_mean(name, known), f"The templates are: {listing}.", "A folder is written `./folder`."]
        raise NotFoundError(
            f"There is no template `{name}`.",
            hint=" ".join(filter(None, hints)),
            code="no_such_template",
            details={"templates": list(known)},
        )
    return known[name]


def _read(path: Path) -> Template:
    described = tomli.loads((path / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    shared = {place: path.parent / source for place, source in described.get("shared", {}).items()}
    return template_of(path, described, shared=tuple(shared.items()))


def template_of(path: Path, described: dict[str, Any], *, shared: tuple[tuple[str, Path], ...] = ()) -> Template:
    """Return the template in a folder, as the values of its template.toml describe it. Raises EdgeError."""
    texts = {key: described.get(key, "") for key in ("title", "description")}
    lists = {key: described.get(key, []) for key in ("placeholders", "next_steps")}
    wrong = [key for key, value in texts.items() if not isinstance(value, str)]
    wrong += [
        key
        for key, value in lists.items()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value)
    ]
    if wrong:
        raise EdgeError(
            f"`{wrong[0]}` in {DESCRIPTION_FILE} of the template `{path.name}` is {described[wrong[0]]!r}.",
            hint="`title` and `description` are texts, `placeholders` and `next_steps` lists of texts.",
            code="bad_template",
        )
    return Template(
        name=path.name,
        title=texts["title"] or path.name,
        description=texts["description"],
        path=path,
        placeholders=frozenset(lists["placeholders"]),
        next_steps=tuple(lists["next_steps"]),
        shared=shared,
    )
