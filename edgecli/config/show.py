"""The effective configuration as flat rows, with secrets hidden."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from edgecli.config.keypath import show_path
from edgecli.config.origins import walk
from edgecli.config.project import Project
from edgecli.config.settings import all_settings

HIDDEN = "(hidden)"


def effective_values(project: Project) -> dict[str, Any]:
    """Return every value that holds, by its key, as JSON can carry it; values of secrets are hidden."""
    values: dict[str, Any] = {}
    for key, entry in project.raw.items():
        for path, value in walk(entry, (key,)):
            if key != "vars" or len(path) == 1 or path[1] in project.vars:
                values[show_path(path)] = _as_data(value)
    settings = dataclasses.asdict(project.settings)
    for setting in all_settings():
        value: Any = settings
        for part in setting.path:
            value = value[part]
        values[setting.key] = HIDDEN if setting.secret and value else _as_data(value)
    for path, value in walk(project.settings.models, ("edgecli", "models")):
        if len(path) > 2:
            values[show_path(path)] = _as_data(value)
    values.update({show_path(("secrets", name)): HIDDEN for name in project.secrets})
    return values


def shown(value: Any) -> str:
    """Write a value for a table's cell, on one line."""
    return json.dumps(value, ensure_ascii=False)


def _as_data(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | list | dict) else str(value)
