"""Checks of the project: its configuration, its models, and the room on its disks."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgecli import config, console
from edgecli.config import Project
from edgecli.doctor.check import Check, Status
from edgecli.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edgecli.models.schema import ModelSpec
    from edgecli.models.service import ModelsService

LITTLE_SPACE = 2 * 1024**3
"""Bytes; models of a useful size take some GB."""
NO_SPACE = 100 * 1024**2
"""Bytes; an index of a few documents needs some tens of MB."""

_check = partial(Check, "project")


def configuration(cwd: Path, file: Path | None, env: str | None) -> tuple[Check, Project | None]:
    """Load the project's configuration; a wrong one is a finding and no project."""
    try:
        project = config.load_project_or_default(cwd=cwd, config=file, env=env)
    except ConfigError as error:
        found = error.details.get("diagnostics", [])
        first = f"{found[0]['file']}: {found[0]['message']}" if found else error.message
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return _check(
            "configuration",
            Status.FAIL,
            first + more,
            error.hint or "`edgecli config check` shows every error with its line.",
            essential=True,
            data={"error": error.to_dict()},
        ), None
    return _configuration_found(project), project


def _configuration_found(project: Project) -> Check:
    if project.config_path is None:
        return _check(
            "configuration",
            Status.WARN,
            "no project here: there is no wrangler.toml in this folder or above it",
            "`edgecli init` starts one; an empty wrangler.toml is enough.",
            essential=True,
            data={"path": None},
        )
    place = f"{project.config_path}" + (f", environment `{project.env}`" if project.env else "")
    data = {
        "path": str(project.config_path),
        "env": project.env,
        "warnings": [finding.to_dict() for finding in project.diagnostics],
    }
    count = len(project.diagnostics)
    if count:
        summary = f"{place}, with {count} {'warning' if count == 1 else 'warnings'}"
        return _check(
            "configuration",
            Status.WARN,
            summary,
            "`edgecli config check` shows them.",
            essential=True,
            data=data,
        )
    return _check("configuration", Status.OK, place, essential=True, data=data)


def models(project: Project) -> list[Check]:
    """Check that each model the project needs is here and whole in size."""
    from edgecli.models.service import ModelsService

    try:
        service = ModelsService.for_project(project)
        service.catalog.check()
        specs = service.required(project)
    except EdgeError as error:
        return [_model_problem(project, "models", error, error.hint)]
    return [_model(project, service, spec) for spec in specs]


def _model(project: Project, service: ModelsService, spec: ModelSpec) -> Check:
    asked = spec.requested_id or spec.id
    try:
        installed = service.store.get(spec)
    except EdgeError as error:
        stand_in = f'Let a model with open weights stand in: `use = "…"` in [edgecli.models."{asked}"].'
        return _model_problem(project, f"model {asked}", error, error.hint or stand_in)
    summary = f"{console.human_bytes(installed.size)}, {spec.task.value}"
    return _check(
        f"model {asked}",
        Status.OK,
        summary + (f", stand-in: {spec.id}" if spec.requested_id else ""),
        essential=True,
        data={"id": spec.id, "asked": asked, "path": str(installed.path), "bytes": installed.size},
    )


def _model_problem(project: Project, name: str, error: EdgeError, hint: str | None) -> Check:
    # Outside a project nothing says which models are wanted, so a missing one is no failure.
    status = Status.FAIL if project.config_path else Status.WARN
    return _check(name, status, error.message, hint, essential=True, data={"error": error.to_dict()})


def programs(project: Project) -> Check:
    """Check that what runs and bundles JavaScript is here; nothing is fetched."""
    from edgecli.workers.workerd.install import VERSIONS, find

    try:
        found = {name: find(name, project.root) for name in VERSIONS}
    except EdgeError as error:
        return _check("workers", Status.FAIL, error.message, error.hint)
    missing = [f"`{name}`" for name, program in found.items() if program is None]
    data = {name: program.to_dict() if program else None for name, program in found.items()}
    if missing:
        hint = "`edgecli workers install` fetches them through npm."
        return _check("workers", Status.WARN, f"no {' and no '.join(missing)} for `{project.main}`", hint, data=data)
    summary = ", ".join(f"{name} {program.version}" for name, program in found.items() if program)
    return _check("workers", Status.OK, summary, data=data)


def disks(project: Project) -> list[Check]:
    """Say how much room is left where models and where the project's state lie; once if that is one disk."""
    from edgecli.models.store import default_home

    store, state = default_home(), project.state_dir
    in_store, in_state = _existing(store), _existing(state)
    if in_store.stat().st_dev == in_state.stat().st_dev:
        return [room("disk", store, shutil.disk_usage(in_store).free)]
    return [
        room("disk of models", store, shutil.disk_usage(in_store).free),
        room("disk of project", state, shutil.disk_usage(in_state).free),
    ]


def room(name: str, folder: Path, free: int) -> Check:
    """Judge the bytes that are free where `folder` lies."""
    summary = f"{console.human_bytes(free)} free at {folder}"
    data = {"path": str(folder), "free": free}
    if free < NO_SPACE:
        return _check(name, Status.FAIL, summary, "Free some space.", essential=True, data=data)
    if free < LITTLE_SPACE:
        hint = "Enough for the starter models, not for larger ones."
        return _check(name, Status.WARN, summary, hint, essential=True, data=data)
    return _check(name, Status.OK, summary, essential=True, data=data)


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder
