"""The configuration of a project: wrangler's file, and edgecli's own settings in it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecli.config.diagnostics import Diagnostic
    from edgecli.config.find import find_config
    from edgecli.config.origins import Origin
    from edgecli.config.project import Project, load_project, load_project_or_default
    from edgecli.config.settings import Settings

_ROOMS = {
    "Diagnostic": "diagnostics",
    "Origin": "origins",
    "Project": "project",
    "Settings": "settings",
    "find_config": "find",
    "load_project": "project",
    "load_project_or_default": "project",
}

__all__ = [
    "Diagnostic",
    "Origin",
    "Project",
    "Settings",
    "find_config",
    "load_project",
    "load_project_or_default",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: most importers need one of the types, not the reader."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
