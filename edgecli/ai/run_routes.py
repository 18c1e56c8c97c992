"""`ai/run`: read what clients send, run it, answer as Workers AI does."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

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


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks for, whichever way it came."""

    model: str
    inputs: dict[str, Any]
    options: Mapping[str, Any]
    queued: bool = False
    """`inputs` is a batch, to be run when there is room."""


class Form(NamedTuple):
    """How an answer looks: in the API's envelope, or bare as a Worker's binding wants it."""

    result: Callable[[Any, Sequence[Mapping[str, Any]]], Response]
    """Makes the answer of a result and the messages that go with it."""
    failure: Callable[[EdgeError, str], Response]
    """Makes the answer of an error and the request's id."""


async def run(request: Request) -> Response:
    """Run the model of the path on the body; `"stream": true` answers with Server-Sent Events."""
    return await respond(request, lambda: _read_inputs(request, request.path_params["model"]), _envelope(request))


async def run_named(request: Request) -> Response:
    """Run the model that the body names: `{"model": "…", "input": {…}}`, or the inputs beside `model`."""
    return await respond(request, lambda: _read_named(request), _envelope(request))


def _envelope(request: Request) -> Form:
    def failed(error: EdgeError, request_id: str) -> Response:
        del request_id
        return failure(error, path=request.url.path)

    return Form(_enveloped, failed)


def _enveloped(result: Any, messages: Sequence[Mapping[str, Any]]) -> Response:
    return ok(result, messages=messages)


async def respond(request: Request, read: Callable[[], Awaitable[Call]], form: Form) -> Response:
    """Run the call that `read` returns, and answer in a form."""
    request_id = str(uuid.uuid4())
    try:
        call = await read()
        response = await while_connected(request, _answer(request, call, form))
    except EdgeError as error:
        response = form.failure(error, request_id)
    except Exception as error:
        log.exception("%s %s failed", request.method, request.url.path)
        response = form.failure(unexpected(error), request_id)
    response.headers["cf-ai-req-id"] = request_id
    return response


async def _answer(request: Request, call: Call, form: Form) -> Response:
    service, inputs = _service(request), call.inputs
    spec = find_spec(service, call.model)
    # The binding polls without saying that it is about a batch.
    if call.queued or set(inputs) == {"request_id"}:
        return form.result(_queued(request, call), ())
    waiting = call.options.get("rejectIfBusy") is not True
    if "responses" in spec.capabilities and "input" in inputs:
        return await _responses(request, spec, call, form, waiting=waiting)
    # Embeddings do not stream and answer as JSON, as Cloudflare's do; clients know both.
    if inputs.get("stream") is True and spec.task is Task.TEXT_GENERATION:
        return await sse(service.stream(call.model, inputs, native=False, waiting=waiting))
    outcome = await service.answer(call.model, inputs, waiting=waiting)
    return form.result(outcome.result, outcome.messages)


def _service(request: Request) -> AiService:
    return request.app.state.runtime.ai


def find_spec(service: AiService, model: str) -> ModelSpec:
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


async def _read_inputs(request: Request, model: str) -> Call:
    find_spec(_service(request), model)  # first: the bytes of an image are no JSON, and no model here wants them
    return _call(request, model, await _read_object(request))


async def _read_named(request: Request) -> Call:
    body = await _read_object(request)
    model = body.pop("model", None)
    if model is None:
        raise bad_input("required properties at '/' are 'model'")
    if not isinstance(model, str):
        raise bad_input(mismatch("/model", "string", model))
    # The Responses API has an `input` too: a text or a list, never an object.
    inputs = body.get("input")
    if isinstance(inputs, dict):
        options = {"options": body["options"]} if "options" in body else {}
        return _call(request, model, cast("dict[str, Any]", inputs) | options)
    return _call(request, model, body)


async def _read_object(request: Request) -> dict[str, Any]:
    return as_object(await read_json(request, required=True), "/")


def as_object(value: Any, place: str) -> dict[str, Any]:
    """Return a JSON object. Raises UsageError, cf_code 5006, that says where something else is."""
    if not isinstance(value, dict):
        raise bad_input(mismatch(place, "object", value))
    return cast("dict[str, Any]", value)


def _call(request: Request, model: str, body: dict[str, Any]) -> Call:
    options = body.pop("options", None)
    queued = is_true(request.query_params.get("queueRequest"))
    return Call(model, body, {} if options is None else as_object(options, "/options"), queued)


def is_true(value: Any) -> bool:
    """Tell whether an option, of JSON or of a query, is set."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1"})


def _queued(request: Request, call: Call) -> Any:
    queue: BatchQueue = request.app.state.runtime.batches
    inputs = call.inputs
    return queue.poll(inputs["request_id"]) if "request_id" in inputs else queue.submit(call.model, inputs)


async def _responses(request: Request, spec: ModelSpec, call: Call, form: Form, *, waiting: bool) -> Response:
    """Answer `input` of the models that take OpenAI's Responses API here too."""
    from edgecli.ai.keep_alive import read_keep_alive
    from edgecli.ai.tasks.text_request import defaults_of
    from edgecli.ai.v1.responses import reading, writing
    from edgecli.ai.v1.responses.memory import memory_of

    service, inputs = _service(request), call.inputs
    if "messages" in inputs or "prompt" in inputs:
        raise bad_input("oneOf at '/' not met, 2 matches: '/input' and '/messages' are mutually exclusive")
    memory = memory_of(request)
    model = spec.requested_id or spec.id
    asked = reading.read_input(inputs | {"model": model}, defaults_of(spec, service.settings), memory)
    writer = writing.ResponseWriter(asked, model)
    keep_alive = read_keep_alive(inputs.get("keep_alive"))
    pieces = service.generate(model, asked.request, keep_alive=keep_alive, waiting=waiting)
    if asked.body.stream:
        return await sse(writing.stream(writer, pieces, memory), named=True, failed=writer.fail)
    return form.result(await writing.whole(writer, pieces, memory), ())
