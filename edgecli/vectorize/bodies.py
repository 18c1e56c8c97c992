"""Request bodies: JSON requests, and vectors in the four encodings that Cloudflare's clients send.

wrangler uploads a form with one file of lines of JSON; the JavaScript SDK sends such lines bare; the Python
SDK sends them too but calls them `application/json`; a binding without lines sends `{"vectors": […]}`.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from edgecli.errors import UsageError
from edgecli.vectorize.limits import MAX_BATCH, MAX_UPLOAD_BYTES, malformed_body, unreadable_vectors

Model = TypeVar("Model", bound=BaseModel)

_UTF8_MARK = b"\xef\xbb\xbf"


async def read_request(request: Request, kind: type[Model]) -> Model:
    """Read a JSON body as the request it should be. Raises UsageError that names the field at fault."""
    body = await _read(request)
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
        got = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
        said = f"{first['msg']}{got}"
        raise malformed_body(f"{where}: {said}" if where else said) from error


async def read_vectors(request: Request) -> list[Any]:
    """Read the vectors of an insert or upsert, unchecked.

    With `unparsable-behavior=discard` in the query string, lines that are no JSON are left out. Raises
    UsageError that names the first such line otherwise, or if there are more than 5,000 vectors.
    """
    discard = request.query_params.get("unparsable-behavior") == "discard"
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await _read_form(request)
    else:
        body = await _read(request)
    rows = await asyncio.to_thread(parse_vectors, body, discard=discard)
    if len(rows) > MAX_BATCH:
        raise unreadable_vectors(
            f"{len(rows)} vectors in one request; max is {MAX_BATCH}", hint="Send them in several requests."
        )
    return rows


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        _check_size(len(body))
    return bytes(body)


async def _read_form(request: Request) -> bytes:
    _check_size(int(request.headers.get("content-length", "0")))
    async with request.form(max_files=1, max_fields=8) as form:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                body = await value.read(MAX_UPLOAD_BYTES + 1)
                _check_size(len(body))
                return body
    raise unreadable_vectors("the form has no file", hint="Send the lines as a file in the field `vectors`.")


def _check_size(size: int) -> None:
    if size > MAX_UPLOAD_BYTES:
        raise UsageError(
            f"The request body is larger than {MAX_UPLOAD_BYTES:,} bytes.",
            hint="Send the vectors in several requests.",
            code="too_large",
            cf_code=40023,
            status=413,
        )


def parse_vectors(body: bytes, *, discard: bool = False) -> list[Any]:
    """Return the vectors of lines of JSON, or of `{"vectors": […]}`."""
    body = body.removeprefix(_UTF8_MARK)
    try:
        # Of several lines this reads the first and fails at the second.
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_lines(body, discard=discard)
    if isinstance(whole, dict):
        single = cast("dict[str, Any]", whole)
        if "vectors" not in single:
            return [single]
        whole = single["vectors"]
    if not isinstance(whole, list):
        raise unreadable_vectors("vectors is no array")
    return cast("list[Any]", whole)


def _parse_lines(body: bytes, *, discard: bool) -> list[Any]:
    rows: list[Any] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            if not discard:
                raise unreadable_vectors(
                    f"line {number} is no JSON: {error}", hint="Each line is one vector, in UTF-8."
                ) from error
    return rows
