"""`env.AI.toMarkdown()`: files become Markdown. A file that cannot be read is a result that says so.

Source: workerd's `to-markdown-api.ts`. It is a part of the AI binding, hence the paths.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import mimetypes
import uuid
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.documents.read import parse_document
from edgecli.documents.schema import DocumentError
from edgecli.documents.suffixes import suffixes
from edgecli.envelope import envelope, in_form, read_json, refusal, to_json
from edgecli.errors import EdgeError, NotFoundError, UsageError

_AS_TEXT = "text/plain"


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    mime_type: str = Field("", alias="mimeType")
    data: str = ""
    """Base64."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore")

    files: list[_File]


def routes() -> list[BaseRoute]:
    """Return the routes of the binding."""
    return [
        Route("/ai/to-everything/markdown/transformer", in_form(_transform, _failed), methods=["POST"]),
        Route("/ai/to-everything/markdown/supported", in_form(_supported, _failed), methods=["GET"]),
        # Some versions of the binding send the files to the path of the list.
        Route("/ai/to-everything/markdown/supported", in_form(_transform, _failed), methods=["POST"]),
    ]


def _failed(error: EdgeError) -> Response:
    return refusal(error, envelope(error))


def _result(result: Any) -> Response:
    return Response(to_json({"result": result, "success": True}), media_type="application/json")


async def _transform(request: Request) -> Response:
    try:
        asked = _Asked.model_validate(await read_json(request, required=True))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"`{'/'.join(map(str, first['loc']))}`: {first['msg']}") from error
    return _result([await _converted(request, file) for file in asked.files])


async def _converted(request: Request, file: _File) -> dict[str, Any]:
    said = {"id": str(uuid.uuid4()), "name": file.name, "mimeType": file.mime_type}
    try:
        text = await asyncio.to_thread(_markdown, file)
    except DocumentError as error:
        return said | {"format": "error", "error": error.advice}
    return said | {"format": "markdown", "tokens": await _tokens(request, text), "data": text}


def _markdown(file: _File) -> str:
    try:
        data = base64.b64decode(file.data, validate=True)
    except binascii.Error as error:
        raise DocumentError(f"The data of `{file.name}` is not base64", code="malformed") from error
    name = PurePath(PurePath(file.name).name or "file")
    if not name.suffix:
        name = PurePath(f"{name}{mimetypes.guess_extension(file.mime_type) or ''}")
    found = parse_document(data, name)
    if not found.text.strip():
        raise DocumentError(
            f"`{file.name}` has no text", hint="A PDF of images needs text recognition first.", code="empty"
        )
    return found.text


async def _tokens(request: Request, text: str) -> int:
    """Count with the project's embedding model; where that is not pulled, four bytes of UTF-8 are taken as a token."""
    runtime = request.app.state.runtime
    try:
        return (await runtime.ai.count_tokens(runtime.settings.embedding_model, [text]))[0]
    except NotFoundError:
        return math.ceil(len(text.encode()) / 4)


async def _supported(request: Request) -> Response:
    del request
    kinds = ((f".{suffix}", mimetypes.guess_type(f"a.{suffix}")[0] or _AS_TEXT) for suffix in suffixes())
    return _result([{"extension": extension, "mimeType": kind} for extension, kind in kinds])
