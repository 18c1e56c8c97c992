"""`env.BUCKET`: objects, on the wire of workerd's `r2-bucket.c++` and `r2-rpc.c++`.

Reads go as `GET /` with JSON in a header, and bring JSON before the object's bytes; writes go as `PUT /` with JSON
before the bytes. Numbers of 64 bits are strings there, as Cap'n Proto's JSON has them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson

from edgecli.workers.python.bindings.calling import Fetcher, options_of
from edgecli.workers.python.web.body import Content, HasBody, ReadableStream, content_of
from edgecli.workers.python.web.forms import Blob
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Response
from edgecli.workers.python.web.values import JsDict, JsException, from_js

_NOT_FOUND = (10007, 10006)
_PRECONDITION = 10031
_HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")
_HTTP_FIELDS = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "cacheControl": "cache-control",
}


class R2Object(JsDict):
    """What is known of an object: `key`, `size`, `etag`, `httpEtag`, `uploaded`, `httpMetadata`, `customMetadata`, …"""

    def writeHttpMetadata(self, headers: Headers) -> None:  # noqa: N802
        """Set the headers of an answer that hands the object on."""
        for field, name in _HTTP_FIELDS.items():
            if self["httpMetadata"].get(field):
                headers[name] = self["httpMetadata"][field]
        expiry = self["httpMetadata"].get("cacheExpiry")
        if expiry:
            headers["expires"] = format_datetime(expiry, usegmt=True)


class R2ObjectBody(R2Object):
    """An object and its bytes, read once."""

    def __init__(self, known: Mapping[str, Any], content: Content) -> None:
        super().__init__(known)
        reader = HasBody()
        reader.content = content
        object.__setattr__(self, "_reader", reader)

    def __getattr__(self, name: str) -> Any:
        return self._body(name) if name in ("body", "bodyUsed") else super().__getattr__(name)

    def __getitem__(self, name: str) -> Any:
        return self._body(name) if name in ("body", "bodyUsed") else super().__getitem__(name)

    def _body(self, name: str) -> Any:
        reader: HasBody = object.__getattribute__(self, "_reader")
        return reader.body if name == "body" else reader.body_used

    async def bytes(self) -> bytes:
        """Read its bytes. Raises OSError if they were read before."""
        return await object.__getattribute__(self, "_reader").bytes()

    async def text(self) -> str:
        """Read it as UTF-8."""
        return (await self.bytes()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Read it as JSON."""
        return from_js(json.loads(await self.bytes()))

    async def arrayBuffer(self) -> memoryview:  # noqa: N802
        """Read it as a buffer."""
        return memoryview(await self.bytes())

    async def blob(self) -> Blob:
        """Read it as a Blob."""
        return Blob([await self.bytes()], content_type=self["httpMetadata"].get("contentType"))


class R2Bucket:
    """A bucket."""

    def __init__(self, call: Fetcher) -> None:
        self._call = call

    async def head(self, key: str) -> R2Object | None:
        """Return what is known of an object; None where there is none."""
        found, _ = await self._read("head", {"object": key})
        return None if found is None else _object(found)

    async def get(self, key: str, options: Any = None, **named: Any) -> R2Object | None:
        """Return an object; None where there is none; without its bytes where `onlyIf` does not hold."""
        given = options_of(options, named)
        sent: dict[str, Any] = {"object": key, **_only_if(given)}
        wanted = given.get("range")
        if isinstance(wanted, Headers):
            if wanted.get("range"):
                sent["rangeHeader"] = wanted.get("range")
        elif wanted:
            sent["range"] = {name: str(int(value)) for name, value in wanted.items() if value is not None}
        found, content = await self._read("get", sent)
        if found is None:
            return None
        return _object(found) if content is None else R2ObjectBody(_object(found), content)

    async def put(self, key: str, value: Any, options: Any = None, **named: Any) -> R2Object | None:
        """Store an object; None where `onlyIf` does not hold."""
        given = options_of(options, named)
        sent = {"object": key, **_only_if(given), **_metadata(given)}
        for name in _HASHES:
            if given.get(name) is not None:
                sent[name] = _hash(name, given[name])
        try:
            stored = await self._write("put", sent, _content(value))
        except _PreconditionError:
            return None
        return _object({**(stored or {}), **{name: sent[name] for name in _SENT if name in sent}})

    async def delete(self, keys: Any) -> None:
        """Delete one object or a list of them."""
        sent = {"objects": list(keys)} if isinstance(keys, (list, tuple)) else {"object": keys}
        await self._write("delete", sent)

    async def list(self, options: Any = None, **named: Any) -> JsDict:
        """Return `{objects, truncated, cursor, delimitedPrefixes}`; at most 1000 objects, or `limit`."""
        given = options_of(options, named)
        sent = {
            name: given[name]
            for name in ("limit", "prefix", "cursor", "delimiter", "startAfter")
            if given.get(name) is not None
        }
        includes = given.get("include") or []
        sent["include"] = [number for number, name in enumerate(("httpMetadata", "customMetadata")) if name in includes]
        found, _ = await self._read("list", {**sent, "newRuntime": True})
        found = found or {}
        result = JsDict(
            objects=[_object(each) for each in found.get("objects", [])],
            truncated=found.get("truncated", False),
            delimitedPrefixes=found.get("delimitedPrefixes", []),
        )
        if found.get("cursor"):
            result["cursor"] = found["cursor"]
        return result

    async def createMultipartUpload(self, key: str, options: Any = None, **named: Any) -> R2MultipartUpload:  # noqa: N802
        """Begin an upload in parts."""
        made = await self._write("createMultipartUpload", {"object": key, **_metadata(options_of(options, named))})
        return R2MultipartUpload(self._write, key, (made or {})["uploadId"])

    def resumeMultipartUpload(self, key: str, upload_id: str) -> R2MultipartUpload:  # noqa: N802
        """Go on with an upload in parts."""
        return R2MultipartUpload(self._write, key, upload_id)

    async def _read(self, method: str, sent: dict[str, Any]) -> tuple[dict[str, Any] | None, Content]:
        request = json.dumps({"version": 1, "method": method, **sent}, separators=(",", ":"))
        response = await self._call("GET", "/", [("cf-r2-request", request)])
        size = int(response.headers.get("cf-r2-metadata-size", 0))
        code, said = _error(response)
        if code in _NOT_FOUND:
            return None, None
        if response.status >= 400 and not (code == _PRECONDITION and size):
            raise JsException(f"{method}: {said} ({code})")
        found, content = await _split(response, size)
        return orjson.loads(found) if found else {}, content if method == "get" and code == 0 else None

    async def _write(self, method: str, sent: dict[str, Any], value: Content = b"") -> dict[str, Any] | None:
        request = orjson.dumps({"version": 1, "method": method, **sent})
        if isinstance(value, ReadableStream):
            body: Content = ReadableStream(_joined(request, value))
        else:
            body = request + (value or b"")
        response = await self._call("PUT", "/", [("cf-r2-metadata-size", str(len(request)))], body)
        code, said = _error(response)
        if method == "delete" and code in _NOT_FOUND:
            return None
        if code == _PRECONDITION:
            raise _PreconditionError(f"{method}: {said} ({code})")
        if response.status >= 400:
            raise JsException(f"{method}: {said} ({code})")
        data = await response.bytes()
        return orjson.loads(data) if data else None


class R2MultipartUpload(JsDict):
    """An upload in parts: `key` and `uploadId`."""

    def __init__(self, write: Any, key: str, upload_id: str) -> None:
        super().__init__(key=key, uploadId=upload_id)
        object.__setattr__(self, "_write", write)

    async def _send(self, method: str, sent: dict[str, Any], value: Content = b"") -> Any:
        named = {"object": self["key"], "uploadId": self["uploadId"], **sent}
        return await object.__getattribute__(self, "_write")(method, named, value)

    async def uploadPart(self, part_number: int, value: Any) -> JsDict:  # noqa: N802
        """Send a part; returns `{partNumber, etag}`."""
        made = await self._send("uploadPart", {"partNumber": part_number}, _content(value))
        return JsDict(partNumber=part_number, etag=made["etag"])

    async def complete(self, parts: list[Any]) -> R2Object:
        """Make the object of its parts."""
        sent = [{"etag": each["etag"], "part": each["partNumber"]} for each in parts]
        return _object(await self._send("completeMultipartUpload", {"parts": sent}))

    async def abort(self) -> None:
        """Give the upload up."""
        await self._send("abortMultipartUpload", {})


class _PreconditionError(JsException):
    pass


_SENT = ("httpFields", "customFields")


def _content(value: Any) -> Content:
    content, _ = content_of(value, lambda given: f"R2 put() does not take {type(given).__name__} as a value")
    return content


async def _joined(first: bytes, rest: ReadableStream) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _split(response: Response, size: int) -> tuple[bytes, Content]:
    """Return the JSON before an object's bytes, and those bytes."""
    if not isinstance(response.content, ReadableStream):
        data = await response.bytes()
        return data[:size], data[size:]
    pieces = response.content.__aiter__()
    data = b""
    while len(data) < size:
        data += await anext(pieces)

    async def rest() -> AsyncIterator[bytes]:
        if data[size:]:
            yield data[size:]
        async for piece in pieces:
            yield piece

    return data[:size], ReadableStream(rest())


def _error(response: Response) -> tuple[int, str]:
    if response.status < 400:
        return 0, ""
    given = orjson.loads(response.headers.get("cf-r2-error") or '{"v4code":0,"message":"Unspecified error"}')
    return int(given.get("v4code", 0)), given.get("message", "")


def _object(found: dict[str, Any]) -> R2Object:
    fields = dict(found.get("httpFields") or {})
    if fields.get("cacheExpiry") is not None:
        fields["cacheExpiry"] = _time(fields["cacheExpiry"])
    checksums = found.get("checksums") or {}
    known: dict[str, Any] = {
        "key": found["name"],
        "version": found["version"],
        "size": int(found["size"]),
        "etag": found["etag"],
        "httpEtag": f'"{found["etag"]}"',
        "uploaded": _time(found["uploaded"]),
        "httpMetadata": JsDict(fields),
        "customMetadata": JsDict({each["k"]: each["v"] for each in found.get("customFields") or []}),
        "checksums": JsDict({_HASHES[int(number)]: value for number, value in checksums.items()}),
        "storageClass": found.get("storageClass") or "Standard",
    }
    if found.get("range"):
        known["range"] = JsDict({name: int(value) for name, value in found["range"].items()})
    return R2Object(known)


def _time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _milliseconds(moment: Any) -> str:
    if isinstance(moment, str):
        moment = parsedate_to_datetime(moment) if "," in moment else datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        moment = moment.timestamp() * 1000
    return str(int(moment))


def _metadata(given: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    if given.get("customMetadata") is not None:
        sent["customFields"] = [{"k": str(name), "v": str(value)} for name, value in given["customMetadata"].items()]
    http = given.get("httpMetadata")
    if isinstance(http, Headers):
        fields: dict[str, Any] = {field: http.get(name) for field, name in _HTTP_FIELDS.items() if http.get(name)}
        if http.get("expires"):
            fields["cacheExpiry"] = _milliseconds(http.get("expires"))
        sent["httpFields"] = fields
    elif http is not None:
        sent["httpFields"] = {
            name: _milliseconds(value) if name == "cacheExpiry" else value
            for name, value in http.items()
            if value is not None
        }
    if given.get("storageClass"):
        sent["storageClass"] = given["storageClass"]
    return sent


def _hash(name: str, value: Any) -> str:
    raw = bytes.fromhex(value) if isinstance(value, str) else bytes(value)
    if name == "md5":
        import base64

        return base64.b64encode(raw).decode()
    return raw.hex()


def _only_if(given: dict[str, Any]) -> dict[str, Any]:
    condition = given.get("onlyIf")
    if not condition:
        return {}
    sent: dict[str, Any] = {}
    if isinstance(condition, Headers):
        for header, name in (("if-match", "etagMatches"), ("if-none-match", "etagDoesNotMatch")):
            if condition.get(header):
                sent[name] = [_etag(each.strip()) for each in condition.get(header).split(",")]
        for header, name in (("if-modified-since", "uploadedAfter"), ("if-unmodified-since", "uploadedBefore")):
            if condition.get(header):
                sent[name] = _milliseconds(condition.get(header))
                sent["secondsGranularity"] = True
        return {"onlyIf": sent}
    for name in ("etagMatches", "etagDoesNotMatch"):
        if condition.get(name) is not None:
            etag: str = condition[name]
            if etag.startswith('"'):
                raise JsException(f"Conditional ETag should not be wrapped in quotes ({etag}).", "TypeError")
            sent[name] = [{"type": "wildcard"} if etag == "*" else {"value": etag, "type": "strong"}]
    for name in ("uploadedBefore", "uploadedAfter"):
        if condition.get(name) is not None:
            sent[name] = _milliseconds(condition[name])
    if condition.get("secondsGranularity"):
        sent["secondsGranularity"] = True
    return {"onlyIf": sent}


def _etag(text: str) -> dict[str, str]:
    if text == "*":
        return {"type": "wildcard"}
    weak = text.startswith("W/")
    return {"value": text.removeprefix("W/").strip('"'), "type": "weak" if weak else "strong"}
