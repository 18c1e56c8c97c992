"""The Worker's secrets on this machine: `.dev.vars`, or `.env` files where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.config.diagnostics import Report
from edgecli.config.source import shown_path

if TYPE_CHECKING:
    from edgecli.config.dotenv import Variable

_MAX_BYTES = 1024 * 1024


class Secrets:
    """Values by name, and where each was found."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.origins: dict[str, tuple[Path | None, int | None, str]] = {}
        """Name -> file, line and kind."""


def read_secrets(
    report: Report,
    folder: Path,
    env: str | None,
    values: Mapping[str, Any],
    environ: Mapping[str, str],
    cwd: Path,
) -> Secrets:
    """Read the secrets as `wrangler dev` does; `values` is the effective configuration, `folder` holds it.

    `.dev.vars.<env>` comes before `.dev.vars` and they do not merge; `.env`, `.env.local`, `.env.<env>` and
    `.env.<env>.local` merge, and count only without either. With `[secrets] required`, only names that are
    required or in `[vars]` are taken, and the process may supply them.
    """
    secrets = Secrets()
    dev_vars = _first_file(folder, [f".dev.vars.{env}", ".dev.vars"] if env else [".dev.vars"])
    if dev_vars is not None:
        for name, variable in _parse(report, dev_vars, cwd).items():
            secrets.values[name] = variable.value
            secrets.origins[name] = (dev_vars, variable.line, ".dev.vars")
    elif environ.get("CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV", "").lower() != "false":
        _read_env_files(report, secrets, folder, env, environ, cwd)
    required = _required(values)
    if required is not None:
        _keep_required(report, secrets, required, values, environ)
    return secrets


def _first_file(folder: Path, names: list[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_env_files(
    report: Report, secrets: Secrets, folder: Path, env: str | None, environ: Mapping[str, str], cwd: Path
) -> None:
    names = [".env", ".env.local", *([f".env.{env}", f".env.{env}.local"] if env else [])]
    from edgecli.config.dotenv import expand

    merged: dict[str, Variable] = {}
    for name in names:
        path = folder / name
        if path.is_file():  # a virtual environment may be a folder of this name
            for key, variable in _parse(report, path, cwd).items():
                merged[key] = variable
                secrets.origins[key] = (path, variable.line, ".env")
    include = environ.get("CLOUDFLARE_INCLUDE_PROCESS_ENV", "").lower() == "true"
    outside = environ if include else {}
    secrets.values.update(expand(merged, outside, shown_path(folder / ".env", cwd)))
    for key in outside:
        secrets.values[key] = outside[key]
        secrets.origins[key] = (None, None, "environment variable")


def _required(values: Mapping[str, Any]) -> list[str] | None:
    table = values.get("secrets")
    required = table.get("required") if isinstance(table, dict) else None
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else None


def _keep_required(
    report: Report,
    secrets: Secrets,
    required: list[str],
    values: Mapping[str, Any],
    environ: Mapping[str, str],
) -> None:
    variables = values.get("vars")
    allowed = {*required, *(variables if isinstance(variables, dict) else ())}
    for name in [name for name in secrets.values if name not in allowed]:
        del secrets.values[name], secrets.origins[name]
    for name in required:
        if name not in secrets.values and name in environ:
            secrets.values[name] = environ[name]
            secrets.origins[name] = (None, None, "environment variable")
    missing = [name for name in required if name not in secrets.values]
    if missing:
        report.warning(
            f"Missing required secrets: {', '.join(missing)}.",
            ("secrets", "required"),
            hint=f"Put a line {missing[0]}=… into .dev.vars.",
        )


def _parse(report: Report, path: Path, cwd: Path) -> dict[str, Variable]:
    from edgecli.config.dotenv import parse_dotenv

    shown = shown_path(path, cwd)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        report.warning(f"Cannot read {shown}: {error.strerror}.", (), hint="Its secrets are missing.")
        return {}
    if len(raw) > _MAX_BYTES:
        report.warning(f"{shown} is larger than 1 MB and was not read.", (), hint="Its secrets are missing.")
        return {}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.warning(f"{shown}:{line}: a byte is not UTF-8 and was replaced.", (), hint="Save it as UTF-8.")
        text = raw.decode("utf-8", errors="replace")
    return parse_dotenv(text)
