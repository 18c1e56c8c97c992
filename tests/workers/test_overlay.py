"""The error of a broken save over the pages of the last good Worker."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.sync.client import ClientConnection, connect

from edgecli.workers.overlay import LONGEST_HEADER, Overlay, allowing
from edgecli.workers.process import Place, WorkerError
from edgecli.workers.spec import WorkerSpec

BROWSER = {"accept": "text/html,*/*", "sec-fetch-dest": "document"}
PAGE = "<!doctype html><title>t</title><h1>店</h1></html>"


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    (tmp_path / "worker.py").write_text("one\nif 标题 <b>\nthree\n", encoding="utf-8")
    error = WorkerError("SyntaxError: '坏' <i>", code="worker_start", place=Place("worker.py", 2, 4), hint="Mend it.")
    return Overlay.of(error, WorkerSpec("trial", tmp_path, tmp_path / "worker.py"))


def covered(overlay: Overlay, app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope, send = overlay.around(scope, send)
        await app(scope, receive, send)

    return answer


def ask(app: ASGIApp, headers: dict[str, str], method: str = "GET") -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, "/", headers=headers)

    return asyncio.run(run())


def test_a_page_ends_with_the_error(overlay: Overlay) -> None:
    page = ask(covered(overlay, HTMLResponse(PAGE)), BROWSER)
    assert page.text.startswith(PAGE)
    assert page.headers["content-length"] == str(len(page.content))
    panel = page.text.removeprefix(PAGE)
    assert panel.isascii(), "the page may have any charset"
    assert "SyntaxError: &#x27;&#22351;&#x27; &lt;i&gt;" in panel
    assert "worker.py:2:4" in panel
    assert '<span class="at"><b>2</b>if &#26631;&#39064; &lt;b&gt;</span>' in panel
    assert "Mend it." in panel
    assert not re.search(r"<script|https?:|src=|url\(", panel), "it needs nothing else"
    assert page.headers["x-edgecli-error"] == r"worker.py:2:4: SyntaxError: '\u574f' <i>"


def test_what_is_said_in_the_header_is_one_short_line(tmp_path: Path) -> None:
    error = WorkerError("a\x1b[2J\r\u2028b" + "x" * 9999 + "\nsecond", code="worker_start")
    overlay = Overlay.of(error, WorkerSpec("trial", tmp_path, tmp_path / "worker.py"))
    assert overlay.header.startswith(r"a\x1b[2J\r\u2028bx")
    assert len(overlay.header) == LONGEST_HEADER
    assert "<span>second</span>" in overlay.html


def gzipped() -> Response:
    return HTMLResponse(b"\x1f\x8b", headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    ("app", "headers", "method"),
    [
        (HTMLResponse(PAGE), {"accept": "*/*"}, "GET"),
        (HTMLResponse(PAGE), {"accept": "text/html, */*", "sec-fetch-dest": "empty"}, "GET"),
        (HTMLResponse(PAGE), BROWSER, "HEAD"),
        (HTMLResponse(PAGE, 206), BROWSER, "GET"),
        (JSONResponse({"a": 1}, headers={"etag": '"1"'}), BROWSER, "GET"),
        (gzipped(), BROWSER, "GET"),
    ],
    ids=["curl", "htmx", "head", "part", "json", "gzip"],
)
def test_anything_else_stays_what_it_is(overlay: Overlay, app: ASGIApp, headers: dict[str, str], method: str) -> None:
    headers = headers | {"accept-encoding": "identity"}

    async def raw(app: ASGIApp) -> tuple[dict[str, Any], bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        given = [(name.encode(), text.encode()) for name, text in headers.items()]
        await app({"type": "http", "method": method, "headers": given}, None, send)  # pyright: ignore
        return sent[0], b"".join(message["body"] for message in sent[1:])

    before, body = asyncio.run(raw(app))
    after, same = asyncio.run(raw(covered(overlay, app)))
    assert same == body
    assert after["headers"] == [*before["headers"], (b"x-edgecli-error", overlay.header.encode())]


def test_a_page_that_streams_goes_on_streaming(overlay: Overlay) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PAGE.encode("gbk")
        yield b"<p>"

    app = StreamingResponse(pieces(), media_type="text/html; charset=gbk")
    assert ask(covered(overlay, app), BROWSER).content == PAGE.encode("gbk") + b"<p>" + overlay.html.encode()


def test_no_cache_keeps_it(overlay: Overlay) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert not [name for name, _ in scope["headers"] if name.startswith(b"if-")]
        headers = {"etag": '"1"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT", "cache-control": "max-age=60"}
        await HTMLResponse(PAGE, headers=headers)(scope, receive, send)

    page = ask(covered(overlay, app), BROWSER | {"if-none-match": '"1"', "if-modified-since": "x"})
    assert page.text.endswith("</edgecli-error>\n")
    assert page.headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified"} & set(page.headers)


POLICIES = [
    ("img-src 'self'", None),
    ("style-src 'self' 'unsafe-inline'", None),
    ("default-src 'none'", "style-src-elem H; default-src 'none'"),
    (
        "Style-Src 'self'; style-src *; default-src x",
        "style-src-elem 'self' H; Style-Src 'self'; style-src *; default-src x",
    ),
    (
        "style-src 'unsafe-inline' 'nonce-a'",
        "style-src-elem 'unsafe-inline' 'nonce-a' H; style-src 'unsafe-inline' 'nonce-a'",
    ),
    ("style-src-elem a; style-src b", "style-src-elem a H; style-src-elem a; style-src b"),
    ("default-src a;, style-src", "style-src-elem a H; default-src a;,style-src-elem H; style-src"),
]
"""Content-Security-Policies, and what becomes of them where `H` is to be allowed; None: nothing."""


@pytest.mark.parametrize(("policy", "becomes"), POLICIES)
def test_a_policy_is_changed_as_far_as_it_must(policy: str, becomes: str | None) -> None:
    assert allowing(policy, "H") == (becomes or policy)


@contextmanager
def serving(app: ASGIApp) -> Generator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    listener = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


class Browser:
    """A page in a real browser."""

    def __init__(self, devtools: ClientConnection) -> None:
        self._devtools = devtools
        self._count = 0
        self._session: dict[str, str] = {}

    def _ask(self, method: str, **params: Any) -> Any:
        self._count += 1
        self._devtools.send(json.dumps({"id": self._count, "method": method, "params": params, **self._session}))
        while (answer := json.loads(self._devtools.recv(30))).get("id") != self._count:
            pass
        return answer["result"]

    def open(self, url: str) -> None:
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self._ask("Page.enable")
        self._ask("Page.navigate", url=url)
        while json.loads(self._devtools.recv(30)).get("method") != "Page.loadEventFired":
            pass

    def find(self, expression: str) -> Any:
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser on this machine")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=1000,800"]
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={tmp_path / 'profile'}"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        address = next(line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on"))
        with connect(address, max_size=None) as devtools:
            yield Browser(devtools)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_browser_shows_it_whatever_the_page_is_like(overlay: Overlay, browser: Browser) -> None:
    hostile = "<style>* { display: none !important; color: lime !important } dialog { opacity: 0 }</style>"
    policy = {"content-security-policy": "default-src 'none'; style-src 'self'; sandbox allow-scripts allow-forms"}
    page = HTMLResponse(f"<!doctype html><body><style>body, html {{ display: block }}</style><div>{PAGE}")
    strict = HTMLResponse(PAGE, headers=policy)
    hidden = HTMLResponse(PAGE + hostile.replace("*", "body *"))
    for app in (page, strict, hidden):
        with serving(covered(overlay, app)) as url:
            browser.open(url)
            panel = "document.querySelector('edgecli-error').shadowRoot.querySelector('dialog')"
            box = f"(() => {{ const b = {panel}.getBoundingClientRect(); return [b.width, b.bottom, innerHeight] }})()"
            width, bottom, height = browser.find(box)
            assert width == 880
            assert bottom == height - 16
            assert browser.find(f"getComputedStyle({panel}).opacity") == "1"
            assert browser.find(f"{panel}.querySelector('.at').textContent") == "2if 标题 <b>"
            browser.find(f"{panel}.querySelector('button').click()")
            assert browser.find(f"{panel}.open") is False
            assert browser.find(box)[0] == 0, "it was closed"
