"""The functions and base classes of the `workers` module."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from edgecli.workers.python import context
from edgecli.workers.python.bindings.calling import exchange
from edgecli.workers.python.context import PROCESS, Running
from edgecli.workers.python.web.messages import Request, Response

Context = Running


class WorkerEntrypoint:
    """The base of a Worker's class: `self.env`, `self.ctx`."""

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class DurableObject:
    """Not there: Durable Objects need Cloudflare's runtime."""

    def __init__(self, ctx: Any, env: Any) -> None:
        raise NotImplementedError("Durable Objects are not there in edgecli; use a D1 or KV binding for state.")


class WorkflowEntrypoint:
    """Not there: Workflows need Cloudflare's runtime."""

    def __init__(self, ctx: Any, env: Any) -> None:
        raise NotImplementedError("Workflows are not there in edgecli; use waitUntil() or a scheduled handler.")


async def fetch(resource: Any, options: Any = None, **other_options: Any) -> Response:
    """Fetch a URL or a Request through the server. Raises JsException where that fails or is not allowed."""
    other_options.pop("fetcher", None)
    request = Request(resource, options, **other_options) if options or other_options else resource
    if not isinstance(request, Request):
        request = Request(request)
    head = {
        "do": "fetch",
        "url": request.url,
        "method": str(getattr(request.method, "value", request.method)),
        "headers": request.headers.pairs(),
        "redirect": request.redirect,
        "body": request.content is not None,
    }
    return await exchange(head, request.content)


def handler(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function: what handlers get is Python already."""
    return functools.wraps(function)(lambda *args, **options: function(*args, **options))


@contextlib.contextmanager
def patch_env(changes: Any = None, **named: Any) -> Generator[None]:
    """Let `env` hold other values for a while."""
    values = PROCESS.env.__dict__
    before = dict(values)
    values.update(dict(changes or {}) | named)
    try:
        yield
    finally:
        values.clear()
        values.update(before)


def python_from_rpc(value: Any) -> Any:
    """Return the value: it is Python already."""
    return value


python_to_rpc = python_from_rpc


def import_from_javascript(name: str) -> NoReturn:
    """Raise ImportError: there is no JavaScript in this process."""
    raise ImportError(f"{name} is a module of JavaScript, and this Python Worker runs on CPython.")


def attribute(name: str) -> Any:
    """Return what `workers` has while a Worker runs: `env`, `waitUntil`."""
    if name == "env":
        return PROCESS.env
    if name in ("waitUntil", "wait_until"):
        return context.wait_until
    raise AttributeError(f"module 'workers' has no attribute {name!r}")
