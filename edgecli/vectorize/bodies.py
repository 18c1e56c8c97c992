"""Request bodies: JSON requests, and vectors in the four encodings that Cloudflare's clients send.

wrangler uploads a form with one file of lines of JSON; the JavaScript SDK sends such lines bare; the Python
SDK sends them too but calls them `application/json`; a binding without lines sends `{"vectors": […]}`. All may be
compressed with gzip. Nothing is read further than its limit.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from edgecli.errors import UsageError
from edgecli.vectorize.batches import BatchBuilder
from edgecli.vectorize.form_file import FormFile
from edgecli.vectorize.limits import (
    MAX_BATCH,
    MAX_REQUEST_BYTES,
    MAX_UPLOAD_BYTES,
    malformed_body,
    unreadable_vectors,
)
from edgecli.vectorize.schema import MutationResult
from edgecli.vectorize.vector_lines import VectorLines

if TYPE_CHECKING:
    from edgecli.vectorize.service import VectorizeService

Model = TypeVar("Model", bound=BaseModel)

_PIECE_BYTES = 1 << 18
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}


async def read_request(request: Request, kind: type[Model]) -> Model:
    """Read a JSON body as the request it should be. Raises UsageError that names the field at fault."""
    body = bytearray()
    async for piece in _pieces(request, MAX_REQUEST_BYTES):
        body += piece
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed_body(str(error)) from error
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        # What is missing has its whole surroundings as input, and a container may be long.
        got = f", not {str(first['input'])[:200]!r}" if isinstance(first["input"], str | int | float) else ""
        said = f"{first['msg']}{got}"
        raise malformed_body(f"{where}: {said}" if where else said) from error


async def write_vectors(request: Request, service: VectorizeService, name: str, *, replace: bool) -> MutationResult:
    """Read the body of an insert or, with `replace`, an upsert, and write its vectors to an index."""
    rows = await service.rows(name, most=MAX_BATCH)
    left_out = await read_vectors(request, rows)
    receipt = await (service.upsert(name, rows) if replace else service.insert(name, rows))
    if left_out:
        numbers = ", ".join(map(str, left_out[:10])) + (", …" if len(left_out) > 10 else "")
        receipt.messages.append(f"{len(left_out)} unparsable lines were left out: {numbers}")
    return receipt


async def read_vectors(request: Request, rows: BatchBuilder) -> list[int]:
    """Give the vectors of an insert or upsert to `rows`, each as it arrives, and return the lines left out.

    With `unparsable-behavior=discard` in the query string, lines that are no JSON object are left out. Raises
    UsageError that names the first line or vector at fault.
    """
    behavior = request.query_params.get("unparsable-behavior", "error")
    if behavior not in {"error", "discard"}:
        raise UsageError(
            f"unparsable-behavior is error or discard, not `{behavior}`.", code="unparsable_behavior", cf_code=40023
        )
    lines = VectorLines(rows, discard=behavior == "discard")
    kind = request.headers.get("content-type", "")
    charset = _CHARSET.search(kind)
    if charset is not None and charset.group(1).lower() not in _UTF8:
        raise unreadable_vectors(f"the body is {charset.group(1)}", hint="Send it as UTF-8.")
    reader = FormFile(kind, lines) if kind.lower().startswith("multipart/form-data") else lines
    async for piece in _pieces(request, MAX_UPLOAD_BYTES):
        # In a thread, so that the server answers others between the pieces and during them.
        await asyncio.to_thread(reader.feed, piece)
    await asyncio.to_thread(reader.close)
    return lines.left_out


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield the body, decompressed; raise UsageError as soon as it is larger than `most` bytes."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip"}:
        raise UsageError(
            f"The request body has the content encoding `{encoding}`.",
            hint="Send it plain or compressed with gzip.",
            code="content_encoding",
            cf_code=40023,
            status=415,
        )
    gunzip = _Gunzip() if encoding.endswith("gzip") else None
    taken = given = 0
    async for raw in request.stream():
        taken += len(raw)
        for piece in [raw] if gunzip is None else gunzip.feed(raw):
            given += len(piece)
            if max(taken, given) > most:
                raise _too_large(most)
            yield piece
        if taken > most:
            raise _too_large(most)
    if gunzip is not None:
        gunzip.close()


def _too_large(most: int) -> UsageError:
    return UsageError(
        f"The request body is larger than {most:,} bytes.",
        hint="Send it in several requests. Nothing was written.",
        code="too_large",
        cf_code=40023,
        status=413,
    )


class _Gunzip:
    """Decompress what comes in pieces, never more than 256 KiB at once."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                piece = self._member.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise unreadable_vectors(f"the body is no gzip: {error}") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece

    def close(self) -> None:
        if not self._member.eof:
            raise unreadable_vectors("the body's gzip ends too early", hint="Send it again. Nothing was written.")
