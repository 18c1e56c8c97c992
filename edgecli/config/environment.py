"""One environment of a configuration: wrangler's rules of what it inherits and what it must repeat."""

from __future__ import annotations

from typing import Any

from edgecli.config.bindings import BINDING_KINDS, check_binding
from edgecli.config.checks import of_type
from edgecli.config.diagnostics import Report, as_json
from edgecli.config.fields import INHERITED, NOT_INHERITED, TOP_LEVEL, check_dev, check_secrets, check_vars
from edgecli.config.keypath import KeyPath
from edgecli.config.names import check_unique_names
from edgecli.errors import did_you_mean


class Effective:
    """The configuration that holds in one environment, without `[edgecli]`."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.places: dict[str, KeyPath] = {}
        """For each key of `values`, where its value is written."""

    def take(self, key: str, value: Any, place: KeyPath) -> None:
        """Let `value` hold, which is written at `place`."""
        self.values[key] = value
        self.places[key] = place


def apply_environment(report: Report, raw: dict[str, Any], env: str | None) -> Effective:
    """Check the whole file as wrangler does, and return what holds in `env` (None: at the top level)."""
    _check_top_level(report, raw)
    effective = Effective()
    for key, value in raw.items():
        if key not in {"env", "legacy_env", "edgecli"}:
            effective.take(key, value, (key,))
    if env is not None:
        effective = _enter(report, raw, env, effective)
    check_unique_names(report, effective.values, effective.places)
    known = (*INHERITED, *NOT_INHERITED, *TOP_LEVEL)
    report.unexpected("top-level", (), raw, known)
    _check_python(report, effective)
    return effective


def _check_top_level(report: Report, raw: dict[str, Any]) -> None:
    if "legacy_env" in raw:
        report.error(
            'The "legacy_env" field is no longer supported, so please remove it from your configuration file.',
            ("legacy_env",),
            hint="Delete the line; each environment is a Worker of its own, `<name>-<environment>`.",
        )
    for key, check in TOP_LEVEL.items():
        if key in raw:
            check(report, key, (key,), raw[key])
    if "dev" in raw:
        check_dev(report, raw["dev"])
    if "env" in raw and not isinstance(raw["env"], dict):
        of_type("object")(report, "env", ("env",), raw["env"])
    _check_table(report, raw, (), "")


def _check_table(report: Report, table: dict[str, Any], path: KeyPath, prefix: str) -> None:
    """Check the keys that may stand in an environment as well as at the top level.

    `prefix` stands before the names of keys that are not inherited, as in wrangler's messages.
    """
    for key, check in INHERITED.items():
        if key in table:
            check(report, key, (*path, key), table[key])
    for key in NOT_INHERITED:
        if key not in table:
            continue
        name, place, value = prefix + key, (*path, key), table[key]
        if key in BINDING_KINDS:
            check_binding(report, name, place, value, BINDING_KINDS[key])
        elif key == "vars":
            check_vars(report, name, place, value)
        elif key == "secrets":
            check_secrets(report, name, place, value)
        elif key in {"define", "durable_objects", "queues", "unsafe"} and not isinstance(value, dict):
            message = f'The field "{name}" should be an object but got {as_json(value)}.'
            report.error(message, place, expected="table")


def _enter(report: Report, raw: dict[str, Any], env: str, top: Effective) -> Effective:
    tables = raw.get("env")
    known = list(tables) if isinstance(tables, dict) else []
    derived = _derived_name(env, top)
    if not isinstance(tables, dict) or env not in tables:
        _report_missing(report, env, known)
        return derived
    path: KeyPath = ("env", env)
    table = tables[env]
    if not isinstance(table, dict):
        of_type("object")(report, f"env.{env}", path, table)
        return derived
    report.section = f'"env.{env}" environment configuration'
    _check_table(report, table, path, f"env.{env}.")
    for key in NOT_INHERITED:
        if key in table:
            derived.take(key, table[key], (*path, key))
        elif key in raw:
            derived.values.pop(key)
            derived.places.pop(key)
            _warn_missing_key(report, env, key)
    for key in INHERITED:
        if table.get(key) is not None:
            derived.take(key, table[key], (*path, key))
    for key in NOT_INHERITED:
        if key in table and key in raw:
            _warn_missing_entries(report, env, key, raw[key], table[key])
    report.unexpected(f"env.{env}", path, table, (*INHERITED, *NOT_INHERITED, "edgecli"))
    report.section = None
    return derived


def _derived_name(env: str, top: Effective) -> Effective:
    derived = Effective()
    derived.values.update(top.values)
    derived.places.update(top.places)
    name = top.values.get("name")
    if isinstance(name, str) and name:
        derived.values["name"] = f"{name}-{env}"
    return derived


def _report_missing(report: Report, env: str, known: list[str]) -> None:
    names = f"The available configured environment names are: {as_json(known)}\n" if known else ""
    file = report.source.path.name if report.source else "wrangler.toml"
    message = (
        f'No environment found in configuration with name "{env}".\n'
        f"Before using `--env={env}` there should be an equivalent environment section "
        "in the configuration.\n"
        f"{names}\n"
        f"Consider adding an environment configuration section to the {file} file:\n"
        f"```\n[env.{env}]\n```"
    )
    if known:
        report.error(message, ("env",), expected="one of " + ", ".join(known), hint=did_you_mean(env, known))
    else:
        report.warning(message, ())


def _warn_missing_key(report: Report, env: str, key: str) -> None:
    report.warning(
        f'"{key}" exists at the top level, but not on "env.{env}".\n'
        f'This is not what you probably want, since "{key}" is not inherited by environments.\n'
        f'Please add "{key}" to "env.{env}".',
        (key,),
    )


def _warn_missing_entries(report: Report, env: str, key: str, top: Any, own: Any) -> None:
    kind = BINDING_KINDS.get(key)
    if key == "vars" and isinstance(top, dict) and isinstance(own, dict):
        missing = [name for name in top if name not in own]
        if missing:
            report.warning(
                f'The following vars exist at the top level, but not on "env.{env}.vars".\n'
                'This is probably not what you want, since "vars" configuration is not inherited by '
                "environments.\n"
                f'Please add these vars to "env.{env}.vars":\n' + "\n".join(f"- {name}" for name in missing),
                ("env", env, "vars"),
            )
    elif kind is not None and isinstance(top, list) and isinstance(own, list):
        present = [item.get(kind.name_field) for item in own if isinstance(item, dict)]
        for item in top:
            name = item.get(kind.name_field) if isinstance(item, dict) else None
            if isinstance(name, str) and name not in present:
                report.warning(
                    f'There is a {key} binding with name "{name}" at the top level, but not on "env.{env}".\n'
                    f'This is not what you probably want, since "{key}" configuration is not inherited by '
                    "environments.\n"
                    f'Please add a binding for "{name}" to "env.{env}.{key}.bindings".',
                    ("env", env, key),
                )


def _check_python(report: Report, effective: Effective) -> None:
    main, flags = effective.values.get("main"), effective.values.get("compatibility_flags", [])
    is_python = isinstance(main, str) and main.endswith(".py")
    if is_python and isinstance(flags, list) and "python_workers" not in flags:
        report.error(
            "The `python_workers` compatibility flag is required to use Python.",
            effective.places["main"],
            hint=f"Add {report.written('compatibility_flags', ['python_workers'])}.",
        )
