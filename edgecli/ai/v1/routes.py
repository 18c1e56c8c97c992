"""The APIs of OpenAI and Anthropic over HTTP, below `/client/v4/accounts/<any id>/ai/v1/`.

Importing this module is part of the start of every command that calls the API in its own process: what reads and
writes an API is imported when that API is called.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.ai.v1.failures import refused
from edgecli.envelope import read_json, sse, to_json, unexpected, while_connected
from edgecli.errors import EdgeError, NotFoundError, UsageError

if TYPE_CHECKING:
    from edgecli.ai.engines.generation import GenerationRequest, Piece
    from edgecli.ai.service import AiService
    from edgecli.ai.tasks.text_request import Defaults
    from edgecli.models.schema import ModelSpec
    from edgecli.models.service import ModelsService

log = logging.getLogger("edgecli.server")

BASE = "/client/v4/accounts/{account}/ai/v1"

Answer = Callable[[Request, dict[str, Any]], Coroutine[Any, Any, Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    """Return the routes of these APIs."""
    return [
        Route(f"{BASE}/chat/completions", _posted(chat_completions), methods=["POST"]),
        Route(f"{BASE}/completions", _posted(completions), methods=["POST"]),
        Route(f"{BASE}/embeddings", _posted(embeddings), methods=["POST"]),
        Route(f"{BASE}/responses", _posted(responses), methods=["POST"]),
        Route(f"{BASE}/responses/{{id}}", show_response, methods=["GET"]),
        Route(f"{BASE}/responses/{{id}}", delete_response, methods=["DELETE"]),
        Route(f"{BASE}/messages", _posted(messages), methods=["POST"]),
        Route(f"{BASE}/messages/count_tokens", _posted(count_tokens), methods=["POST"]),
        Route(f"{BASE}/models", list_models),
        Route(f"{BASE}/models/{{model:path}}", show_model),
    ]


def _posted(answer: Answer) -> Endpoint:
    """Return the endpoint that reads a JSON object, answers, and says no in the form of its API."""

    async def endpoint(request: Request) -> Response:
        try:
            body = _checked(await read_json(request, required=True))
            response = await while_connected(request, answer(request, body))
        except EdgeError as error:
            response = refused(error, request.url.path)
        except Exception as error:
            log.exception("%s %s failed", request.method, request.url.path)
            response = refused(unexpected(error), request.url.path)
        request_id = str(uuid.uuid4())
        # The last two are where the clients of OpenAI and Anthropic look.
        for name in ("cf-ai-req-id", "x-request-id", "request-id"):
            response.headers[name] = request_id
        return response

    return endpoint


async def chat_completions(request: Request, body: dict[str, Any]) -> Response:
    """Answer a conversation, whole or as chunks."""
    from edgecli.ai.tasks import chat_completion
    from edgecli.ai.tasks.answer import collect
    from edgecli.ai.v1 import chat_completions

    service, spec, model = _asked(request, body)
    call = chat_completions.read_input(body, _defaults(service, spec))
    head = chat_completion.Head(model)
    sources = [_generate(service, body, each) for each in call.requests]
    if call.stream:
        return await sse(chat_completion.stream(head, sources, logprobs=call.logprobs, usage=call.include_usage))
    return _json(chat_completion.whole(head, await collect(sources), logprobs=call.logprobs))


async def completions(request: Request, body: dict[str, Any]) -> Response:
    """Continue a text, whole or in parts."""
    from edgecli.ai.tasks.answer import collect
    from edgecli.ai.tasks.chat_completion import Head
    from edgecli.ai.v1 import completions

    service, spec, model = _asked(request, body)
    call = completions.read_input(body, _defaults(service, spec))
    head = Head(model, id=f"cmpl-{uuid.uuid4().hex}")
    sources = [_generate(service, body, each) for each in call.requests]
    if call.stream:
        return await sse(completions.stream(head, call, sources))
    return _json(completions.whole(head, call, await collect(sources)))


async def embeddings(request: Request, body: dict[str, Any]) -> Response:
    """Return a vector for each text."""
    from edgecli.ai.v1 import embeddings

    checked = embeddings.read_input(body)
    service, spec, model = _asked(request, body)
    embeddings.check_dimensions(checked.dimensions, spec)
    vectors = await service.embed(model, checked.input, checked.pooling, keep_alive=_keep_alive(body))
    tokens = sum(await service.count_tokens(model, checked.input))
    vectors = embeddings.shortened(vectors, checked.dimensions)
    return _json(embeddings.result(checked, model, vectors, tokens))


async def responses(request: Request, body: dict[str, Any]) -> Response:
    """Answer items with items, whole or as events."""
    from edgecli.ai.v1.responses import reading, writing
    from edgecli.ai.v1.responses.memory import memory_of

    service, spec, model = _asked(request, body)
    memory = memory_of(request)
    call = reading.read_input(body, _defaults(service, spec), memory)
    writer = writing.ResponseWriter(call, model)
    pieces = _generate(service, body, call.request)
    if call.body.stream:
        return await sse(writing.stream(writer, pieces, memory), named=True, failed=writer.fail)
    return _json(await writing.whole(writer, pieces, memory))


async def show_response(request: Request) -> Response:
    """Show a finished response that is kept."""
    from edgecli.ai.v1.responses.memory import memory_of

    if request.query_params.get("stream") == "true":
        raise UsageError("`stream` is not taken here: the response is finished.", hint="Leave `stream` out.")
    return _json(memory_of(request).response(request.path_params["id"]))


async def delete_response(request: Request) -> Response:
    """Forget a response; what continued it is kept."""
    from edgecli.ai.v1.responses.memory import memory_of

    name: str = request.path_params["id"]
    memory_of(request).forget(name)
    return _json({"id": name, "object": "response", "deleted": True})


async def messages(request: Request, body: dict[str, Any]) -> Response:
    """Answer a conversation in Anthropic's form, whole or as events."""
    from edgecli.ai.tasks.answer import collect
    from edgecli.ai.v1.failures import anthropic_error
    from edgecli.ai.v1.messages import reading, writing

    service, spec, model = _asked(request, body)
    call = reading.read_input(body, _defaults(service, spec))
    message_id = writing.new_id()
    pieces = _generate(service, body, call.request)
    if not call.stream:
        [answer] = await collect([pieces])
        return _json(writing.whole(message_id, model, answer, thinking=call.thinking))
    count = await service.count_prompt(model, call.request)
    writer = writing.MessageWriter(message_id, model, thinking=call.thinking)
    return await sse(writing.stream(writer, pieces, count), named=True, failed=lambda error: [anthropic_error(error)])


async def count_tokens(request: Request, body: dict[str, Any]) -> Response:
    """Return how many tokens a conversation's prompt has."""
    from edgecli.ai.v1.messages import reading

    model, prompt = reading.read_counted(body)
    return _json({"input_tokens": await _service(request).count_prompt(model, prompt)})


async def list_models(request: Request) -> Response:
    """List the models that can be called now."""
    from edgecli.ai.v1 import models

    views = await _models(request).list(installed_only=True)
    return _json(models.listing(views, request.query_params))


async def show_model(request: Request) -> Response:
    """Show one model; its id comes raw or percent-encoded."""
    from edgecli.ai.v1 import models

    try:
        view = await _models(request).show(request.path_params["model"])
    except NotFoundError as error:
        error.status = 404  # it is the path here that names nothing; elsewhere the id is an input
        raise
    return _json(models.model_object(view))


def _checked(body: Any) -> dict[str, Any]:
    from edgecli.ai.tasks.validation import bad_input, mismatch

    if not isinstance(body, dict):
        raise bad_input(mismatch("/", "object", body))
    return cast("dict[str, Any]", body)


def _asked(request: Request, body: Mapping[str, Any]) -> tuple[AiService, ModelSpec, str]:
    """Return the service, the model that runs, and the id that was asked for, which is what answers name.

    The model says what stands in where the body is silent.
    """
    from edgecli.ai.catalog_items import name_of
    from edgecli.ai.tasks.validation import bad_input, mismatch

    model = body.get("model")
    if not model:
        raise bad_input("required properties at '/' are 'model'", hint="`GET …/ai/v1/models` lists the models.")
    if not isinstance(model, str):
        raise bad_input(mismatch("/model", "string", model))
    service = _service(request)
    spec = service.spec(model)
    return service, spec, name_of(spec)


def _generate(service: AiService, body: Mapping[str, Any], asked: GenerationRequest) -> AsyncGenerator[Piece]:
    return service.generate(str(body["model"]), asked, keep_alive=_keep_alive(body))


def _keep_alive(body: Mapping[str, Any]) -> float | None:
    from edgecli.ai.keep_alive import read_keep_alive

    return read_keep_alive(body.get("keep_alive"))


def _defaults(service: AiService, spec: ModelSpec) -> Defaults:
    from edgecli.ai.tasks.text_request import defaults_of

    return defaults_of(spec, service.settings)


def _json(body: Any) -> Response:
    return Response(to_json(body), media_type="application/json")


def _service(request: Request) -> AiService:
    return request.app.state.runtime.ai


def _models(request: Request) -> ModelsService:
    return request.app.state.runtime.models
