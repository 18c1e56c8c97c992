"""edgecli's own routes for the care of vector indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok
from edgecli.vectorize.bodies import read_request

if TYPE_CHECKING:
    from edgecli.vectorize.service import VectorizeService

_INDEX = "/edge/vectorize/indexes/{index}"


class VerifyRequest(BaseModel):
    """Which index to verify, none for all, and whether to mend it."""

    index: str | None = None
    repair: bool = False


class MigrateRequest(BaseModel):
    """Where an index shall be."""

    to: Literal["server", "local"]


def routes() -> list[BaseRoute]:
    """Return these routes."""
    return [
        Route("/edge/vectorize/verify", verify, methods=["POST"]),
        Route(f"{_INDEX}/export", export, methods=["GET"]),
        Route(f"{_INDEX}/compact", compact, methods=["POST"]),
        Route(f"{_INDEX}/migrate", migrate, methods=["POST"]),
    ]


def _service(request: Request) -> VectorizeService:
    return request.app.state.runtime.vectorize


async def verify(request: Request) -> Response:
    wanted = await read_request(request, VerifyRequest)
    return ok((await _service(request).verify(wanted.index, repair=wanted.repair)).model_dump())


async def export(request: Request) -> Response:
    lines = await _service(request).export(request.path_params["index"])
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def compact(request: Request) -> Response:
    return ok((await _service(request).compact(request.path_params["index"])).to_wire())


async def migrate(request: Request) -> Response:
    wanted = await read_request(request, MigrateRequest)
    done = await _service(request).migrate(request.path_params["index"], wanted.to)
    return ok({"vectors": done.vectors, "from": done.origin, "to": done.target})
