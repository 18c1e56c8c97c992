"""Reading the settings: environment variables over `[env.NAME.edgecli]` over `[edgecli]` over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecli.config.checks import of_type, one_of, type_name
from edgecli.config.diagnostics import Report, as_json
from edgecli.config.keypath import KeyPath
from edgecli.config.model_entries import check_models
from edgecli.config.settings import Setting, Settings, all_settings, build_settings, seconds

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_PREFIX = "EDGECLI_"
_OTHER_VARIABLES = ("EDGECLI_HOME", "EDGECLI_WORKERD", "EDGECLI_ESBUILD")
_ALIKE = 0.8


class SettingsRead:
    """The settings, and where each of them was found."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.places: dict[str, KeyPath] = {}
        """Key of a setting or model -> its place in the file, for those that a file sets."""
        self.variables: dict[str, str] = {}
        """Key of a setting -> the environment variable that sets it."""


def read_settings(report: Report, raw: dict[str, Any], env: str | None, environ: Mapping[str, str]) -> SettingsRead:
    """Check every `[edgecli]` table that counts and return the settings that hold."""
    found = SettingsRead()
    values: dict[tuple[str, ...], Any] = {}
    models: dict[str, dict[str, Any]] = {}
    for table, place in _tables(report, raw, env):
        _check_table(report, table, place)
        for setting in all_settings():
            present, value = _look_up(table, setting.path)
            if present:
                values[setting.path] = _normal(setting, value)
                found.places[setting.key] = (*place, *setting.path)
        own = table.get("models")
        for name, model in own.items() if isinstance(own, dict) else ():
            models[name] = model
            found.places[f"edgecli.models.{name}"] = (*place, "models", name)
    for setting in all_settings():
        text = environ.get(setting.variable, "")
        if text:
            values[setting.path] = _from_variable(report, setting, text)
            found.variables[setting.key] = setting.variable
    _check_variables(report, environ)
    if not report.failed:
        found.settings = build_settings(values, models)
        _check_overlap(report, found)
    return found


def _check_variables(report: Report, environ: Mapping[str, str]) -> None:
    """Warn about variables that are no setting but look like one: a typing error has no effect, and says nothing."""
    known = [*(setting.variable for setting in all_settings()), *_OTHER_VARIABLES]
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in known:
            continue
        import difflib

        names = [each.removeprefix(_PREFIX) for each in known]
        close = difflib.get_close_matches(name.removeprefix(_PREFIX), names, n=1, cutoff=_ALIKE)
        if close:
            outside = Report(None)
            outside.warning(
                f"The environment variable {name} is no setting, and has no effect.",
                (),
                hint=f"Did you mean `{_PREFIX}{close[0]}`?",
            )
            report.adopt(outside, f"environment variable {name}")


def _tables(report: Report, raw: dict[str, Any], env: str | None) -> list[tuple[dict[str, Any], KeyPath]]:
    """Return the `[edgecli]` tables from the weakest to the strongest, with their places."""
    found: list[tuple[Any, KeyPath]] = [(raw.get("edgecli", {}), ("edgecli",))]
    environments = raw.get("env")
    table = environments.get(env) if env is not None and isinstance(environments, dict) else None
    if env is not None and isinstance(table, dict):
        found.append((table.get("edgecli", {}), ("env", env, "edgecli")))
    for value, place in found:
        if not isinstance(value, dict):
            of_type("object")(report, ".".join(map(str, place)), place, value)
    return [(value, place) for value, place in found if isinstance(value, dict)]


def _check_table(report: Report, table: dict[str, Any], place: KeyPath) -> None:
    _check_level(report, table, place, {setting.path: setting for setting in all_settings()}, ())


def _check_level(
    report: Report,
    table: dict[str, Any],
    place: KeyPath,
    settings: dict[tuple[str, ...], Setting],
    above: tuple[str, ...],
) -> None:
    name = ".".join(map(str, place))
    known = dict.fromkeys(path[len(above)] for path in settings if path[: len(above)] == above)
    if not above:
        known["models"] = None
    report.unexpected(name, place, table, known)
    for key, value in table.items():
        path, where, field_name = (*above, key), (*place, key), f"{name}.{key}"
        if path in settings:
            _check_value(report, settings[path], field_name, where, value)
        elif key in known and not isinstance(value, dict):
            of_type("object")(report, field_name, where, value)
        elif key in known and path == ("models",):
            check_models(report, value, where)
        elif key in known:
            _check_level(report, value, where, settings, path)


def _look_up(table: dict[str, Any], path: tuple[str, ...]) -> tuple[bool, Any]:
    value: Any = table
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value


def _normal(setting: Setting, value: Any) -> Any:
    if isinstance(setting.default, tuple) and isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(setting.default, float) and isinstance(value, int) else value


def _expected(setting: Setting) -> str:
    kind = type(setting.default)
    return {bool: "boolean", int: "integer", float: "number", tuple: "string array"}.get(kind, "string")


def _check_value(report: Report, setting: Setting, name: str, place: KeyPath, value: Any) -> None:
    expected = _expected(setting)
    if setting.choices:
        one_of(*setting.choices)(report, name, place, value)
    elif not _has_type(setting, value):
        message = f'Expected "{name}" to be of type {expected} but got {as_json(value)}.'
        report.error(message, place, expected=expected)
    elif isinstance(value, str) and ("\0" in value or (setting.default and not value.strip())):
        message = f'Expected "{name}" to be a name but got {as_json(value)}.'
        report.error(message, place, expected="non-empty string", hint=f"Leave it out for {setting.default}.")
    elif setting.duration and not _is_duration(value):
        report.error(
            f'Expected "{name}" to be a duration but got {as_json(value)}.',
            place,
            expected="duration",
            hint="Write a number and its unit: 500ms, 2s, 1m or 1h.",
        )
    elif setting.minimum is not None and setting.maximum is not None and not isinstance(value, str):
        _check_range(report, setting.minimum, setting.maximum, name, place, value)


def _is_duration(text: str) -> bool:
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def _has_type(setting: Setting, value: Any) -> bool:
    if isinstance(setting.default, tuple):
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if isinstance(setting.default, float):
        return type_name(value) == "number"
    return type(value) is type(setting.default)


def _check_range(report: Report, minimum: float, maximum: float, name: str, place: KeyPath, value: float) -> None:
    if not minimum <= value <= maximum:
        expected = f"{minimum} to {maximum}"
        report.error(
            f'Expected "{name}" to be between {minimum} and {maximum} but got {as_json(value)}.',
            place,
            expected=expected,
        )


def _from_variable(report: Report, setting: Setting, text: str) -> Any:
    """Return the value that an environment variable's text stands for, checked as one from the file."""
    value: Any = text
    lowered = text.strip().lower()
    if isinstance(setting.default, bool):
        value = True if lowered in _TRUE else False if lowered in _FALSE else text
    elif isinstance(setting.default, tuple):
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif isinstance(setting.default, int | float):
        try:
            value = int(text) if isinstance(setting.default, int) else float(text)
        except ValueError:
            value = text
    outside = Report(None)
    _check_value(outside, setting, setting.variable, ("edgecli", *setting.path), value)
    report.adopt(outside, f"environment variable {setting.variable}")
    return _normal(setting, value)


def _check_overlap(report: Report, found: SettingsRead) -> None:
    ingest = found.settings.ingest
    if ingest.chunk_overlap >= ingest.chunk_tokens:
        report.error(
            f'Expected "edgecli.ingest.chunk_overlap" to be less than chunk_tokens ({ingest.chunk_tokens}) '
            f"but got {ingest.chunk_overlap}.",
            found.places.get("edgecli.ingest.chunk_overlap", ("edgecli", "ingest", "chunk_overlap")),
            expected=f"less than {ingest.chunk_tokens}",
            hint="About a fifth of chunk_tokens is usual.",
        )
