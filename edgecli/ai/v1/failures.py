"""Errors in the form of the API that was called."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from edgecli.envelope import envelope, failure, refusal
from edgecli.errors import EdgeError

_API = re.compile(r"/client/v4/accounts/[^/]+/ai/v1/([^/]+)")

_OPENAI_CODES = {
    "context_exceeded": "context_length_exceeded",
    "previous_response_not_found": "previous_response_not_found",
    "model_not_found": "model_not_found",
    "model_not_pulled": "model_not_found",
    "too_large": "request_too_large",
    "unauthorised": "invalid_api_key",
}
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = _OPENAI_TYPES | {413: "request_too_large", 529: "overloaded_error"}


def refused(error: EdgeError, path: str) -> Response:
    """Answer with an error as the clients of a path read it; whoever refuses, routes or the rules of access.

    `messages` has Anthropic's form, `responses` OpenAI's. The other APIs of OpenAI answer with Cloudflare's envelope,
    as Workers AI does, and OpenAI's `error` beside it: without it their clients show a status and no message.
    """
    api = _API.match(path)
    if api is None:
        return failure(error, path=path)
    if api[1] == "messages":
        return refusal(error, anthropic_error(error))
    said = openai_error(error)
    if api[1] == "responses":
        return refusal(error, said)
    enveloped = envelope(error, path=path)
    # The clients take `error` for the whole body: who looks for Cloudflare's codes finds them there too.
    return refusal(error, enveloped | {"error": said["error"] | {"errors": enveloped["errors"]}})


def openai_error(error: EdgeError) -> dict[str, Any]:
    """Return OpenAI's error object."""
    if error.status >= 500:
        kind, code = "server_error", "server_error"
    else:
        kind = _OPENAI_TYPES.get(error.status, "invalid_request_error")
        code = _OPENAI_CODES.get(error.code, "invalid_prompt" if error.status == 400 else error.code)
        code = "rate_limit_exceeded" if error.status == 429 else code
    edge = error.to_dict()["edge"]
    return {"error": {"code": code, "message": _said(error), "type": kind, "param": None, "edge": edge}}


def anthropic_error(error: EdgeError) -> dict[str, Any]:
    """Return the error object of `messages`, which is also the `error` event of its streams."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    edge = error.to_dict()["edge"]
    return {"type": "error", "error": {"type": kind, "message": _said(error), "edge": edge}}


def _said(error: EdgeError) -> str:
    """The hint goes with the message: the clients show nothing else."""
    return f"{error.message}\nhint: {error.hint}" if error.hint else error.message
