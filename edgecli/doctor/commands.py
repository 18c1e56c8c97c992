"""`edgecli doctor`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import ExitCode

if TYPE_CHECKING:
    from edgecli.doctor.check import Check, Examination

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also load slow libraries, read whole databases.")] = False,
) -> None:
    """Say what works on this machine and what does not.

    The exit code is 1 if documents cannot be ingested and asked.
    """
    from edgecli.doctor.service import examine

    options = common()
    with console.progress("{task.description}") as bar:
        bar.add_task("Loading libraries, to see whether they work …")
        examination = examine(options.cwd, config=options.config, env=options.env, deep=deep)
    if options.json:
        console.print_json(examination.to_dict())
    else:
        _print(examination)
    if not examination.ok:
        raise typer.Exit(ExitCode.FAILED)


def _print(examination: Examination) -> None:
    width = max(len(check.name) for check in examination.checks)
    for group, checks in groupby(examination.checks, key=lambda check: check.group):
        console.emphasised(group)
        for check in checks:
            console.out(f"  {_MARKS[check.status]} {check.name:<{width}}  {check.summary}")
            if check.hint and check.status != "ok":
                console.out(f"    {'':<{width}}  hint: {check.hint}")
        console.out()
    console.emphasised(_verdict(examination.checks))


def _verdict(checks: tuple[Check, ...]) -> str:
    failed = [check.name for check in checks if check.essential and check.status == "fail"]
    if failed:
        return "✗ Documents cannot be ingested and asked yet: " + ", ".join(failed) + "."
    doubtful = sum(check.status != "ok" for check in checks)
    return "✓ Documents can be ingested and asked." + (
        f" {console.counted(doubtful, 'other finding')} above." if doubtful else ""
    )
