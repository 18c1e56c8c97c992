"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """Something is missing or doubtful, and the main job runs without it."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    group: str
    """`machine`, `libraries`, `project` or `state`."""
    name: str
    status: Status
    summary: str
    hint: str | None = None
    """What to do now; a command where there is one."""
    essential: bool = False
    """Whether documents cannot be ingested and asked when this fails."""
    data: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return {
            "group": self.group,
            "name": self.name,
            "status": self.status.value,
            "essential": self.essential,
            "summary": self.summary,
            "hint": self.hint,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, in the order of their groups."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the main job, ingesting documents and asking them, can run."""
        return not any(check.essential and check.status is Status.FAIL for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the examination as `--json` prints it."""
        return {"ok": self.ok, "checks": [check.to_dict() for check in self.checks]}
