"""The server's life: bind, tell where it listens, serve, clean up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json as jsonlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from edgecli import __version__, console, logs
from edgecli.errors import EdgeError, ExitCode, StateError, UsageError
from edgecli.server.access import is_loopback
from edgecli.state import ServerInfo, StatePaths, read_server, write_atomically

if TYPE_CHECKING:
    from edgecli.config.project import Project
    from edgecli.runtime import Runtime
    from edgecli.workers.worker import Worker

PORTS_TO_TRY = 20
LONGEST_START = 10.0
"""Seconds that a server waits for its Worker before it says that it is ready."""
log = logging.getLogger("edgecli.server")


def run_server(
    project: Project,
    *,
    host: str | None,
    port: int | None,
    token: str | None,
    verbose: bool,
    companion: Companion,
) -> int:
    """Serve the project's API and its Worker until a signal ends it.

    Return the exit code, 130 for Ctrl-C and 143 for SIGTERM, 0 where the companion ended it.

    Raises UsageError where the address would need a token, StateError if another process holds the state,
    EdgeError, code `port_in_use`, if a port that was asked for is taken.
    """
    settings = project.settings.server
    host = host or settings.host
    token = token or settings.token or None
    loopback = is_loopback(host)
    if not loopback and not token:
        raise UsageError(
            f"Refusing to listen on `{host}` without a token: others could use your models and read your indexes.",
            hint="Give `--token`, or set EDGECLI_SERVER_TOKEN; or listen on 127.0.0.1.",
            code="token_required",
        )
    logs.configure(traces=True)
    running = read_server(StatePaths(project.state_dir))
    from edgecli.runtime import Runtime

    runtime = Runtime(project, verbose=verbose, serving=True)
    if running is not None:
        runtime.ending.set()  # a server does not give the state back in the seconds that a command would wait
    try:
        paths = runtime.state.paths
    except StateError as error:
        if running is not None:
            raise StateError(
                f"A server of this project already runs at {running.public or running.address} "
                f"(process {running.pid}).",
                hint="Use it, or end it first.",
                code="already_running",
            ) from error
        raise
    try:
        wanted = port if port is not None else settings.port
        listener = _bind(host, wanted, exact=port is not None)
        if wanted and (taken := listener.getsockname()[1]) != wanted:
            console.warn(f"Port {wanted} is in use by another program, so this server takes {taken}.")
        signal = asyncio.run(_serve(runtime, paths, listener, host, token, companion))
    finally:
        asyncio.run(runtime.close())
    return 128 + signal if signal else ExitCode.DONE


def _bind(host: str, port: int, *, exact: bool) -> socket.socket:
    """Return a listening socket on the port, or, unless it was asked for, on the next free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if exact or port == 0 else range(port, min(port + PORTS_TO_TRY, 65536)):
        # asyncio answers without delay (TCP_NODELAY) only where the protocol is named.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise EdgeError(
                f"Cannot listen on `{host}` port {candidate}: {error.strerror}.",
                hint="Choose another `--host` or `--port`.",
                code="cannot_bind",
            ) from error
        return listener
    raise EdgeError(f"Port {port} on `{host}` is in use.", hint="Choose another with `--port`.", code="port_in_use")


class Companion(Protocol):
    """Who stands beside a server that runs: says that it does, and what happens."""

    traces: bool
    """Whether answers show a developer what failed."""
    test_scheduled: bool
    patience: int
    """Seconds that running answers have when a signal ends the server."""

    async def run(self, server: Running) -> None:
        """Stand there until the server ends; then this is cancelled."""
        ...


@dataclass
class Running:
    """A server that listens."""

    runtime: Runtime
    worker: Worker | None
    started: asyncio.Task[None]
    """Is done when the Worker has been started, or not: then it holds the error."""
    address: str
    """The public one, `http://127.0.0.1:8787`."""
    shown: str
    """The same as people write it, `http://localhost:8787`."""
    stop: Callable[[], None]
    """Ends the server, as a signal would."""

    async def begun(self) -> None:
        """Wait for the Worker's start, but not for one that takes long."""
        await asyncio.wait({self.started}, timeout=LONGEST_START)

    async def prepare(self) -> None:
        """Make the next reload of the Worker quick."""
        from edgecli.server.launch import prepare

        await prepare(self.worker.spec if self.worker else None)

    async def warm(self) -> None:
        """Load the project's models."""
        await _warm(self.runtime)


class Plain:
    """What `serve` says: where it listens, its requests, and what its Worker writes. Crons run by themselves."""

    traces = False
    test_scheduled = False
    patience = 3

    def __init__(self, *, warm: bool, json: bool) -> None:
        self._warm = warm
        self._json = json

    async def run(self, server: Running) -> None:
        """Say that it is ready, then follow the Worker's journal."""
        from edgecli.workers.display import Reporter

        await server.begun()
        project = server.runtime.project
        if server.worker is not None and server.worker.error is not None:
            console.error(server.worker.error)
        if self._json:
            console.print_ndjson({"address": server.address, "pid": os.getpid(), "project": str(project.root)})
        else:
            console.write(f"Ready on {server.shown}\n")
        reporter = Reporter(form=server.runtime.settings.server.log)
        reporter.own = server.worker.spec.name if server.worker is not None else ""
        async with asyncio.TaskGroup() as tasks:
            if self._warm:
                tasks.create_task(server.warm())
            tasks.create_task(reporter.follow(server.runtime.workers.journal))
            if server.worker is not None and server.worker.spec.crons:
                from edgecli.workers.cron import run_own_crons

                tasks.create_task(run_own_crons(server.worker))


async def _serve(
    runtime: Runtime, paths: StatePaths, listener: socket.socket, host: str, token: str | None, companion: Companion
) -> int | None:
    """Serve; return the number of the signal that ended it."""
    from edgecli.server.launch import Launcher, prepare, release
    from edgecli.workers.spec import WorkerSpec

    spec = WorkerSpec.of_project(runtime.project)
    await prepare(spec)  # it starts while the app is imported
    from edgecli.server.api import create_app
    from edgecli.server.channels import create_channels
    from edgecli.server.front import Front
    from edgecli.server.listening import Server
    from edgecli.server.request_log import RequestLog
    from edgecli.server.standby import Standby
    from edgecli.workers.channel import Channel
    from edgecli.workers.deployed.service import DeployedWorkers
    from edgecli.workers.deployed.store import DeployedStore

    project, settings = runtime.project, runtime.settings.server
    reached, port = "127.0.0.1" if host in ("0.0.0.0", "::") else host, listener.getsockname()[1]
    public = f"http://{_in_url(reached)}:{port}"
    shown = f"http://{_in_url('localhost' if host == '127.0.0.1' else host)}:{port}"
    # workerd serves the public socket itself; then this server listens on one of its own beside it.
    apart = spec is not None and spec.language == "javascript" and not companion.test_scheduled
    own = _bind("127.0.0.1", 0, exact=True) if apart else listener
    address = f"127.0.0.1:{own.getsockname()[1]}" if apart else f"{_in_url(reached)}:{port}"
    app = create_app(runtime, public_token=token, loopback=is_loopback(host))
    channel = Channel(create_channels(runtime))
    launcher = Launcher(runtime, channel, address, traces=companion.traces)
    worker = runtime.workers.own = launcher.worker(spec, listener if apart else None) if spec else None
    announce = partial(_announce, runtime, public)
    deployed = runtime.workers.deployed = DeployedWorkers(DeployedStore(paths.workers), launcher.worker, announce)
    front = Front(
        RequestLog(app, form=settings.log, bodies=settings.log_bodies),
        channel,
        worker,
        deployed,
        test_scheduled=companion.test_scheduled,
    )
    server = Server(front, patience=companion.patience)
    standby = Standby(listener, front) if apart else None
    if standby is not None and worker is not None:
        worker.changed = lambda: standby.wanted(worker.state != "running")
        worker.changed()
    config = str(project.config_path.resolve()) if project.config_path else None
    info = ServerInfo(f"http://{address}", os.getpid(), runtime.token, __version__, project.env, config, public)
    serving = asyncio.create_task(server.serve(sockets=[own]))
    started = asyncio.create_task(_start(worker))
    running = Running(runtime, worker, started, public, shown, lambda: setattr(server, "should_exit", True))
    beside = asyncio.create_task(companion.run(running))
    beside.add_done_callback(lambda task: None if task.cancelled() or not task.exception() else running.stop())
    crons = asyncio.create_task(deployed.run_crons())
    try:
        write_atomically(paths.server, jsonlib.dumps(asdict(info)))
        await serving
        return server.ended_by
    finally:
        paths.server.unlink(missing_ok=True)
        running.stop()
        await serving
        await _end(started, beside, crons)
        if worker is not None:
            await worker.stop()
        await deployed.close()
        await release(spec)
        if standby is not None:
            await standby.close()
        await runtime.close()  # here: the models' processes belong to this event loop


def _announce(runtime: Runtime, public: str, name: str) -> None:
    """Say in the server's terminal where a Worker that was deployed answers."""
    from edgecli.workers.journal import Event

    event = Event(name)
    event.log("info", f"Deployed `{name}`: {public}/_workers/{name}/")
    runtime.workers.journal.add(event)


async def _start(worker: Worker | None) -> None:
    from edgecli.workers.process import WorkerError

    if worker is not None:
        with contextlib.suppress(WorkerError):  # it holds its error
            await worker.start()


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for them; raise what went wrong in one of them before."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _warm(runtime: Runtime) -> None:
    """Load the project's models; one that is not pulled yet is no reason to stop."""
    for model in (runtime.settings.embedding_model, runtime.settings.generation_model):
        try:
            facts = await runtime.ai.load(model)
        except EdgeError as error:
            console.warn(f"`{model}` is not ready: {error.message}" + (f" {error.hint}" if error.hint else ""))
        except Exception:
            log.exception("`%s` could not be loaded", model)
        else:
            console.note(f"{facts['id']}: {facts['engine']} on {facts['device']}")
