"""`edgecli workers`: what runs Workers on this machine, and the Workers that were deployed to it."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common

app = EdgeTyper(help="Install what JavaScript Workers need.")


@app.command()
def install(
    force: Annotated[bool, typer.Option("--force", help="Install the tested versions in any case.")] = False,
) -> None:
    """Find or install `workerd` and `esbuild`, which run and bundle JavaScript and TypeScript Workers.

    npm fetches them, with your own npm configuration, into edgecli's cache; no Node runs afterwards. Python Workers
    need neither.
    """
    from edgecli.workers.workerd.install import install_all

    shared = common()
    project = shared.project(required=False)
    with console.progress("[progress.description]{task.description}") as bar:
        programs = install_all(
            project.root,
            offline=project.settings.offline,
            force=force,
            report=lambda name: bar.add_task(f"npm fetches {name} …", total=None),
        )
    if shared.json:
        console.print_json([program.to_dict() for program in programs])
    else:
        console.table(
            ("Program", "Version", "From", "Path"),
            [(each.name, each.version, each.source, str(each.path)) for each in programs],
        )
