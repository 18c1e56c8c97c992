"""Errors in the form of the APIs that have their own; the others answer with Cloudflare's envelope."""

from __future__ import annotations

from typing import Any

from edgecli.errors import EdgeError

_OPENAI_CODES = {
    "context_exceeded": "context_length_exceeded",
    "previous_response_not_found": "previous_response_not_found",
    "model_not_found": "model_not_found",
    "model_not_pulled": "model_not_found",
    "too_large": "request_too_large",
}
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = _OPENAI_TYPES | {413: "request_too_large", 529: "overloaded_error"}


def openai_error(error: EdgeError) -> dict[str, Any]:
    """Return the error object of `responses`."""
    if error.status >= 500:
        kind, code = "server_error", "server_error"
    else:
        kind = _OPENAI_TYPES.get(error.status, "invalid_request_error")
        code = "rate_limit_exceeded" if error.status == 429 else _OPENAI_CODES.get(error.code, "invalid_prompt")
    edge = error.to_dict()["edge"]
    return {"error": {"code": code, "message": error.message, "type": kind, "param": None, "edge": edge}}


def anthropic_error(error: EdgeError) -> dict[str, Any]:
    """Return the error object of `messages`, which is also the `error` event of its streams."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    edge = error.to_dict()["edge"]
    return {"type": "error", "error": {"type": kind, "message": error.message, "edge": edge}}
