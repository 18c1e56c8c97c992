"""Vectorize's REST API v2, and its legacy v1.

The account in the path may be any: all indexes here are this project's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok
from edgecli.errors import UsageError
from edgecli.vectorize import v1
from edgecli.vectorize.bodies import read_request, write_vectors
from edgecli.vectorize.limits import UNREADABLE_VECTORS
from edgecli.vectorize.schema import (
    IdsRequest,
    MetadataIndexName,
    MutationResult,
    NewIndex,
    NewMetadataIndex,
    QueryRequest,
)

if TYPE_CHECKING:
    from edgecli.vectorize.service import VectorizeService

_INDEXES = "/client/v4/accounts/{account}/vectorize/v2/indexes"
_INDEX = _INDEXES + "/{index}"
_V1_INDEXES = "/client/v4/accounts/{account}/vectorize/indexes"
_V1_INDEX = _V1_INDEXES + "/{index}"


def routes() -> list[BaseRoute]:
    """Return this product's routes."""
    return [
        Route(_INDEXES, create_index, methods=["POST"]),
        Route(_INDEXES, list_indexes, methods=["GET"]),
        Route(_INDEX, get_index, methods=["GET"]),
        Route(_INDEX, delete_index, methods=["DELETE"]),
        Route(f"{_INDEX}/info", index_info, methods=["GET"]),
        Route(f"{_INDEX}/insert", insert_vectors, methods=["POST"]),
        Route(f"{_INDEX}/upsert", upsert_vectors, methods=["POST"]),
        Route(f"{_INDEX}/query", query_vectors, methods=["POST"]),
        Route(f"{_INDEX}/get_by_ids", get_vectors, methods=["POST"]),
        Route(f"{_INDEX}/delete_by_ids", delete_vectors, methods=["POST"]),
        Route(f"{_INDEX}/list", list_vectors, methods=["GET"]),
        Route(f"{_INDEX}/metadata_index/create", create_metadata_index, methods=["POST"]),
        Route(f"{_INDEX}/metadata_index/list", list_metadata_indexes, methods=["GET"]),
        Route(f"{_INDEX}/metadata_index/delete", delete_metadata_index, methods=["POST"]),
        Route(_V1_INDEXES, create_index, methods=["POST"]),
        Route(_V1_INDEXES, list_indexes, methods=["GET"]),
        Route(_V1_INDEX, get_index, methods=["GET"]),
        Route(_V1_INDEX, delete_index, methods=["DELETE"]),
        Route(f"{_V1_INDEX}/insert", _v1(v1.insert), methods=["POST"]),
        Route(f"{_V1_INDEX}/upsert", _v1(v1.upsert), methods=["POST"]),
        Route(f"{_V1_INDEX}/query", _v1(v1.query), methods=["POST"]),
        Route(f"{_V1_INDEX}/get-by-ids", _v1(v1.get), methods=["POST"]),
        Route(f"{_V1_INDEX}/delete-by-ids", _v1(v1.delete), methods=["POST"]),
    ]


def _v1(
    answer: Callable[[VectorizeService, str, Request], Awaitable[Any]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return ok(await answer(_service(request), _name(request), request))

    return endpoint


def _service(request: Request) -> VectorizeService:
    return request.app.state.runtime.vectorize


def _name(request: Request) -> str:
    return request.path_params["index"]


async def create_index(request: Request) -> Response:
    wanted = await read_request(request, NewIndex)
    index = await _service(request).create(
        wanted.name,
        wanted.config.dimensions,
        wanted.config.metric,
        description=wanted.description,
        preset=wanted.config.preset,
    )
    return ok(index.model_dump(), status=201)


async def list_indexes(request: Request) -> Response:
    return ok([index.model_dump() for index in await _service(request).list()])


async def get_index(request: Request) -> Response:
    return ok((await _service(request).get(_name(request))).model_dump())


async def delete_index(request: Request) -> Response:
    await _service(request).delete(_name(request))
    return ok(None)


async def index_info(request: Request) -> Response:
    return ok((await _service(request).info(_name(request))).to_wire())


async def insert_vectors(request: Request) -> Response:
    return _receipt(await write_vectors(request, _service(request), _name(request), replace=False))


async def upsert_vectors(request: Request) -> Response:
    return _receipt(await write_vectors(request, _service(request), _name(request), replace=True))


def _receipt(receipt: MutationResult) -> Response:
    messages = [{"code": UNREADABLE_VECTORS, "message": message} for message in receipt.messages]
    return ok(receipt.to_wire(), messages=messages)


async def query_vectors(request: Request) -> Response:
    result = await _service(request).query(_name(request), await read_request(request, QueryRequest))
    return ok(result.to_wire())


async def get_vectors(request: Request) -> Response:
    wanted = await read_request(request, IdsRequest)
    return ok([vector.to_wire() for vector in await _service(request).get_by_ids(_name(request), wanted.ids)])


async def delete_vectors(request: Request) -> Response:
    wanted = await read_request(request, IdsRequest)
    return ok((await _service(request).delete_by_ids(_name(request), wanted.ids)).to_wire())


async def list_vectors(request: Request) -> Response:
    count = request.query_params.get("count", "100")
    if not count.isascii() or not count.isdigit():
        raise UsageError(f"count is a whole number, not `{count[:50]}`.", code="invalid_count")
    cursor = request.query_params.get("cursor")
    return ok((await _service(request).list_vectors(_name(request), int(count[:9]), cursor)).to_wire())


async def create_metadata_index(request: Request) -> Response:
    wanted = await read_request(request, NewMetadataIndex)
    return ok((await _service(request).create_metadata_index(_name(request), wanted)).to_wire())


async def list_metadata_indexes(request: Request) -> Response:
    return ok((await _service(request).metadata_indexes(_name(request))).to_wire())


async def delete_metadata_index(request: Request) -> Response:
    wanted = await read_request(request, MetadataIndexName)
    return ok((await _service(request).delete_metadata_index(_name(request), wanted.property_name)).to_wire())
