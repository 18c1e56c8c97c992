"""A project: its configuration file, read, checked and merged for one environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edgecli.config.diagnostics import Diagnostic, Report, render_tree
from edgecli.config.environment import Effective, apply_environment
from edgecli.config.find import CONFIG_NAMES, find_config
from edgecli.config.origins import Origin, trace_origins
from edgecli.config.secrets import Secrets, read_secrets
from edgecli.config.settings import Settings, all_settings
from edgecli.config.settings_read import read_settings
from edgecli.config.source import ConfigSource, read_source
from edgecli.errors import ConfigError


class AiBinding(NamedTuple):
    """`[ai]`: the models, under one name."""

    binding: str


class VectorizeBinding(NamedTuple):
    """`[[vectorize]]`: one vector index."""

    binding: str
    index_name: str


class R2Binding(NamedTuple):
    """`[[r2_buckets]]`: one bucket. Without a name, deployment makes one up."""

    binding: str
    bucket_name: str | None = None

    @property
    def resource(self) -> str:
        """The bucket that it stands for here."""
        return self.bucket_name or self.binding.lower()


class KvBinding(NamedTuple):
    """`[[kv_namespaces]]`: one namespace of keys."""

    binding: str
    id: str | None = None

    @property
    def resource(self) -> str:
        """The namespace that it stands for here."""
        return self.id or self.binding


class D1Binding(NamedTuple):
    """`[[d1_databases]]`: one SQL database."""

    binding: str
    database_name: str | None = None
    database_id: str | None = None

    @property
    def resource(self) -> str:
        """The database that it stands for here."""
        return self.database_id or self.database_name or self.binding


class BrowserBinding(NamedTuple):
    """`[browser]`: a browser to drive."""

    binding: str


@dataclass(frozen=True, slots=True)
class Project:
    """What a configuration says, for the environment that was chosen."""

    root: Path
    """The folder of the configuration file; all its relative paths start here."""
    config_path: Path | None = None
    """None where there is no file and all values are defaults."""
    env: str | None = None
    name: str | None = None
    main: str | None = None
    compatibility_date: str | None = None
    compatibility_flags: tuple[str, ...] = ()
    ai: AiBinding | None = None
    vectorize: tuple[VectorizeBinding, ...] = ()
    r2_buckets: tuple[R2Binding, ...] = ()
    kv_namespaces: tuple[KvBinding, ...] = ()
    d1_databases: tuple[D1Binding, ...] = ()
    browser: BrowserBinding | None = None
    vars: dict[str, Any] = field(default_factory=dict[str, Any])
    """Plain variables of the Worker, without those that a secret of the same name replaces."""
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    settings: Settings = field(default_factory=Settings)
    diagnostics: tuple[Diagnostic, ...] = ()
    """Warnings only: errors are raised."""
    raw: dict[str, Any] = field(default_factory=dict[str, Any])
    """The values of the file that hold in `env`, unchanged, without `[edgecli]`."""
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    """Where each value is from, by keys such as `vectorize[0].index_name` and `edgecli.rag.top_k`."""

    @property
    def state_dir(self) -> Path:
        """The folder of the project's indexes, logs and lock."""
        return self.root / Path(self.settings.state_dir).expanduser()


def load_project(
    *, cwd: Path, config: Path | None = None, env: str | None = None, environ: Mapping[str, str] = os.environ
) -> Project:
    """Load the project that a command run in `cwd` belongs to.

    `config` names the file and ends the search; `env` (or `CLOUDFLARE_ENV`) chooses the environment, and an
    empty name the top level. Raises ConfigError: `no_config` where no file is found, `unreadable_config` and
    `invalid_syntax` where it cannot be read, `invalid_config` with wrangler's tree where it is wrong.
    """
    path = _chosen(cwd, config) or find_config(cwd)
    if path is None:
        raise ConfigError(
            f"No configuration found: none of {', '.join(CONFIG_NAMES)} is in {cwd.resolve()} or above it.",
            hint="Run `edgecli init`, or create an empty wrangler.toml here.",
            code="no_config",
        )
    return _load(read_source(path, cwd=cwd, shown=str(config) if config else None), path.parent, cwd, env, environ)


def load_project_or_default(
    *, cwd: Path, config: Path | None = None, env: str | None = None, environ: Mapping[str, str] = os.environ
) -> Project:
    """Load the project as `load_project` does; where no file is found, return the defaults in `cwd`."""
    if config is None and find_config(cwd) is None:
        return _load(None, cwd.resolve(), cwd, None, environ)
    return load_project(cwd=cwd, config=config, env=env, environ=environ)


def _chosen(cwd: Path, config: Path | None) -> Path | None:
    if config is None:
        return None
    path = (cwd / config.expanduser()).absolute()
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Cannot read {config}: {error}.", hint="Check the path after --config.", code="unreadable_config"
        ) from error
    if not exists:
        raise ConfigError(
            f"There is no configuration file {config}.",
            hint="Check the path after --config, or leave it out to search upwards.",
            code="no_config",
        )
    return path


def _load(source: ConfigSource | None, root: Path, cwd: Path, env: str | None, environ: Mapping[str, str]) -> Project:
    chosen = (environ.get("CLOUDFLARE_ENV") if env is None else env) or None
    report = Report(source)
    raw = source.data if source else {}
    effective = apply_environment(report, raw, chosen) if source else Effective()
    secrets = Secrets()
    if source:
        secrets = read_secrets(report, root, chosen, effective.values, environ, cwd)
    held = {each.variable for each in all_settings() if each.secret} & secrets.values.keys()
    settings = read_settings(report, raw, chosen, {name: secrets.values[name] for name in held} | dict(environ))
    if report.failed:
        raise ConfigError(
            render_tree(report.title, report.found, "error"),
            code="invalid_config",
            details={
                "config": str(source.path) if source else None,
                "diagnostics": [finding.to_dict() for finding in report.found],
            },
        )
    values = effective.values
    return Project(
        root=root,
        config_path=source.path if source else None,
        env=chosen if source else None,
        **_bindings(values),
        vars={name: value for name, value in values.get("vars", {}).items() if name not in secrets.values},
        secrets=secrets.values,
        settings=settings.settings,
        diagnostics=tuple(report.found),
        raw=values,
        origins=trace_origins(source, effective, settings, secrets),
    )


def _bindings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a Project that stand in the file as they are."""

    def single(key: str, kind: type[Any]) -> Any:
        return kind(values[key]["binding"]) if key in values else None

    def several(key: str, kind: type[Any], *fields: str) -> tuple[Any, ...]:
        return tuple(kind(*(item.get(name) for name in ("binding", *fields))) for item in values.get(key, []))

    return {
        "name": values.get("name") or None,
        "main": values.get("main"),
        "compatibility_date": values.get("compatibility_date"),
        "compatibility_flags": tuple(values.get("compatibility_flags", [])),
        "ai": single("ai", AiBinding),
        "browser": single("browser", BrowserBinding),
        "vectorize": several("vectorize", VectorizeBinding, "index_name"),
        "r2_buckets": several("r2_buckets", R2Binding, "bucket_name"),
        "kv_namespaces": several("kv_namespaces", KvBinding, "id"),
        "d1_databases": several("d1_databases", D1Binding, "database_name", "database_id"),
    }
