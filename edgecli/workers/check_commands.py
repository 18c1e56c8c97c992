"""`edgecli check`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import ConfigError, ExitCode
from edgecli.workers.checking import Finding

_MARKS = {"error": "✗", "warning": "!", "note": "·", "ok": "✓"}


def check(strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False) -> None:
    """Check that configuration, code, bindings, indexes and models fit together. For CI.

    Exits with 4 if the configuration is wrong, with 1 if anything else is.
    """
    from edgecli.config import load_project
    from edgecli.models.catalog import Catalog
    from edgecli.workers import checking

    call = common()
    try:
        project = load_project(cwd=call.cwd, config=call.config, env=call.env)
        origin = project.config_path.name if project.config_path else "project"
        Catalog.load(project.settings.models, origin=origin, folder=project.root).check()
    except ConfigError as error:
        _report(checking.of_configuration_error(error), ok=False)
        raise typer.Exit(error.exit_code) from error
    call._project = project  # its warnings are findings here  # pyright: ignore[reportPrivateUsage]
    found = checking.check(project, call.client().call)
    ok = not checking.failed(found, strict=strict)
    _report(found, ok=ok)
    if not ok:
        raise typer.Exit(ExitCode.FAILED)


def _report(found: list[Finding], *, ok: bool) -> None:
    if common().json:
        console.print_json({"ok": ok, "findings": [each.to_dict() for each in found]})
        return
    width = max(len(each.check) for each in found)
    for each in found:
        first, *rest = each.message.splitlines()
        place = f"{each.place}: " if each.place else ""
        console.out(f"{_MARKS[each.level]} {each.check:{width}}  {place}{first}")
        hints = (each.hint or "").splitlines()
        for line in [*rest, *hints]:
            console.out(f"  {'':{width}}    {line}")
    counts = {level: sum(each.level == level for each in found) for level in ("error", "warning")}
    summary = " and ".join(console.counted(count, level) for level, count in counts.items() if count)
    if ok:
        console.success("Ready." if not summary else f"Ready, with {summary}.")
    else:
        console.warn(f"Not ready: {summary}.")
