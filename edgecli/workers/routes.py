"""The Workers of the server, and what they say: below `/edge/workers`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok, to_json
from edgecli.errors import NotFoundError, UsageError, did_you_mean
from edgecli.workers.filters import Filter

if TYPE_CHECKING:
    from edgecli.workers.running import Workers


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route("/edge/workers", list_workers),
        Route("/edge/workers/logs", logs),
        Route("/edge/workers/tail", tail),
    ]


def _workers(request: Request) -> Workers:
    return request.app.state.runtime.workers


async def list_workers(request: Request) -> Response:
    """The Workers, with where they answer."""
    return ok(await _workers(request).describe())


async def logs(request: Request) -> Response:
    """The last events; takes what `tail` takes."""
    wanted = _filter(request)
    return ok([event.to_dict() for event in _workers(request).journal.last if wanted.takes(event)])


async def tail(request: Request) -> Response:
    """Stream events as lines of JSON, from now on.

    `?worker=` one Worker; `?status=` ok, error or canceled; `?method=`; `?header=name[:text]`; `?search=` in console
    lines; `?sampling=` a share of the events. `status` and `method` may be repeated.
    """
    workers, wanted = _workers(request), _filter(request)

    async def lines() -> AsyncGenerator[bytes]:
        yield b"\n"  # the head of the answer goes out now, not with the first event
        async with aclosing(workers.journal.follow()) as events:
            async for event in events:
                if wanted.takes(event):
                    yield to_json(event.to_dict()) + b"\n"

    return StreamingResponse(lines(), headers={"content-type": "application/x-ndjson", "cache-control": "no-cache"})


def _filter(request: Request) -> Filter:
    query = request.query_params
    try:
        sampling = float(query.get("sampling", "1"))
    except ValueError as error:
        raise UsageError(f"`{query['sampling']}` is no sampling rate.", hint="Give a number up to 1.") from error
    known, worker = _workers(request).names(), query.get("worker")
    if worker and worker not in known:
        hint = did_you_mean(worker, known) or f"Here run: {', '.join(known) or 'none'}."
        raise NotFoundError(f"No Worker `{worker}` runs here.", hint=hint, code="no_such_worker")
    return Filter(
        worker=worker,
        statuses=query.getlist("status"),
        methods=query.getlist("method"),
        header=query.get("header"),
        search=query.get("search"),
        sampling=sampling,
    )
