"""The project that is developed: its configuration, read again when it changes, with what this run was given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecli.config.project import Project, load_project
from edgecli.errors import ConfigError, UsageError
from edgecli.workers.spec import WorkerSpec


class Source:
    """A project as its file says, and options of the command line over it."""

    def __init__(
        self,
        project: Project,
        *,
        variables: Sequence[str] = (),
        main: str | None = None,
        state: Path | None = None,
        config: Path | None = None,
        cwd: Path,
    ) -> None:
        """`variables` are `KEY:VALUE`; `config` is the file that was asked for, if one was.

        Raises UsageError for a variable that is none.
        """
        self._variables = dict(_variable(each) for each in variables)
        self._main = str((cwd / main).resolve()) if main else None
        self._state = str((cwd / state).resolve()) if state else None
        self._config = config
        self._cwd = cwd
        self._as_read = project
        self.project = self._adapted(project)

    @property
    def spec(self) -> WorkerSpec | None:
        """The Worker; None where there is no `main`."""
        return WorkerSpec.of_project(self.project)

    def read_again(self) -> list[str]:
        """Read the configuration again; return what is doubtful in it.

        Raises ConfigError, and keeps what it had.
        """
        before = self._as_read
        if before.config_path is None:
            return []
        if not before.config_path.exists():
            raise ConfigError(f"`{before.config_path.name}` is gone.", hint="Put it back.", code="no_config")
        project = load_project(cwd=self._cwd, config=self._config, env=before.env or "")
        doubts = [each.describe() for each in project.diagnostics if each not in before.diagnostics]
        if project.settings != before.settings or _language(project) != _language(before):
            doubts.append("What changed in [edgecli], or the Worker's language, holds when dev is started again.")
        self._as_read = project
        self.project = self._adapted(project)
        return doubts

    def _adapted(self, project: Project) -> Project:
        changes: dict[str, Any] = {}
        if self._variables:
            changes["vars"] = project.vars | self._variables
            changes["secrets"] = {key: text for key, text in project.secrets.items() if key not in self._variables}
        if self._main:
            changes["main"] = self._main
        return dataclasses.replace(project, settings=self._settings(project), **changes)

    def _settings(self, project: Project) -> Any:
        settings = project.settings
        if self._state:
            settings = dataclasses.replace(settings, state_dir=self._state)
        # `[dev]` is wrangler's own table; `[edgecli.server]` comes before it.
        for name, key in (("port", "port"), ("ip", "host")):
            value = project.raw.get("dev", {}).get(name)
            if value is not None and project.origins[f"edgecli.server.{key}"].kind == "default":
                settings = dataclasses.replace(settings, server=dataclasses.replace(settings.server, **{key: value}))
        return settings


def _language(project: Project) -> str | None:
    spec = WorkerSpec.of_project(project)
    return spec.language if spec else None


def _variable(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name:
        raise UsageError(
            f"`{given}` is no variable.", hint=f"Write it as KEY:VALUE, `--var {json.dumps('GREETING:hi')}`."
        )
    return name, value
