"""Examine this machine and the project: all checks, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edgecli.config import Project
from edgecli.doctor import libraries, machine, project, state
from edgecli.doctor.check import Check, Examination, Status
from edgecli.state import StatePaths

AT_ONCE = 4
"""Checks at a time; most of them wait for a process of their own."""


class Step(NamedTuple):
    """One check, or a few, to be run beside the others."""

    group: str
    name: str
    run: Callable[[], Check | list[Check]]


def examine(cwd: Path, *, config: Path | None = None, env: str | None = None, deep: bool = False) -> Examination:
    """Check the machine, the libraries, the project of `cwd` and its state.

    `deep` also loads the slow libraries and reads whole databases. Nothing is changed, and no check can end
    the others: one that breaks is itself a finding.
    """
    configuration, loaded = project.configuration(cwd, config, env)
    steps = [*_machine_steps(deep), *(_project_steps(loaded, deep) if loaded else ())]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        results = list(pool.map(run_step, steps))
    checks = [configuration, *(check for result in results for check in result)]
    checks.extend(_devices(checks))
    order = ("machine", "libraries", "project", "state")
    return Examination(tuple(sorted(checks, key=lambda check: order.index(check.group))))


def _machine_steps(deep: bool) -> Iterator[Step]:
    # The slow ones come first, so that the quick ones fill the time beside them.
    for entry in libraries.LIBRARIES:
        yield Step("libraries", entry.distribution, partial(libraries.library, entry, deep=deep))
    yield Step("machine", "python", machine.python)
    yield Step("machine", "edgecli", machine.edgecli)
    yield Step("machine", "sqlite", machine.sqlite)
    yield Step("machine", "cpu", machine.processor)
    yield Step("machine", "memory", machine.memory)
    yield Step("machine", "gpu", machine.gpu)


def _project_steps(loaded: Project, deep: bool) -> Iterator[Step]:
    yield Step("project", "models", partial(project.models, loaded))
    yield Step("project", "disk", partial(project.disks, loaded))
    if loaded.config_path is None:
        return
    if loaded.main is not None and not loaded.main.endswith(".py"):
        yield Step("project", "workers", partial(project.programs, loaded))
    paths = StatePaths(loaded.state_dir)
    yield Step("state", "directory", partial(state.directory, paths))
    yield Step("state", "lock", partial(state.lock, paths))
    yield Step("state", "server", partial(state.server, paths))
    yield Step("state", "edge.db", partial(state.database, paths, deep=deep))
    yield Step("state", "stores", partial(state.stores, paths, deep=deep))
    vectorize = loaded.settings.vectorize
    vectors = partial(state.vectors_on_server, vectorize) if vectorize.url else partial(state.vectors, paths, deep=deep)
    yield Step("state", "vector indexes", vectors)


def run_step(step: Step) -> list[Check]:
    """Run one step; whatever it raises becomes a finding."""
    try:
        found = step.run()
    except Exception as error:
        return [
            Check(
                step.group,
                step.name,
                Status.FAIL,
                f"the check itself failed: {type(error).__name__}: {error}",
                "Report this, with the output of `edgecli doctor --json`.",
                essential=True,
            )
        ]
    return found if isinstance(found, list) else [found]


def _devices(checks: list[Check]) -> Iterator[Check]:
    """Yield what follows from the GPU and the libraries together."""
    found = {check.name: check for check in checks}
    yield libraries.offload(found["gpu"], found["llama-cpp-python"])
    torch = libraries.torch_device(found["gpu"], found["torch"])
    if torch is not None:
        yield torch
