"""What a Python Worker asks of the server: calls of its bindings, and `fetch`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson
from starlette.types import ASGIApp, Message, Scope

from edgecli.workers.python.link import Exchange, LinkClosedError, RemoteError

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger("edgecli.workers")
_JSON_READ = 1_000_000
"""Bytes of an answer that are searched for the tokens it cost."""
_DROPPED = {"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"}
_NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"}
"""Headers of the request that the Worker got, where it hands all of them on."""
GATEWAY = "gateway.ai.cloudflare.com"


class Usage:
    """The tokens that an answer says it cost."""

    def __init__(self) -> None:
        self._kind = ""
        self._last = b""

    def begin(self, headers: list[tuple[str, str]]) -> None:
        self._kind = dict(headers).get("content-type", "")

    def feed(self, data: bytes) -> None:
        if self._kind.startswith("text/event-stream"):
            if b'"usage"' in data:
                self._last = data
        elif self._kind.startswith("application/json") and len(self._last) < _JSON_READ:
            self._last += data

    def tokens(self) -> tuple[int, int] | None:
        """Return tokens read and written, where the answer tells."""
        at = self._last.rfind(b'"usage"')
        if at < 0:
            return None
        text = self._last
        if self._kind.startswith("text/event-stream"):
            start = text.rfind(b"data: ", 0, at)
            text = text[start + 6 :].partition(b"\n")[0]
        try:
            usage = orjson.loads(text)["usage"]
            return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def scope_of(method: str, target: str, headers: list[tuple[str, str]], *, scheme: str = "http") -> Scope:
    """Return the scope of a request: `target` is path and query, as they are sent."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 0),
        "server": ("edge", 80),
        "state": {},
    }


async def ask_app(app: ASGIApp, scope: Scope, exchange: Exchange, usage: Usage | None = None) -> None:
    """Answer an exchange by an app in this process."""
    begun: dict[str, Any] = {}
    answered = ended = False

    async def receive() -> Message:
        nonlocal ended
        if ended:
            await asyncio.Event().wait()  # until the exchange is left, which cancels this
        try:
            data = await exchange.body.read()
        except (LinkClosedError, RemoteError):
            return {"type": "http.disconnect"}
        ended = exchange.body.drained
        return {"type": "http.request", "body": data, "more_body": not ended}

    async def send(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.start":
            headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message["headers"]]
            begun.update(status=message["status"], headers=headers)
            if usage is not None:
                usage.begin(headers)
            return
        data, more = message.get("body", b""), message.get("more_body", False)
        if usage is not None:
            usage.feed(data)
        if not answered:
            answered = True
            await exchange.respond_with(begun, data, last=not more)
        elif data or not more:
            await exchange.out.write(data, last=not more)

    try:
        await app(scope, receive, send)
    except (LinkClosedError, asyncio.CancelledError):
        raise
    except Exception as error:
        _log.exception("A binding of a Worker failed")
        exchange.fail({"message": f"The binding failed: {error}", "name": "Error"})


class Outbound:
    """`fetch()` of a Worker: the network where that is allowed, and this server for the AI Gateway."""

    def __init__(self, *, allowed: bool, offline: bool, gateway: ASGIApp | None) -> None:
        self._allowed = allowed
        self._offline = offline
        self._gateway = gateway
        self._client: httpx2.AsyncClient | None = None

    async def answer(self, exchange: Exchange) -> None:
        """Answer an exchange that asks for a URL."""
        try:
            await self._answer(exchange)
        except (LinkClosedError, asyncio.CancelledError):
            raise
        except Exception as error:  # a URL or a header that cannot be sent: without an answer the Worker would wait
            name = "TypeError" if isinstance(error, (ValueError, TypeError)) else "Error"
            exchange.fail({"name": name, "message": f"fetch() of {exchange.head['url']!r} failed: {error}"})

    async def _answer(self, exchange: Exchange) -> None:
        head = exchange.head
        url = urlsplit(head["url"])
        if url.scheme not in ("http", "https") or not url.hostname:
            exchange.fail({"name": "TypeError", "message": f"fetch() takes an http or https URL, not {head['url']!r}"})
        elif url.hostname == GATEWAY:
            await self._by_gateway(exchange)
        elif self._offline or not self._allowed:
            why, setting = ("offline is set", "offline") if self._offline else ("outbound is deny", "workers.outbound")
            exchange.fail(
                {
                    "name": "Error",
                    "message": f"fetch() to {url.hostname} was refused: {why}, and nothing leaves this machine."
                    f" The setting `{setting}` allows it.",
                }
            )
        else:
            await self._by_network(exchange)

    async def _by_gateway(self, exchange: Exchange) -> None:
        head = exchange.head
        if self._gateway is None:
            message = f"The AI Gateway ({GATEWAY}) is not there in edgecli yet."
            body = orjson.dumps({"success": False, "errors": [{"code": 2001, "message": message}]})
            exchange.respond({"status": 502, "headers": [("content-type", "application/json")]}, body, last=True)
            return
        url = urlsplit(head["url"])
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = [("host", GATEWAY), *_forwarded(head)]
        await ask_app(self._gateway, scope_of(head["method"], target, headers, scheme=url.scheme), exchange)

    async def _by_network(self, exchange: Exchange) -> None:
        import httpx2

        client = self._client = self._client or httpx2.AsyncClient(timeout=httpx2.Timeout(None, connect=30.0))
        head = exchange.head
        try:
            request = client.build_request(
                head["method"],
                head["url"],
                headers=_forwarded(head),
                content=await _uploaded(exchange) if head["body"] else None,
            )
            response = await client.send(request, stream=True, follow_redirects=head["redirect"] == "follow")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            said = str(error) or type(error).__name__
            exchange.fail({"name": "Error", "message": f"fetch() to {urlsplit(head['url']).hostname} failed: {said}"})
            return
        try:
            headers = [
                (name.lower(), value) for name, value in response.headers.multi_items() if name.lower() not in _DROPPED
            ]
            exchange.respond({"status": response.status_code, "headers": headers, "url": str(response.url)}, last=False)
            async for piece in response.aiter_bytes():
                await exchange.out.write(piece)
            await exchange.out.write(b"", last=True)
        except httpx2.HTTPError as error:
            exchange.fail({"name": "Error", "message": f"the answer of {head['url']} broke off: {error}"})
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _forwarded(head: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in head["headers"] if name not in _NOT_FORWARDED]


async def _uploaded(exchange: Exchange) -> bytes | AsyncIterator[bytes]:
    """Return a body whole where it is there, so that its length is sent."""
    return await exchange.body.read_all() if exchange.body.complete else aiter(exchange.body)
