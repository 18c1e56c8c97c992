"""Cloudflare's `workers` module, as edgecli's Python Workers import it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from edgecli.workers.python.sdk import (
    Context,
    DurableObject,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    fetch,
    handler,
    import_from_javascript,
    patch_env,
    python_from_rpc,
    python_to_rpc,
)
from edgecli.workers.python.sdk import attribute as __getattr__
from edgecli.workers.python.web.forms import Blob, File, FormData
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Request, Response
from edgecli.workers.python.web.values import JsDict

FetchResponse = Response
Body = JSBody = BlobValue = FormDataValue = Any
FetchKwargs = RequestInitCfProperties = dict[str, Any]


class BlobEnding(StrEnum):
    """How a Blob ends its lines."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


__all__ = [
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "Context",
    "DurableObject",
    "FetchKwargs",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "JsDict",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "__getattr__",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
]
