"""A workerd process that runs one Worker: started on the public socket, watched, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
from pathlib import Path
from typing import TypeVar

import httpx2
import orjson
from starlette.types import Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.workers.journal import Event, Journal, Level, Outcome
from edgecli.workers.overlay import Overlay
from edgecli.workers.process import GONE, WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.workerd import config, install
from edgecli.workers.workerd.bundle import Bundle, make_bundle
from edgecli.workers.workerd.desk import Desk
from edgecli.workers.workerd.folder import Folder
from edgecli.workers.workerd.headers import CRON_HEADER
from edgecli.workers.workerd.leash import Leash
from edgecli.workers.workerd.output import Output
from edgecli.workers.workerd.proxy import Proxy
from edgecli.workers.workerd.sourcemap import map_trace
from edgecli.workers.workerd.watch import watch

START_SECONDS = 30.0
"""What workerd is given to read its configuration and run the modules' own code."""
COVER_SECONDS = 0.5
"""What a Worker is given to take an overlay: one that computes without a pause shows no page either."""
DRAIN_SECONDS = 0.5
"""What a Worker that is to end is given to write down the requests that have ended."""
VERDICT_SECONDS = 1.0
"""What the end of a process may take to be understood, before a request says why it was not answered."""
T = TypeVar("T")
_OUTCOMES: dict[str, Outcome] = {"worker_stalled": "exceededCpu", "worker_memory": "exceededMemory"}


class WorkerdProcess:
    """One start of a JavaScript Worker: a WorkerProcess. A reload is another one on the same listener."""

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        edge_address: str,
        token: str,
        journal: Journal,
        settings: WorkersSettings,
        listener: socket.socket | None = None,
        offline: bool = False,
        traces: bool = False,
    ) -> None:
        """`edge_address` is the edge server's own `127.0.0.1:PORT`, `token` the one that `Channel.grant` gave.

        `listener` is the public socket, already listening, which stays the caller's; without one only `fetch` reaches
        the Worker. `traces` shows exceptions to whoever asked: for `dev` only.
        """
        self.pid: int | None = None
        self._spec = spec
        self._edge_address = edge_address
        self._token = token
        self._journal = journal
        self._settings = settings
        self._listener = listener
        self._offline = offline
        self._traces = traces
        self._mark = secrets.token_hex(8)
        self._output = Output(spec.name, self._mark, journal)
        self._made: Folder | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._leash: Leash | None = None
        self._proxy: Proxy | None = None
        self._desk: Desk | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._watching: list[asyncio.Task[None]] = []
        self._waiting: asyncio.Task[WorkerError | None] | None = None
        self._stopping = False
        self._verdict: WorkerError | None = None

    @property
    def _folder(self) -> Path:
        return _running(self._made).path

    async def start(self) -> None:
        """Bundle the Worker and start it. Raises WorkerError (`worker_start`, `unsupported_binding`), EdgeError."""
        try:
            await self._start()
        except BaseException:
            await self._abandon()
            raise

    async def fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that did not come over the public socket. Raises WorkerError as long as nothing was sent."""
        try:
            await _running(self._proxy)(scope, receive, send)
        except WorkerError as error:
            if error.code == "worker_unreachable" and self._waiting is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(VERDICT_SECONDS):
                        if verdict := await self.wait():
                            raise verdict from error
            raise

    async def scheduled(self, cron: str) -> None:
        """Run the `scheduled` handler. Raises WorkerError, code `worker_exception` or `worker_timeout`."""
        try:
            answer = await _running(self._proxy).do("scheduled", timeout=None, headers={CRON_HEADER: cron})
        except httpx2.TransportError as error:
            raise WorkerError(f"The Worker ended while it ran `scheduled`: {error}", code="worker_died") from error
        if answer.status_code != 204:
            failure = orjson.loads(answer.content)
            if answer.status_code == 504:
                hint = "The setting `edgecli.workers.request_timeout` says how long it may take."
                raise WorkerError(failure["message"], hint=hint, code="worker_timeout", status=504)
            trace, place = map_trace(failure["stack"], self._output.maps)
            message = f"{failure['name']}: {failure['message']}"
            raise WorkerError(message, code="worker_exception", place=place, trace=trace)

    async def cover(self, overlay: Overlay | None) -> None:
        """Lay an overlay over the pages that workerd answers on the public socket; None takes it away."""
        if self._proxy is not None:
            told = orjson.dumps(overlay)
            with contextlib.suppress(httpx2.TransportError):
                await self._proxy.do("cover", timeout=COVER_SECONDS, content=told)

    async def stop(self, *, grace: float) -> None:
        """Have workerd end when its requests have, and end it after `grace` seconds whatever it does."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            if self._proxy is not None:
                with contextlib.suppress(httpx2.TransportError):
                    await self._proxy.do("drain", timeout=min(grace, DRAIN_SECONDS))
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace)
        await self._abandon()

    async def wait(self) -> WorkerError | None:
        """Return when the process has ended: None after `stop`, else why.

        The codes are `worker_died`, `worker_stalled` and `worker_memory`.
        """
        return await asyncio.shield(_running(self._waiting))

    async def _start(self) -> None:
        await self._say_if_npm_is_asked()
        workerd, esbuild = await asyncio.to_thread(self._programs)
        self._made = Folder()
        bundle = await make_bundle(self._spec, esbuild, self._folder, development=self._traces)
        self._output.maps = bundle.maps
        self._output.modules = ["worker:" if bundle.is_script else f"{module.name}:" for module in bundle.modules]
        around = config.Surroundings(
            edge_address=self._edge_address,
            token=self._token,
            newest_date=workerd.version,
            mark=self._mark,
            request_timeout=self._settings.request_timeout,
            refused=self._refusal(),
            traces=self._traces,
            public=self._listener is not None,
        )
        warnings = config.write_config(self._folder, self._spec, bundle, around)
        for warning in (*bundle.warnings, *warnings):
            self._say("warn", warning)
        if self._traces:
            self._desk = await Desk.open(self._folder / config.DESK_PATH, self._spec, bundle.maps)
        await self._spawn(workerd.path, bundle)
        (self._folder / config.CONFIG_FILE).unlink()  # it holds the secrets
        self._proxy = Proxy(self._folder / config.INNER_PATH)
        self._waiting = asyncio.create_task(self._wait())
        self._watching = [asyncio.create_task(self._watch()), asyncio.create_task(self._output.keep_up())]

    def _say(self, level: Level, message: str) -> None:
        event = Event(self._spec.name)
        event.log(level, message)
        self._journal.add(event)

    async def _say_if_npm_is_asked(self) -> None:
        names = ("workerd",) if self._spec.bundled else tuple(install.VERSIONS)
        for name in names if not self._offline else ():
            if await asyncio.to_thread(install.find, name, self._spec.root) is None:
                self._say("info", f"`{name}` is not on this machine: npm fetches it now, once.")

    def _programs(self) -> tuple[install.Program, Path | None]:
        root = self._spec.root
        workerd = install.require("workerd", root, offline=self._offline)
        if self._spec.bundled:
            return workerd, None
        return workerd, install.require("esbuild", root, offline=self._offline).path

    def _refusal(self) -> str:
        if self._offline:
            return "edgecli is offline (`edgecli.offline`)."
        if self._settings.outbound == "deny":
            return 'the setting `edgecli.workers.outbound` is "deny".'
        return ""

    async def _spawn(self, workerd: Path, bundle: Bundle) -> None:
        """Start workerd and wait until it listens. Raises WorkerError with what it said if it does not."""
        control, told = os.pipe()
        descriptors = [told]
        public: list[str] = []
        if self._listener is not None:
            _accept_with_request(self._listener)
            descriptors.append(self._listener.fileno())
            public = [f"--socket-fd={config.PUBLIC_SOCKET}={self._listener.fileno()}"]
        # `-I/` lets the configuration name files by absolute paths; only the verbose hear of uncaught exceptions.
        options = [f"--control-fd={told}", "--verbose", "-I/", *public]
        command = [str(workerd), "serve", str(self._folder / config.CONFIG_FILE), *options]
        self._leash = Leash()
        try:
            process = await self._leash.spawn(command, descriptors=descriptors)
        finally:
            os.close(told)
        self._process, self.pid = process, process.pid
        assert process.stdout is not None and process.stderr is not None
        self._reading = [asyncio.create_task(self._output.read(each)) for each in (process.stdout, process.stderr)]
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(control, "rb", 0)
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                for _ in (config.INNER_SOCKET, *public):
                    if not await reader.readline():
                        raise await self._start_error(bundle)
        except TimeoutError:
            raise WorkerError(
                f"The Worker was not ready after {START_SECONDS:.0f} s: its modules' own code does not come to an end.",
                code="worker_start",
            ) from None
        finally:
            transport.close()

    async def _start_error(self, bundle: Bundle) -> WorkerError:
        """Make an error of what workerd said before it gave up."""
        assert self._process is not None
        await self._process.wait()
        await asyncio.gather(*self._reading, return_exceptions=True)
        said = [line.removeprefix("service worker: Uncaught ") for line in self._output.last]
        said = [line for line in said if not line.startswith(f'Socket "{config.INNER_SOCKET}"')]
        text = "\n".join(said) or f"workerd ended with status {self._process.returncode}"
        trace, place = map_trace(text, bundle.maps)
        first = trace.strip().splitlines()[0]
        where = f"{place.file}:{place.line}:{place.column}: " if place else ""
        hint = None
        if 'No such module "node:' in first:
            hint = 'Set `compatibility_flags = ["nodejs_compat"]` and a `compatibility_date` of 2024-09-23 or later.'
        if found := re.search(r"Incorrect type for map entry '(.+?)'", first):
            first = f"The main module exports `{found[1]}`, which is no handler and no class."
            hint = "What answers is the `export default`; the main module's other exports must be classes or handlers."
        return WorkerError(f"{where}{first}", hint=hint, code="worker_start", place=place, trace=trace)

    async def _wait(self) -> WorkerError | None:
        process = _running(self._process)
        code = await process.wait()
        await asyncio.gather(*self._reading, return_exceptions=True)
        if self._stopping:
            self._output.close("canceled")
            return None
        if self._verdict is None:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
            self._verdict = WorkerError(
                f"The Worker's process ended by itself, {how}.",
                hint="\n".join(list(self._output.last)[-3:]) or None,
                code="worker_died",
            )
        outcome = _OUTCOMES.get(self._verdict.code, "unknown")
        self._output.close(outcome)
        event = Event(self._spec.name)
        event.failed("WorkerError", self._verdict.message, outcome=outcome)
        self._journal.add(event)
        await self._abandon()
        return self._verdict

    async def _watch(self) -> None:
        process = _running(self._process)
        verdict = await watch(process, _running(self._proxy), self._settings)
        if verdict is not None:
            self._verdict = verdict
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _abandon(self) -> None:
        """End the process at once, and remove what was made for it."""
        watching, self._watching = self._watching, []
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._reading, return_exceptions=True)
        if self._proxy is not None:
            proxy, self._proxy = self._proxy, None
            await proxy.close()
        if self._desk is not None:
            await self._desk.close()
        if self._leash is not None:
            self._leash.close()
        if self._made is not None:
            self._made.remove()


def _accept_with_request(listener: socket.socket) -> None:
    """Have a connection accepted when its request is there: one that is accepted before would be lost in a reload."""
    if option := getattr(socket, "TCP_DEFER_ACCEPT", None):
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, option, 5)


def _running(part: T | None) -> T:
    if part is None:
        raise WorkerError("The Worker does not run.", code=GONE, status=502)
    return part
