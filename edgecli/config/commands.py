"""`edgecli config`: is the configuration right, and what does it say?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import ConfigError

app = EdgeTyper(help="Check and show the configuration.")


@app.command("check")
def check() -> None:
    """Check wrangler.toml or wrangler.jsonc, and say what is wrong where."""
    from edgecli.config.project import load_project
    from edgecli.models.catalog import Catalog

    call = common()
    try:
        project = load_project(cwd=call.cwd, config=call.config, env=call.env)
        origin = project.config_path.name if project.config_path else "project"
        Catalog.load(project.settings.models, origin=origin, folder=project.root).check()
    except ConfigError as error:
        _report_failure(error, as_json=call.json, env=call.env)
        raise
    if call.json:
        console.print_json(
            {
                "ok": True,
                "config": str(project.config_path),
                "env": project.env,
                "diagnostics": [finding.to_dict() for finding in project.diagnostics],
            }
        )
        return
    for finding in project.diagnostics:
        console.warn(finding.describe())
    environment = f" for the environment `{project.env}`" if project.env else ""
    console.success(f"{project.config_path} is valid{environment}.")


def _report_failure(error: ConfigError, *, as_json: bool, env: str | None) -> None:
    from edgecli.config.diagnostics import Diagnostic

    found: list[dict[str, Any]] = error.details.get("diagnostics", [])
    if as_json:
        if not found:
            finding = Diagnostic("error", error.message, hint=error.hint)
            found = [finding.to_dict() | {key: error.details.get(key) for key in ("file", "line", "column")}]
        console.print_json({"ok": False, "config": error.details.get("config"), "env": env, "diagnostics": found})
        raise typer.Exit(error.exit_code)
    for finding in found:
        if finding["level"] == "warning":
            console.warn(Diagnostic(**finding).describe())


@app.command("show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
) -> None:
    """Show every value that holds, defaults included; secrets stay hidden."""
    from edgecli.config.show import effective_values, shown

    call = common()
    project = call.project(required=False)
    values = effective_values(project)
    origins = project.origins
    if call.json:
        body: dict[str, Any] = {
            "config": str(project.config_path) if project.config_path else None,
            "env": project.env,
            "root": str(project.root),
            "values": values,
        }
        if origin:
            body["origins"] = {key: origins[key].to_dict() for key in values}
        console.print_json(body)
        return
    columns = ["key", "value", *(["origin"] if origin else [])]
    rows = [[key, shown(value), *([origins[key].describe()] if origin else [])] for key, value in values.items()]
    console.table(columns, rows)
