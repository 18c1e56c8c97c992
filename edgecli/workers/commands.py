"""`edgecli workers`: what runs Workers on this machine, and the Workers that were deployed to it."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.workers import deployed_commands

app = EdgeTyper(help="List, follow and delete the Workers that run here; install what JavaScript Workers need.")
app.command("list")(deployed_commands.list_workers)
app.command()(deployed_commands.logs)
app.command()(deployed_commands.delete)
app.command()(deployed_commands.env)


@app.command()
def install(
    force: Annotated[bool, typer.Option("--force", help="Install the tested versions in any case.")] = False,
) -> None:
    """Find or install `workerd` and `esbuild`, which run and bundle JavaScript and TypeScript Workers.

    npm fetches them with your own configuration into edgecli's cache.
    No Node runs afterwards. Python Workers need neither.
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
