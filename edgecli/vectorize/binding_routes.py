"""What a Worker's Vectorize binding calls: bare results, no envelope, and 200 as the only success.

workerd's `vectorize-api` sends the paths below, those with `binding/indexes/{id}` in its v1 mode, where `id` repeats
the index and is not looked at: the Worker's configuration says which index it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import in_form, refusal, to_json
from edgecli.errors import EdgeError, NotFoundError
from edgecli.vectorize import v1
from edgecli.vectorize.bodies import read_request, write_vectors
from edgecli.vectorize.schema import IdsRequest, QueryRequest

if TYPE_CHECKING:
    from edgecli.vectorize.service import VectorizeService

_CHANNEL = "/vectorize"
_V1 = _CHANNEL + "/binding/indexes/{id}"

Answer = Callable[["VectorizeService", str, Request], Awaitable[Any]]


def routes() -> list[BaseRoute]:
    """Return the binding's routes."""
    posts: dict[str, Answer] = {
        f"{_CHANNEL}/query": _query,
        f"{_CHANNEL}/insert": _insert,
        f"{_CHANNEL}/upsert": _upsert,
        f"{_CHANNEL}/getByIds": v1.get,
        f"{_CHANNEL}/deleteByIds": _delete,
        f"{_V1}/query": v1.query,
        f"{_V1}/insert": v1.insert,
        f"{_V1}/upsert": v1.upsert,
        f"{_V1}/getByIds": v1.get,
        f"{_V1}/deleteByIds": v1.delete,
    }
    return [
        Route(f"{_CHANNEL}/info", _endpoint(_info), methods=["GET"]),
        Route(_V1, _endpoint(_describe), methods=["GET"]),
        *(Route(path, _endpoint(answer), methods=["POST"]) for path, answer in posts.items()),
    ]


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        name: str = request.state.binding.resource
        try:
            result = await answer(request.app.state.runtime.vectorize, name, request)
        except NotFoundError as error:
            if error.code == "index_not_found":
                error.message += f". {_creation(name)}"
            raise
        return Response(to_json(result), media_type="application/json")

    return in_form(endpoint, _failed)


def _failed(error: EdgeError) -> Response:
    return refusal(error, {"code": error.cf_code, "error": error.message})


def _creation(name: str) -> str:
    """Say how to make the index: a Worker's developer sees the message, not the hint."""
    return (
        f"`edgecli vectorize create {name} --dimensions=384 --metric=cosine` creates it; the dimensions are those of "
        "the vectors that the Worker sends."
    )


async def _info(service: VectorizeService, name: str, request: Request) -> Any:
    return (await service.info(name)).to_wire()


async def _describe(service: VectorizeService, name: str, request: Request) -> Any:
    index, info = await service.get(name), await service.info(name)
    return {
        "id": index.name,
        "name": index.name,
        "description": index.description,
        "config": index.config.model_dump(),
        "vectorsCount": info.vector_count,
    }


async def _query(service: VectorizeService, name: str, request: Request) -> Any:
    return (await service.query(name, await read_request(request, QueryRequest))).to_wire()


async def _insert(service: VectorizeService, name: str, request: Request) -> Any:
    return (await write_vectors(request, service, name, replace=False)).to_wire()


async def _upsert(service: VectorizeService, name: str, request: Request) -> Any:
    return (await write_vectors(request, service, name, replace=True)).to_wire()


async def _delete(service: VectorizeService, name: str, request: Request) -> Any:
    wanted = await read_request(request, IdsRequest)
    return (await service.delete_by_ids(name, wanted.ids)).to_wire()
