"""Loading a configuration from a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from edgecli.config import Diagnostic, Project, load_project
from edgecli.errors import ConfigError


class Load(Protocol):
    def __call__(
        self,
        text: str,
        *,
        env: str | None = None,
        environ: Mapping[str, str] = ...,
        name: str = ...,
        files: Mapping[str, str] = ...,
    ) -> Project: ...


class Findings(Protocol):
    def __call__(self, text: str, *, env: str | None = None, name: str = ...) -> list[Diagnostic]: ...


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write `text` as a configuration, `files` beside it, and load it."""

    def run(
        text: str,
        *,
        env: str | None = None,
        environ: Mapping[str, str] | None = None,
        name: str = "wrangler.toml",
        files: Mapping[str, str] | None = None,
    ) -> Project:
        for file, content in {name: text, **(files or {})}.items():
            (tmp_path / file).write_text(content, encoding="utf-8")
        return load_project(cwd=tmp_path, config=Path(name), env=env, environ=environ or {})

    return run


@pytest.fixture
def findings(load: Load) -> Findings:
    """Load a text and return what was found in it, errors and warnings."""

    def run(text: str, *, env: str | None = None, name: str = "wrangler.toml") -> list[Diagnostic]:
        try:
            return list(load(text, env=env, name=name).diagnostics)
        except ConfigError as error:
            assert error.code == "invalid_config"
            found: list[dict[str, Any]] = error.details["diagnostics"]
            return [Diagnostic(**finding) for finding in found]

    return run
