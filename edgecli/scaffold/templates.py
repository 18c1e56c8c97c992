"""The templates that `init` copies: where they lie, and what each says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tomli

import edgecli
from edgecli.errors import EdgeError, NotFoundError, did_you_mean

DESCRIPTION_FILE = "template.toml"

# What running a template in place leaves behind in a source checkout.
_LEFTOVERS = frozenset(
    {
        "__pycache__",
        ".edgecli",
        ".wrangler",
        ".venv",
        "node_modules",
        "python_modules",
        ".dev.vars",
        ".DS_Store",
    }
)


@dataclass(frozen=True, slots=True)
class Template:
    """One template, as its template.toml describes it."""

    name: str
    title: str
    description: str
    path: Path
    placeholders: frozenset[str]
    """The files, by their path below `path`, in which `$name` is replaced."""
    next_steps: tuple[str, ...]
    """Commands to run in the new project, in order."""

    def files(self) -> Iterator[str]:
        """Yield the path below `path`, with `/`, of each file to copy, in a stable order."""
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(name for name in folders if name not in _LEFTOVERS)
            for name in sorted(names):
                relative = (Path(folder) / name).relative_to(self.path).as_posix()
                if relative != DESCRIPTION_FILE and name not in _LEFTOVERS:
                    yield relative


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
        raise NotFoundError(
            f"There is no template `{name}`.",
            hint=" ".join(filter(None, [did_you_mean(name, known), f"The templates are: {listing}."])),
            code="no_such_template",
            details={"templates": list(known)},
        )
    return known[name]


def _read(path: Path) -> Template:
    described = tomli.loads((path / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    return Template(
        name=path.name,
        title=described["title"],
        description=described["description"],
        path=path,
        placeholders=frozenset(described.get("placeholders", ())),
        next_steps=tuple(described.get("next_steps", ())),
    )
