"""What is wrong or doubtful in a configuration, and wrangler's tree of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from edgecli.config.keypath import KeyPath, show_path
from edgecli.config.source import ConfigSource
from edgecli.errors import nearest

Level = Literal["error", "warning"]

_SHOWN_VALUE = 300
"""Characters of a wrong value that a message repeats."""


class Diagnostic(NamedTuple):
    """One finding about the configuration."""

    level: Level
    message: str
    """Wrangler's text where wrangler has one; may have several lines."""
    key: str = ""
    """Path of the key at fault as it is written, `env.staging.vectorize[0].index_name`."""
    file: str | None = None
    """The file as messages name it, or None if the fault is in no file."""
    line: int | None = None
    column: int | None = None
    expected: str | None = None
    hint: str | None = None
    section: str | None = None
    """Title of wrangler's subtree that the finding belongs to."""

    @property
    def place(self) -> str:
        """Where to look: `wrangler.toml:3: vectorize[0].index_name`."""
        position = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (position, self.key) if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return self._asdict()

    def describe(self) -> str:
        """Return message, place and hint, one below the other."""
        place = [f"at {self.place}"] if self.place else []
        hint = [f"hint: {self.hint}"] if self.hint else []
        return "\n".join([self.message, *("    " + line for line in (*place, *hint))])


class Report:
    """Collect the findings about one configuration."""

    def __init__(self, source: ConfigSource | None) -> None:
        self.source = source
        self.found: list[Diagnostic] = []
        self.section: str | None = None

    @property
    def title(self) -> str:
        """The first line of wrangler's tree."""
        return f"Processing {self.source.shown if self.source else 'wrangler'} configuration:"

    @property
    def is_json(self) -> bool:
        """Whether the file is JSON, so that hints are in its syntax."""
        return self.source is not None and self.source.path.suffix in {".json", ".jsonc"}

    def written(self, key: str, value: Any) -> str:
        """Return `key` set to `value`, in the syntax of the file."""
        return f'"{key}": {as_json(value)}' if self.is_json else f"{key} = {as_json(value)}"

    @property
    def failed(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.level == "error" for finding in self.found)

    def error(self, message: str, path: KeyPath, *, expected: str | None = None, hint: str | None = None) -> None:
        """Add what makes the configuration unusable."""
        self._add("error", message, path, expected, hint)

    def warning(self, message: str, path: KeyPath, *, expected: str | None = None, hint: str | None = None) -> None:
        """Add what is doubtful."""
        self._add("warning", message, path, expected, hint)

    def unexpected(self, field: str, path: KeyPath, names: Iterable[str], known: Iterable[str]) -> None:
        """Warn about those of the `names` in the table at `path` that are not `known`."""
        allowed = list(known)
        unknown = [name for name in names if name not in allowed]
        if not unknown:
            return
        near = [(name, nearest(name, allowed, count=1)) for name in unknown]
        hints = [f"`{name}`: did you mean `{close[0]}`?" for name, close in near if close]
        listed = ",".join(f'"{name}"' for name in unknown)
        self.warning(
            f"Unexpected fields found in {field} field: {listed}",
            (*path, unknown[0]),
            expected="one of " + ", ".join(allowed),
            hint=" ".join(hints) or None,
        )

    def adopt(self, other: Report, place: str) -> None:
        """Take over the findings of another report, which are about `place` and not about the file."""
        self.found.extend(finding._replace(file=place) for finding in other.found)

    def _add(self, level: Level, message: str, path: KeyPath, expected: str | None, hint: str | None) -> None:
        position = self.source.locate(path) if self.source else None
        self.found.append(
            Diagnostic(
                level,
                message,
                key=show_path(path),
                file=self.source.shown if self.source else None,
                line=position.line if position else None,
                column=position.column if position else None,
                expected=expected,
                hint=hint,
                section=self.section,
            )
        )


def render_tree(title: str, findings: Iterable[Diagnostic], level: Level) -> str:
    """Return the findings of one level as wrangler's tree, with the place and the hint below each message."""
    chosen = [finding for finding in findings if finding.level == level]
    lines = [title]
    for section in dict.fromkeys(finding.section for finding in chosen):
        depth = 1
        if section is not None:
            lines.append(f"  - {section}")
            depth = 2
        for finding in chosen:
            if finding.section == section:
                first, *rest = finding.describe().split("\n")
                lines.append("  " * depth + "- " + first)
                lines.extend(("  " * (depth + 1) + line).rstrip() for line in rest)
    return "\n".join(lines)


def as_json(value: Any) -> str:
    """Write a value as JavaScript's `JSON.stringify` does, since wrangler's messages quote values so."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), default=str)
    return text if len(text) <= _SHOWN_VALUE else text[:_SHOWN_VALUE] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value
