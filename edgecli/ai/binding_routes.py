"""What a Worker's AI binding calls: bare results, and errors with `internalCode` and `description`.

Source: workerd's `ai-api.ts`. An object comes with the content type `application/json` and nothing after it; anything
else is a stream for the Worker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.ai.run_routes import Call, Form, as_object, find_spec, is_true, respond
from edgecli.ai.search import read_query, search
from edgecli.ai.tasks.validation import bad_input
from edgecli.envelope import envelope, in_form, read_json, refusal, to_json
from edgecli.errors import EdgeError

_MODEL = "cf-consn-model-id"


def routes() -> list[BaseRoute]:
    """Return the binding's routes; `/ai-gateway/run` runs as `/run` does until there is a gateway."""
    return [
        Route("/ai/run", _run, methods=["POST"]),
        Route("/ai/ai-gateway/run", _run, methods=["POST"]),
        Route("/ai/ai-api/models/search", in_form(_search, _failed), methods=["GET"]),
        Route("/ai/autorag/{path:path}", _missing("AutoRAG", "AI Search (AutoRAG)"), methods=["GET", "POST"]),
        Route("/ai/ai-gateway/{path:path}", _missing("gateway", "AI Gateway"), methods=["GET", "POST", "PATCH"]),
    ]


def _bare(result: Any, messages: Sequence[Mapping[str, Any]]) -> Response:
    del messages  # the binding has no place for them
    return Response(to_json(result), media_type="application/json")


def _refused(error: EdgeError, request_id: str) -> Response:
    """Answer with an error in both forms that the binding has read over time."""
    body = {
        "internalCode": error.cf_code,
        "httpCode": error.status,
        "name": "InferenceUpstreamError",
        "message": f"{error.message} ({request_id})",
        "description": error.advice,
        "requestId": request_id,
        "errors": [{"code": error.cf_code, "message": error.advice}],
    }
    return refusal(error, body)


async def _run(request: Request) -> Response:
    """Run the model that a header names."""
    return await respond(request, lambda: _read(request), Form(_bare, _refused))


async def _read(request: Request) -> Call:
    model = _model(request.headers.get(_MODEL, ""))
    find_spec(request.app.state.runtime.ai, model)
    query = request.query_params
    if "userInputs" in query:
        # One input is the body itself, an audio or a form; the others are in the query, as are the options.
        raise bad_input(
            f"`{model}` takes no stream; its inputs are JSON",
            hint="Read the stream first, and give its text.",
        )
    body = as_object(await read_json(request, required=True), "/")
    options = as_object(body.get("options") or {}, "/options")
    return Call(model, as_object(body.get("inputs"), "/"), options, queued=is_true(options.get("queueRequest")))


def _model(named: str) -> str:
    """Return the model's id without the `prefix:` that a Worker may ask for."""
    if not named:
        raise bad_input(f"the header `{_MODEL}` names no model")
    prefix, _, rest = named.partition(":")
    return rest if rest.startswith("@") and "/" not in prefix else named


def _failed(error: EdgeError) -> Response:
    return refusal(error, envelope(error))


async def _search(request: Request) -> Response:
    """List models: see `ModelSearch` for the query."""
    found, _ = search(request.app.state.runtime.models.catalog.list(), read_query(request.query_params))
    return Response(orjson.dumps({"result": found}), media_type="application/json")


def _missing(method: str, product: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        name = request.state.binding.name
        error = EdgeError(
            f"edgecli has no {product} yet, so `env.{name}.{method.lower()}()` has nobody to answer it.",
            code="not_available",
            cf_code=7000,
            status=501,
        )
        return _failed(error)

    return answer
