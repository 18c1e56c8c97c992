"""`ai/run`: read what clients send, run it, answer as Workers AI does."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response

from edgecli.ai.choice import not_available
from edgecli.ai.tasks.validation import bad_input, mismatch
from edgecli.envelope import failure, ok, read_json, sse, unexpected, while_connected
from edgecli.errors import EdgeError, NotFoundError
from edgecli.models.schema import ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.batch import BatchQueue
    from edgecli.ai.service import AiService

log = logging.getLogger("edgecli.ai")

_ID = re.compile(r"@?[\w.:-]+(/[\w.:-]+)+")


async def run(request: Request) -> Response:
    """Run the model of the path on the body; `"stream": true` answers with Server-Sent Events."""
    return await _answered(request, request.path_params["model"])


async def run_named(request: Request) -> Response:
    """Run the model that the body names: `{"model": "…", "input": {…}}`, or the inputs beside `model`."""
    return await _answered(request, None)


async def _answered(request: Request, model: str | None) -> Response:
    service: AiService = request.app.state.runtime.ai
    try:
        if model is not None:
            _spec(service, model)  # first: the bytes of an image are no JSON, and no model here wants them
        body = await _read_object(request)
        if model is None:
            model, body = _named(body)
        response = await while_connected(request, _answer(request, service, model, body))
    except EdgeError as error:
        response = failure(error, path=request.url.path)
    except Exception as error:
        log.exception("%s %s failed", request.method, request.url.path)
        response = failure(unexpected(error), path=request.url.path)
    response.headers["cf-ai-req-id"] = str(uuid.uuid4())
    return response


async def _answer(request: Request, service: AiService, model: str, body: dict[str, Any]) -> Response:
    spec = _spec(service, model)
    # The binding polls without the query.
    if _is_true(request.query_params.get("queueRequest")) or set(body) == {"request_id"}:
        return _queued(request, model, body)
    waiting = not _rejects_if_busy(body)
    inputs = {key: value for key, value in body.items() if key != "options"}
    if "responses" in spec.capabilities and "input" in inputs:
        return await _responses(request, service, spec, inputs, waiting=waiting)
    # Embeddings do not stream and answer as JSON, as Cloudflare's do; clients know both.
    if inputs.get("stream") is True and spec.task is Task.TEXT_GENERATION:
        return await sse(service.stream(model, inputs, native=False, waiting=waiting))
    outcome = await service.answer(model, inputs, waiting=waiting)
    return ok(outcome.result, messages=outcome.messages)


def _spec(service: AiService, model: str) -> ModelSpec:
    """Return the model. Raises NotFoundError for an unknown id, EngineError for a task that nothing here runs."""
    try:
        spec = service.spec(model)
    except NotFoundError as error:
        if not model.strip("/"):
            raise NotFoundError(
                "No route for that URI", hint="Add a model's id.", code="no_route", cf_code=7000
            ) from error
        if _ID.fullmatch(model) is None and error.code == "model_not_found":
            raise NotFoundError(
                f"AiError: Invalid model ID: `{model[:100]}`", hint=error.hint, code="model_id", cf_code=3042
            ) from error
        raise
    if spec.task not in {Task.TEXT_GENERATION, Task.TEXT_EMBEDDINGS}:
        raise not_available(spec)
    return spec


async def _read_object(request: Request) -> dict[str, Any]:
    body = await read_json(request, required=True)
    if not isinstance(body, dict):
        raise bad_input(mismatch("/", "object", body))
    return cast("dict[str, Any]", body)


def _named(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    model = body.pop("model", None)
    if model is None:
        raise bad_input("required properties at '/' are 'model'")
    if not isinstance(model, str):
        raise bad_input(mismatch("/model", "string", model))
    # The Responses API has an `input` too: a text or a list, never an object.
    inputs = body.get("input")
    return (model, cast("dict[str, Any]", inputs) | _options(body)) if isinstance(inputs, dict) else (model, body)


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"options": body["options"]} if "options" in body else {}


def _rejects_if_busy(body: Mapping[str, Any]) -> bool:
    options = body.get("options")
    if options is not None and not isinstance(options, dict):
        raise bad_input(mismatch("/options", "object", options))
    return options is not None and cast("dict[str, Any]", options).get("rejectIfBusy") is True


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() in {"true", "1"}


def _queued(request: Request, model: str, body: dict[str, Any]) -> Response:
    queue: BatchQueue = request.app.state.runtime.batches
    return ok(queue.poll(body["request_id"]) if "request_id" in body else queue.submit(model, body))


async def _responses(
    request: Request, service: AiService, spec: ModelSpec, inputs: dict[str, Any], *, waiting: bool
) -> Response:
    """Answer `input` of the models that take OpenAI's Responses API here too."""
    from edgecli.ai.keep_alive import read_keep_alive
    from edgecli.ai.tasks.text_request import defaults_of
    from edgecli.ai.v1.responses import reading, writing
    from edgecli.ai.v1.responses.memory import memory_of

    if "messages" in inputs or "prompt" in inputs:
        raise bad_input("oneOf at '/' not met, 2 matches: '/input' and '/messages' are mutually exclusive")
    memory = memory_of(request)
    model = spec.requested_id or spec.id
    call = reading.read_input(inputs | {"model": model}, defaults_of(spec, service.settings), memory)
    writer = writing.ResponseWriter(call, model)
    keep_alive = read_keep_alive(inputs.get("keep_alive"))
    pieces = service.generate(model, call.request, keep_alive=keep_alive, waiting=waiting)
    if call.body.stream:
        return await sse(writing.stream(writer, pieces, memory), named=True, failed=writer.fail)
    return ok(await writing.whole(writer, pieces, memory))
