"""What a Worker is: where its code lies, and what its `env` holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgecli.config.names import titles_of_bindings

if TYPE_CHECKING:
    from edgecli.config.project import Project

BindingType = Literal["ai", "vectorize", "kv", "r2", "d1", "browser"]


@dataclass(frozen=True, slots=True)
class Binding:
    """A name in a Worker's `env` behind which a service of this machine answers."""

    name: str
    """`VECTORS` of `env.VECTORS`."""
    type: BindingType
    resource: str = ""
    """The index, namespace, bucket or database; empty for `ai` and `browser`."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A Worker as it is to run."""

    name: str
    root: Path
    """The folder that its relative paths start from."""
    main: Path
    """The module that holds its handlers; absolute."""
    bindings: tuple[Binding, ...] = ()
    vars: dict[str, Any] = field(default_factory=dict[str, Any])
    """Strings, and JSON values, by their name in `env`."""
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    compatibility_date: str | None = None
    compatibility_flags: tuple[str, ...] = ()
    crons: tuple[str, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict[str, Any])
    """The configuration's values as they stand there: how JavaScript is bundled, and what is not supported here."""
    bundled: bool = False
    """`main` is an upload of wrangler's: modules that need no bundling lie in its folder."""
    modules: dict[str, str] = field(default_factory=dict[str, str])
    """Of an upload: the content type of each module, by its path below `root`."""

    @property
    def language(self) -> Literal["python", "javascript"]:
        """What it is written in, by the name of its main module."""
        return "python" if self.main.suffix == ".py" else "javascript"

    @property
    def unanswered(self) -> dict[str, str]:
        """Bindings that nothing on this machine answers: `{"ROOM": "Durable Object"}`."""
        return unanswered(self.raw, self.bindings)

    @classmethod
    def of_project(cls, project: Project) -> WorkerSpec | None:
        """Return the Worker of a project; None where its configuration names no `main`."""
        if project.main is None:
            return None
        return cls(
            name=project.name or project.root.name,
            root=project.root,
            main=project.root / project.main,
            bindings=bindings_of(project),
            vars=project.vars,
            secrets=project.secrets,
            compatibility_date=project.compatibility_date,
            compatibility_flags=project.compatibility_flags,
            crons=tuple(project.raw.get("triggers", {}).get("crons", ())),
            raw=project.raw,
        )


def unanswered(values: dict[str, Any], bindings: Iterable[Binding]) -> dict[str, str]:
    """Return the bindings of a configuration's values that are not among `bindings`, and what wrangler calls them."""
    answered = {each.name for each in bindings}
    return {name: title for name, title in titles_of_bindings(values).items() if name not in answered}


def bindings_of(project: Project) -> tuple[Binding, ...]:
    """Return the bindings that services of this machine answer.

    A store goes by the id under which `wrangler deploy` names it too; without one by its name, or its binding's.
    """
    found: list[Binding] = []
    if project.ai is not None:
        found.append(Binding(project.ai.binding, "ai"))
    found += [Binding(each.binding, "vectorize", each.index_name) for each in project.vectorize]
    found += [Binding(each.binding, "kv", each.resource) for each in project.kv_namespaces]
    found += [Binding(each.binding, "r2", each.resource) for each in project.r2_buckets]
    found += [Binding(each.binding, "d1", each.resource) for each in project.d1_databases]
    if project.browser is not None:
        found.append(Binding(project.browser.binding, "browser"))
    return tuple(found)
