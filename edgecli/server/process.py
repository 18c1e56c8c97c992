"""The server's life: bind, tell where it listens, serve, clean up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json as jsonlib
import logging
import os
import socket
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgecli import __version__, console, logs
from edgecli.errors import EdgeError, ExitCode, StateError, UsageError
from edgecli.server.access import is_loopback
from edgecli.state import ServerInfo, StatePaths, read_server, write_atomically

if TYPE_CHECKING:
    from edgecli.config.project import Project
    from edgecli.runtime import Runtime

PORTS_TO_TRY = 20
log = logging.getLogger("edgecli.server")


def run_server(
    project: Project,
    *,
    host: str | None,
    port: int | None,
    token: str | None,
    warm: bool,
    verbose: bool,
    json: bool,
) -> int:
    """Serve the project's API until a signal ends it; return the exit code, 130 for Ctrl-C and 143 for SIGTERM.

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
                f"A server of this project already runs at {running.address} (process {running.pid}).",
                hint="Use it, or end it first.",
                code="already_running",
            ) from error
        raise
    try:
        wanted = port if port is not None else settings.port
        listener = _bind(host, wanted, exact=port is not None)
        if wanted and (taken := listener.getsockname()[1]) != wanted:
            console.warn(f"Port {wanted} is in use by another program, so this server takes {taken}.")
        signal = asyncio.run(_serve(runtime, paths, listener, host, token, warm=warm, json=json))
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


async def _serve(
    runtime: Runtime,
    paths: StatePaths,
    listener: socket.socket,
    host: str,
    token: str | None,
    *,
    warm: bool,
    json: bool,
) -> int | None:
    """Serve; return the number of the signal that ended it."""
    from edgecli.server.api import create_app
    from edgecli.server.listening import Server
    from edgecli.server.request_log import RequestLog

    app = create_app(runtime, public_token=token, loopback=is_loopback(host))
    settings = runtime.settings.server
    server = Server(RequestLog(app, form=settings.log, bodies=settings.log_bodies))
    shown = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    bound_port = listener.getsockname()[1]
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host if ':' not in host else f'[{host}]'}"
    project = runtime.project
    config = str(project.config_path.resolve()) if project.config_path else None
    info = ServerInfo(f"{address}:{bound_port}", os.getpid(), runtime.token, __version__, project.env, config)
    warming: asyncio.Task[None] | None = None
    try:
        write_atomically(paths.server, jsonlib.dumps(asdict(info)))
        if json:
            console.print_ndjson({"address": info.address, "pid": info.pid, "project": str(project.root)})
        else:
            console.write(f"Ready on http://{shown}:{bound_port}\n")
        warming = asyncio.create_task(_warm(runtime)) if warm else None
        await server.serve(sockets=[listener])
        return server.ended_by
    finally:
        paths.server.unlink(missing_ok=True)
        if warming is not None:
            warming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await warming
        await runtime.close()  # here: the models' processes belong to this event loop


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
