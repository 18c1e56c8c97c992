"""`env.AI`, as `cloudflare-internal:ai-api` calls it (contracts: workers-ai.md 6)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import orjson

from edgecli.workers.python.bindings.calling import Fetcher, options_of, to_json
from edgecli.workers.python.web.body import Content, ReadableStream, content_of
from edgecli.workers.python.web.forms import Blob, FormData
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Response
from edgecli.workers.python.web.values import JsException, from_js

_JSON = ("content-type", "application/json")
_LOCAL_OPTIONS = ("prefix", "extraHeaders", "sessionOptions", "signal")


class Ai:
    """Models, documents to Markdown, AutoRAG and the AI Gateway."""

    def __init__(self, call: Fetcher) -> None:
        self._call = call
        self.lastRequestId: str | None = None
        self.lastRequestInternalStatusCode: int | None = None
        self.aiGatewayLogId: str | None = None

    async def run(self, model: str, inputs: Any = None, options: Any = None, **named: Any) -> Any:
        """Run a model: JSON becomes a JsDict, everything else a ReadableStream. Raises JsException.

        Keywords are the last object of the call, as in the cloud: the options, or the inputs where none are given.
        """
        if inputs is None and options is None:
            inputs, named = named, {}
        inputs = inputs or {}
        given = options_of(options, named)
        prefix = f"{given['prefix']}:" if given.get("prefix") else ""
        headers = [("cf-consn-sdk-version", "2.0.0"), ("cf-consn-model-id", prefix + model)]
        headers += list((given.get("extraHeaders") or {}).items())
        sent = {name: value for name, value in given.items() if name not in _LOCAL_OPTIONS}
        by_gateway = bool((given.get("gateway") or {}).get("id"))
        path = "/ai-gateway/run?version=3" if by_gateway else "/run?version=3"
        streamed = _streamed(inputs)
        if streamed is None:
            body: Content = to_json({"inputs": inputs, "options": sent})
            headers.append(_JSON)
        else:
            if by_gateway:
                raise JsException("A stream cannot be sent through a gateway.", "AiInternalError")
            name, body, kind = streamed
            others = {key: value for key, value in inputs.items() if key != name}
            path += "&" + urlencode({"userInputs": to_json(others).decode(), **sent})
            headers.append(("content-type", kind))
        response = await self._call("POST", path, headers, body)
        self.lastRequestId = response.headers.get("cf-ai-req-id")
        self.aiGatewayLogId = response.headers.get("cf-aig-log-id")
        self.lastRequestInternalStatusCode = response.status
        if given.get("returnRawResponse") or given.get("websocket"):
            return response
        if not response.ok or response.content is None:
            await self._refused(response)
        if response.headers.get("content-type") == "application/json":
            return from_js(orjson.loads(await response.bytes()))
        return response.body

    async def _refused(self, response: Response) -> NoReturn:
        text = await response.text()
        try:
            body = orjson.loads(text)
            if "internalCode" in body:
                self.lastRequestInternalStatusCode = body["internalCode"]
                raise JsException(f"{body['internalCode']}: {body['description']}", body.get("name") or "Error")
            first = body["errors"][0]
        except (ValueError, KeyError, TypeError, IndexError):
            raise JsException(text, "InferenceUpstreamError") from None
        raise JsException(f"{first['code']}: {first['message']}", "InferenceUpstreamError")

    async def models(self, params: Any = None, **named: Any) -> Any:
        """List the models."""
        given = {key: _parameter(value) for key, value in options_of(params, named).items()}
        return await self._result("GET", f"/ai-api/models/search?{urlencode(given)}")

    def toMarkdown(self, files: Any = None, options: Any = None, **named: Any) -> Any:  # noqa: N802
        """Return documents as Markdown (awaited); without files, an object with `transform` and `supported`."""
        service = _ToMarkdown(self._result)
        return service if files is None else service.transform(files, options, **named)

    def gateway(self, gateway_id: str, *_options: Any) -> Gateway:
        """Return an AI Gateway."""
        return Gateway(self._call, self._result, gateway_id)

    def autorag(self, name: str = "") -> AutoRag:
        """Return an AutoRAG instance."""
        return AutoRag(self._call, name)

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("aiSearch", "websearch"):
            raise AttributeError(f"env.AI.{name}() is not there in edgecli yet; use autorag() where it serves.")
        raise AttributeError(name)

    async def _result(
        self, method: str, path: str, body: bytes = b"", failure: str = "AiInternalError", missing: str | None = None
    ) -> Any:
        response = await self._call(method, path, [_JSON] if body else [], body)
        if response.status != 200:
            name = missing if missing and response.status == 404 else failure
            raise JsException(_message(await response.text()), name)
        data = await response.bytes()
        return from_js(orjson.loads(data)["result"]) if data else None


class _ToMarkdown:
    def __init__(self, result: Any) -> None:
        self._result = result

    async def transform(self, files: Any, options: Any = None, **named: Any) -> Any:
        """Return one document, or a list of them, as Markdown."""
        several: list[Any] = list(files) if isinstance(files, (list, tuple)) else [files]
        sent = {
            "files": [
                {"name": each["name"], "mimeType": blob.content_type, "data": base64.b64encode(blob.content).decode()}
                for each in several
                for blob in [_blob(each["blob"])]
            ],
            "options": options_of(options, named),
        }
        found = await self._result("POST", "/to-everything/markdown/transformer", to_json(sent))
        return found if isinstance(files, (list, tuple)) else found[0]

    async def supported(self) -> Any:
        """List the formats that can be read."""
        return await self._result("GET", "/to-everything/markdown/supported")


class Gateway:
    """`env.AI.gateway(id)`."""

    def __init__(self, call: Fetcher, result: Any, gateway_id: str) -> None:
        self._call = call
        self._result = result
        self._id = quote(gateway_id, safe="")

    async def getUrl(self, provider: str | None = None) -> str:  # noqa: N802
        """Return the address at which the gateway speaks for a provider."""
        path = f"/ai-gateway/gateways/{self._id}/url/{provider or 'universal'}"
        return (await self._result("GET", path, b"", "AiGatewayInternalError"))["url"]

    async def getLog(self, log_id: str) -> Any:  # noqa: N802
        """Return a log. Raises JsException, `AiGatewayLogNotFound` where there is none."""
        path = f"/ai-gateway/gateways/{self._id}/logs/{quote(log_id, safe='')}"
        return await self._result("GET", path, b"", "AiGatewayInternalError", "AiGatewayLogNotFound")

    async def patchLog(self, log_id: str, data: Any = None, **named: Any) -> None:  # noqa: N802
        """Add `score`, `feedback` and `metadata` to a log."""
        path = f"/ai-gateway/gateways/{self._id}/logs/{quote(log_id, safe='')}"
        body = to_json(options_of(data, named))
        await self._result("PATCH", path, body, "AiGatewayInternalError", "AiGatewayLogNotFound")

    async def run(self, requests: Any, options: Any = None, **named: Any) -> Response:
        """Send requests to providers, the next one if one fails; returns the Response."""
        given = options_of(options, named)
        headers = Headers([_JSON])
        for name, value in (given.get("gateway") or {}).items():
            header = _GATEWAY_HEADERS.get(name)
            if header:
                headers.set(header, value if isinstance(value, str) else to_json(value).decode())
        for name, value in (given.get("extraHeaders") or {}).items():
            headers.set(name, value)
        several = list(requests) if isinstance(requests, (list, tuple)) else [requests]
        return await self._call("POST", f"/ai-gateway/universal/run/{self._id}", headers.pairs(), to_json(several))


_GATEWAY_HEADERS = {
    "skipCache": "cf-aig-skip-cache",
    "cacheTtl": "cf-aig-cache-ttl",
    "cacheKey": "cf-aig-cache-key",
    "metadata": "cf-aig-metadata",
    "eventId": "cf-aig-event-id",
    "collectLog": "cf-aig-collect-log",
    "requestTimeoutMs": "cf-aig-request-timeout",
    "retries": "cf-aig-retries",
}
_AUTORAG_ERRORS = {404: "AutoRAGNotFoundError", 401: "AutoRAGUnauthorizedError"}


class AutoRag:
    """`env.AI.autorag(name)`."""

    def __init__(self, call: Fetcher, name: str) -> None:
        self._call = call
        self._path = f"/autorag/rags/{quote(name, safe='')}"

    async def list(self) -> Any:
        """List the instances."""
        return await self._ask("GET", "/autorag/rags")

    async def search(self, params: Any = None, **named: Any) -> Any:
        """Search without an answer."""
        return await self._ask("POST", f"{self._path}/search", options_of(params, named))

    async def aiSearch(self, params: Any = None, **named: Any) -> Any:  # noqa: N802
        """Search and answer; with `stream` the Response itself."""
        return await self._ask("POST", f"{self._path}/ai-search", options_of(params, named))

    async def _ask(self, method: str, path: str, params: Any = None) -> Any:
        body = b"" if params is None else to_json(params)
        response = await self._call(method, path, [_JSON] if body else [], body)
        if not response.ok:
            name = _AUTORAG_ERRORS.get(response.status, "AutoRAGInternalError")
            raise JsException(_message(await response.text()), name)
        if params is not None and params.get("stream"):
            return response
        return from_js(orjson.loads(await response.bytes())["result"])


def _streamed(inputs: Any) -> tuple[str, Content, str] | None:
    """Return the one input that is a stream: its name, its bytes and their type."""
    found: list[tuple[str, Content, str]] = []
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        if isinstance(value, FormData):
            data, kind = value.encode()
            found.append((name, data, kind))
        elif isinstance(value, ReadableStream):
            raise JsException("Content-Type is required with a ReadableStream input", "AiInternalError")
        elif isinstance(value, Mapping) and isinstance(value.get("body"), (ReadableStream, FormData)):
            content, implied = content_of(value["body"], str)
            kind = value.get("contentType") or implied
            if not kind:
                raise JsException("Content-Type is required with a ReadableStream input", "AiInternalError")
            found.append((name, content, kind))
    if len(found) > 1:
        raise JsException("Multiple ReadableStreams are not supported", "AiInternalError")
    return found[0] if found else None


def _blob(value: Any) -> Blob:
    return value if isinstance(value, Blob) else Blob([value])


def _parameter(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _message(text: str) -> str:
    try:
        return orjson.loads(text)["errors"][0]["message"]
    except (ValueError, KeyError, TypeError, IndexError):
        return text
