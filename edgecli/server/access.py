"""Who may call the server.

On a loopback address the Cloudflare paths are open, as local clients come with tokens of their own invention.
edgecli's own paths, which read local files, want the token of `.edgecli/server.json`; so does what deploys a Worker, as
its code runs here, or reads its code. On any other address every call wants the configured token. Pages in a browser
are kept out: a foreign `Host` (DNS rebinding) is refused, and so is a call from another `Origin` (cross-site requests)
that brings no token. A page on another port of this machine is such an origin: whoever wrote it may not use the models
and indexes.
WebSockets obey the same rules: browsers let pages open them to any origin.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.ai.v1.failures import refused
from edgecli.errors import EdgeError, UsageError

_DEPLOYING = re.compile(r"/client/v4/accounts/[^/]+/workers/")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stands for this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # any other name, `127.0.0.1.example.com` for one, may lead anywhere
        return False


class AccessRules:
    """ASGI middleware that answers calls which may not pass."""

    def __init__(self, app: ASGIApp, *, local_token: str, public_token: str | None, loopback: bool) -> None:
        self.app = app
        self.local_token = local_token
        self.public_token = public_token
        self.loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            refusal = self._refusal(scope["path"], Headers(scope=scope), scope.get("method", "GET"))
            if refusal is not None:
                await refused(refusal, scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers, method: str) -> EdgeError | None:
        known = self._known(_token_of(headers))
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.loopback:
            if host and not is_loopback(_host_of(host)):
                return _denied(
                    f"Requests for `{host}` are refused: this server is for this machine only.",
                    hint="Call it as `localhost` or `127.0.0.1`.",
                )
            if origin and not known and not _same_origin(origin, host):
                return _denied(
                    f"Requests from pages of `{origin}` are refused.",
                    hint="Let the page's own server make the call, or bring the token as `Authorization: Bearer …`.",
                )
        if known or path in {"/healthz", "/edge/healthz"}:
            return None
        if not self.loopback or self.public_token:
            return _unauthorised(
                "This server wants its token as `Authorization: Bearer …`.",
                hint="It is the one that `edgecli serve` was given by --token or EDGECLI_SERVER_TOKEN.",
            )
        if path.startswith("/edge/"):
            return _unauthorised(
                "edgecli's own paths want the token that lies in `.edgecli/server.json`.",
                hint="Send its `token` as `Authorization: Bearer …`; edgecli's commands do so themselves.",
            )
        if _DEPLOYING.match(path) and (method not in {"GET", "HEAD"} or path.endswith("/content/v2")):
            return _unauthorised(
                # In one sentence: wrangler shows no hints, and each start of the server has another token.
                "Deploying a Worker, or reading its code, wants the token of the server as it runs now: "
                '`eval "$(edgecli workers env)"` sets it for wrangler.',
                hint="A Worker's code runs on this machine, so not everybody may bring one.",
            )
        return None

    def _known(self, token: str) -> bool:
        tokens = [self.local_token, *([self.public_token] if self.public_token else [])]
        return any(hmac.compare_digest(token.encode(), known.encode()) for known in tokens)


def _token_of(headers: Headers) -> str:
    """Return the token of a request; Anthropic's clients and Cloudflare's older keys have a header of their own."""
    given = headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    token = token if scheme.lower() == "bearer" else given
    return (token or headers.get("x-api-key") or headers.get("x-auth-key", "")).strip()


def _host_of(value: str) -> str:
    """Return the host of a `Host` or `Origin` header; empty if it makes no sense."""
    try:
        return urlsplit(value if "//" in value else f"//{value}").hostname or ""
    except ValueError:
        return ""


def _same_origin(origin: str, host: str) -> bool:
    # An origin of `null` is a page in a sandbox or a file: anybody's.
    scheme, _, place = origin.partition("://")
    return scheme in {"http", "https"} and bool(host) and place.lower() == host.lower()


def _denied(message: str, *, hint: str) -> EdgeError:
    return UsageError(message, hint=hint, code="forbidden", cf_code=10000, status=403)


def _unauthorised(message: str, *, hint: str) -> EdgeError:
    return UsageError(message, hint=hint, code="unauthorised", cf_code=10000, status=401)
