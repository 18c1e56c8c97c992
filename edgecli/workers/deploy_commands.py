"""`edgecli deploy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.config.project import Project
    from edgecli.workers.deploy_files import Target
    from edgecli.workers.deployment import Deployment

_MARKS = {"error": "✗", "warning": "!", "note": "·"}


def deploy(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go to the cloud, and what would be different there.")
    ] = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TARGET", help="Write a `systemd` unit or a `container` file.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the files; default: `deploy`.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Say what the cloud would get, or write files that run this project on a machine of yours.

    Deploying itself is wrangler's work. Exits with 1 if something would fail there.
    """
    if to is not None and to not in ("systemd", "container"):
        raise UsageError(f"`{to}` is no target.", hint="`--to systemd` or `--to container`.", code="bad_target")
    if dry_run == (to is not None):
        raise UsageError(
            "`edgecli deploy` takes either --dry-run or --to; deploying to Cloudflare is wrangler's work.",
            hint="`npx wrangler deploy`, or for a Python Worker with packages `uv run pywrangler deploy`. "
            "`edgecli deploy --dry-run` says before what will be different there.",
            code="no_target",
        )
    project = common().project()
    if to is not None:
        _write(project, to, out, force)
    else:
        _plan(project)


def _write(project: Project, to: Target, out: Path | None, force: bool) -> None:
    from edgecli.workers import deploy_files
    from edgecli.workers.checking import package_imports
    from edgecli.workers.scan import Scan, scan

    main = project.root / (project.main or "worker.py")
    source = scan(main.resolve(), project.root.resolve()) if main.is_file() else Scan()
    folder = (common().cwd / out if out else project.root / "deploy").absolute()
    files = deploy_files.contents(project, to, folder, package_imports(project, source))
    deploy_files.write(files, force=force)
    if common().json:
        console.print_json({"target": to, "files": [str(path) for path in files]})
        return
    for path in files:
        console.success(f"Wrote `{path}`.")
    console.note("The first lines of the file say how to use it.")


def _plan(project: Project) -> None:
    from edgecli.workers.deployment import plan

    planned = plan(project, common().client().call)
    failing = any(each.level == "error" for each in planned.differences)
    if common().json:
        console.print_json(planned.to_dict())
    else:
        _show(planned)
    if failing:
        console.warn("As it is, this would fail there.")
        raise typer.Exit(1)


def _show(planned: Deployment) -> None:
    console.emphasised(f"{planned.name} would go to the cloud", f"  main {planned.main}")
    flags = ", ".join(planned.compatibility_flags)
    console.out(f"  compatibility  {planned.compatibility_date or 'none'}{f', {flags}' if flags else ''}")
    total = console.human_bytes(sum(each["bytes"] for each in planned.modules))
    for each in planned.modules:
        console.out(f"  module         {each['name']}, {console.human_bytes(each['bytes'])}")
    console.out(f"  total          {total}{'' if planned.main.endswith('.py') else ', before bundling'}")
    for each in planned.bindings:
        rest = ", ".join(f"{key} {value}" for key, value in each.items() if key not in ("type", "name") and value)
        console.out(f"  binding        env.{each['name']}  {each['type']}{f', {rest}' if rest else ''}")
    for name, value in planned.vars.items():
        console.out(f"  variable       env.{name}  {json.dumps(value, ensure_ascii=False)}")
    for name in planned.secrets:
        console.out(f"  secret         env.{name}  (not sent)")
    for cron in planned.crons:
        console.out(f"  schedule       {cron}")
    console.out()
    console.emphasised("What would be different there")
    for each in planned.differences:
        console.out(f"{_MARKS[each.level]} {each.check:13}  {each.message}")
        if each.hint:
            console.out(f"  {'':13}    {each.hint}")
    if planned.prices:
        console.out()
        console.emphasised("Prices of 1,000 requests", "  10,000 neurons a day are free")
        for each in planned.prices:
            tokens = f"{each['input_tokens']} tokens in, {each['output_tokens']} out"
            console.out(f"  {each['model']}, {tokens}: {each['neurons']:,.0f} neurons, ${each['usd']:.4f}")
