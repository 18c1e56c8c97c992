"""The legacy v1 of Vectorize: writes answer with the ids that changed, and `returnMetadata` is true or false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import field_validator
from starlette.requests import Request

from edgecli.vectorize.bodies import read_request, read_vectors
from edgecli.vectorize.limits import MAX_BATCH
from edgecli.vectorize.schema import IdsRequest, QueryRequest

if TYPE_CHECKING:
    from edgecli.vectorize.service import VectorizeService


class V1Query(QueryRequest):
    """A search; v2's words for `returnMetadata` are read too."""

    @field_validator("return_metadata", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        return {True: "all", False: "none"}[value] if isinstance(value, bool) else value


async def insert(service: VectorizeService, name: str, request: Request) -> Any:
    """Write vectors and return the ids that were new."""
    rows = await service.rows(name, most=MAX_BATCH)
    await read_vectors(request, rows)
    ids = list(dict.fromkeys(rows.batch().ids))
    stored = await service.get_metadata(name, ids)
    await service.insert(name, rows)
    return _changed([each for each in ids if each not in stored])


async def upsert(service: VectorizeService, name: str, request: Request) -> Any:
    """Write vectors and return their ids."""
    rows = await service.rows(name, most=MAX_BATCH)
    await read_vectors(request, rows)
    await service.upsert(name, rows)
    return _changed(list(dict.fromkeys(rows.batch().ids)))


async def delete(service: VectorizeService, name: str, request: Request) -> Any:
    """Delete vectors and return the ids that were there."""
    wanted = await read_request(request, IdsRequest)
    stored = await service.get_metadata(name, wanted.ids)
    await service.delete_by_ids(name, wanted.ids)
    return _changed([each for each in dict.fromkeys(wanted.ids) if each in stored])


async def query(service: VectorizeService, name: str, request: Request) -> Any:
    """Return the nearest vectors."""
    return (await service.query(name, await read_request(request, V1Query))).to_wire()


async def get(service: VectorizeService, name: str, request: Request) -> Any:
    """Return vectors by their ids."""
    wanted = await read_request(request, IdsRequest)
    return [vector.to_wire() for vector in await service.get_by_ids(name, wanted.ids)]


def _changed(ids: Sequence[str]) -> dict[str, Any]:
    return {"ids": ids, "count": len(ids)}
