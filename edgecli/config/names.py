"""The names that a Worker finds in its `env`; each may be taken once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from edgecli.config.bindings import BINDING_KINDS
from edgecli.config.diagnostics import Report
from edgecli.config.keypath import KeyPath

_VARIABLE, _SECRET = "Environment Variable", "Secret"


class _Named(NamedTuple):
    """A name that the Worker finds in its `env`, and who takes it."""

    name: str
    title: str
    path: KeyPath


def names_taken(values: dict[str, Any]) -> set[str]:
    """Return every name that the Worker finds in its `env`."""
    return {taker.name for key, value in values.items() for taker in _names_of(key, value, (key,))}


def titles_of_bindings(values: dict[str, Any]) -> dict[str, str]:
    """Return the name of every binding, and what wrangler calls its kind; without variables and secrets."""
    takers = [taker for key, value in values.items() for taker in _names_of(key, value, (key,))]
    return {taker.name: taker.title for taker in takers if taker.title not in (_VARIABLE, _SECRET)}


def check_unique_names(report: Report, values: dict[str, Any], places: dict[str, KeyPath]) -> None:
    """Report names that two bindings, variables or required secrets share."""
    takers: dict[str, list[_Named]] = {}
    for key, value in values.items():
        for taker in _names_of(key, value, places.get(key, (key,))):
            takers.setdefault(taker.name, []).append(taker)
    shared = {name: found for name, found in takers.items() if len(found) > 1}
    last: KeyPath = ()
    for name, found in shared.items():
        titles = [taker.title for taker in found]
        last = found[-1].path
        if len(set(titles)) > 1:
            report.error(f"{name} assigned to {_listed(list(dict.fromkeys(titles)))} bindings.", last)
        for title in dict.fromkeys(title for title in titles if titles.count(title) > 1):
            report.error(f"{name} assigned to multiple {title} bindings.", last)
    if shared:
        report.error(
            "Bindings must have unique names, so that they can all be referenced in the worker.\n"
            "Please change your bindings to have unique names.",
            last,
        )


def _names_of(key: str, value: Any, path: KeyPath) -> Iterator[_Named]:
    kind = BINDING_KINDS.get(key)
    if kind is not None and kind.single and isinstance(value, dict):
        yield from _named(value, "binding", kind.title, path)
    elif kind is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named(item, kind.name_field, kind.title, (*path, index))
    elif key == "vars" and isinstance(value, dict):
        yield from (_Named(name, _VARIABLE, (*path, name)) for name in value)
    elif key == "secrets" and isinstance(value, dict) and isinstance(value.get("required"), list):
        for index, name in enumerate(value["required"]):
            if isinstance(name, str):
                yield _Named(name, _SECRET, (*path, "required", index))
    elif key == "durable_objects" and isinstance(value, dict) and isinstance(value.get("bindings"), list):
        for index, item in enumerate(value["bindings"]):
            yield from _named(item, "name", "Durable Object", (*path, "bindings", index))
    elif key == "queues" and isinstance(value, dict) and isinstance(value.get("producers"), list):
        for index, item in enumerate(value["producers"]):
            yield from _named(item, "binding", "Queue", (*path, "producers", index))


def _named(item: Any, name_field: str, title: str, path: KeyPath) -> Iterator[_Named]:
    if isinstance(item, dict) and isinstance(item.get(name_field), str):
        yield _Named(item[name_field], title, (*path, name_field))


def _listed(names: list[str]) -> str:
    if len(names) < 3:
        return " and ".join(names)
    return ", ".join(names[:-1]) + ", and " + names[-1]
