"""Where each value of a configuration comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edgecli.config.environment import Effective
from edgecli.config.keypath import KeyPath, show_path
from edgecli.config.secrets import Secrets
from edgecli.config.settings import all_settings
from edgecli.config.settings_read import SettingsRead
from edgecli.config.source import ConfigSource


class Origin(NamedTuple):
    """Where one value comes from."""

    file: Path | None
    line: int | None
    kind: str
    """`file` (its top level), `env:NAME`, `default`, `.dev.vars`, `.env` or `environment variable`."""
    variable: str | None = None
    """The environment variable, where the value comes from one."""

    def to_dict(self) -> dict[str, Any]:
        """Return the origin as `--json` prints it."""
        return {**self._asdict(), "file": str(self.file) if self.file else None}

    def describe(self) -> str:
        """Return the origin as a person reads it, `wrangler.toml:3`."""
        if self.file is None:
            return f"{self.kind} {self.variable}" if self.variable else self.kind
        place = self.file.name if self.line is None else f"{self.file.name}:{self.line}"
        return f"{place} [{self.kind}]" if self.kind.startswith("env:") else place


def walk(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each plain value below `value` with its path; empty tables and lists count as plain."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    empty = True
    for key, entry in pairs:
        empty = False
        yield from walk(entry, (*path, key))
    if empty:
        yield path, value


def trace_origins(
    source: ConfigSource | None, effective: Effective, settings: SettingsRead, secrets: Secrets
) -> dict[str, Origin]:
    """Return the origin of every value, by its key in the effective configuration."""
    origins: dict[str, Origin] = {}
    for key, value in effective.values.items():
        place = effective.places[key]
        for path, _ in walk(value, (key,)):
            origins[show_path(path)] = _in_file(source, (*place, *path[1:]))
    for setting in all_settings():
        if setting.key in settings.variables:
            variable = settings.variables[setting.key]
            origins[setting.key] = Origin(None, None, "environment variable", variable)
        elif setting.key in settings.places:
            origins[setting.key] = _in_file(source, settings.places[setting.key])
        else:
            origins[setting.key] = Origin(None, None, "default")
    for model, entry in settings.settings.models.items():
        place = settings.places[f"edgecli.models.{model}"]
        for path, _ in walk(entry, ("edgecli", "models", model)):
            origins[show_path(path)] = _in_file(source, (*place, *path[3:]))
    for name, (file, line, kind) in secrets.origins.items():
        variable = name if kind == "environment variable" else None
        origins[show_path(("secrets", name))] = Origin(file, line, kind, variable)
    return origins


def _in_file(source: ConfigSource | None, place: KeyPath) -> Origin:
    position = source.locate(place) if source else None
    kind = f"env:{place[1]}" if place[0] == "env" else "file"
    return Origin(source.path if source else None, position.line if position else None, kind)
