"""Requests and responses."""

from __future__ import annotations

import json as jsonlib
from http import HTTPMethod, HTTPStatus
from typing import Any
from urllib.parse import quote

from edgecli.workers.python.web.body import Content, HasBody, content_of
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.values import JsDict

_NULL_BODY = (204, 205, 304)
_CF = {"colo": "EDGE", "country": None, "httpProtocol": "HTTP/1.1", "clientAcceptEncoding": ""}


class Request(HasBody):
    """A request."""

    def __init__(self, input: Any, options: Any = None, **other_options: Any) -> None:
        """Take a URL or another Request; options are method, headers, body, redirect, cf."""
        options = {**(options or {}), **other_options}
        source = input if isinstance(input, Request) else None
        self.url: str = source.url if source else str(input)
        method = options.get("method") or (source.method if source else "GET")
        self.method: Any = _method(str(getattr(method, "value", method)).upper())
        given = options.get("headers")
        self.headers = Headers(given if given is not None else source.headers if source else None)
        self.cf: Any = JsDict(options.get("cf") or (source.cf if source else {}))
        self.redirect: str = options.get("redirect") or "follow"
        if options.get("body") is None and source is not None:
            self.content = source.content
        else:
            self.content, implied = content_of(
                options.get("body"), lambda body: f"Unsupported type in Request: {type(body).__name__}"
            )
            if implied and "content-type" not in self.headers:
                self.headers["content-type"] = implied
        if self.content is not None and self.method in ("GET", "HEAD"):
            raise TypeError("Request with a GET or HEAD method cannot have a body.")

    @classmethod
    def received(cls, method: str, url: str, headers: Headers, content: Content) -> Request:
        """Make the request that the server hands over."""
        request = cls.__new__(cls)
        request.url = url
        request.method = _method(method)
        request.headers = headers
        request.content = content
        request.cf = JsDict(_CF)
        request.redirect = "manual"
        return request

    @classmethod
    def new(cls, input: Any, options: Any = None, **other_options: Any) -> Request:
        """Do what `new Request(input, options)` does."""
        return cls(input, options, **other_options)

    @property
    def js_object(self) -> Request:
        """Itself: there is no JavaScript beneath."""
        return self

    async def json(self, **options: Any) -> Any:
        """Read the body as JSON. Raises json.JSONDecodeError."""
        return await self.read_json(**options)

    def clone(self) -> Request:
        """Return a request with a body of its own. Raises OSError if the body was read."""
        copy = Request.received(str(self.method), self.url, self.headers.copy(), self._split())
        copy.cf, copy.redirect = self.cf, self.redirect
        return copy

    def __repr__(self) -> str:
        return f"Request(method={str(self.method)!r}, url={self.url!r})"


def _method(name: str) -> Any:
    return HTTPMethod.__members__.get(name, name)


class Response(HasBody):
    """An answer."""

    def __init__(
        self,
        body: Any = None,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: Any = None,
        web_socket: Any = None,
    ) -> None:
        """Take str, bytes, FormData, Blob, a stream or an async iterator.

        Raises TypeError for another body, ValueError for a status that is none.
        """
        if web_socket is not None:
            raise TypeError("WebSockets are not there in edgecli's Python Workers.")
        if isinstance(body, Response):
            if status is not None or status_text or headers is not None:
                raise ValueError("Expected no options when constructing Response from a js.Response")
            self.__dict__.update(body.__dict__)
            return
        self.status = 200 if status is None else int(status)
        if not 200 <= self.status <= 599:
            raise ValueError(f"Responses may only have status codes in the range of 200 to 599, not {self.status}.")
        self.status_text = status_text
        self.url = ""
        self.redirected = False
        self.headers = Headers(headers)
        self.content, implied = content_of(
            body, lambda given: f"Unsupported type in Response: {type(given).__name__}{_way_out(given)}"
        )
        if self.content is not None and self.status in _NULL_BODY:
            if self.content:
                raise TypeError(f"Response with null body status ({self.status}) cannot have a body.")
            self.content = None
        elif implied and "content-type" not in self.headers:
            self.headers["content-type"] = implied

    @classmethod
    def new(cls, body: Any = None, options: Any = None, **other_options: Any) -> Response:
        """Do what `new Response(body, options)` does."""
        given = {**(options or {}), **other_options}
        return cls(body, given.get("status"), given.get("statusText", ""), given.get("headers"))

    @classmethod
    def received(cls, status: int, headers: Headers, content: Content, url: str = "") -> Response:
        """Make the answer of a server, of whatever status."""
        response = cls(headers=headers)
        response.status, response.content, response.url = status, content, url
        return response

    @property
    def ok(self) -> bool:
        """Whether the status says that it went well."""
        return 200 <= self.status <= 299

    @property
    def statusText(self) -> str:  # noqa: N802
        """The text beside the status."""
        return self.status_text

    @property
    def js_object(self) -> Response:
        """Itself: there is no JavaScript beneath."""
        return self

    def json(self, *args: Any, **options: Any) -> Any:
        """Read the body as JSON (`await response.json()`), or make a response (`Response.json(data)`)."""
        if isinstance(self, Response):  # pyright: ignore[reportUnnecessaryIsInstance]
            return self.read_json(**options)
        return Response.from_json(self, *args, **options)

    @staticmethod
    def from_json(
        data: Any, status: HTTPStatus | int | None = None, status_text: str = "", headers: Any = None
    ) -> Response:
        """Make a response of JSON data. Raises TypeError for what JSON cannot hold."""
        if isinstance(status, dict):  # JavaScript's form: Response.json(data, {status, headers})
            options: Any = status
            status, headers = options.get("status"), options.get("headers")
        response = Response(jsonlib.dumps(data, ensure_ascii=False), status, status_text, headers)
        if not Headers(headers).has("content-type"):
            response.headers["content-type"] = "application/json"
        return response

    @staticmethod
    def redirect(url: str, status: HTTPStatus | int = HTTPStatus.FOUND) -> Response:
        """Make a redirection. Raises ValueError for a status that is none."""
        if int(status) not in (301, 302, 303, 307, 308):
            raise ValueError(f"{int(status)} is not a redirect status code.")
        return Response(None, status, headers={"location": quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")})

    def replace_body(self, body: Any) -> Response:
        """Return a response with the same status and headers, and another body."""
        return Response(body, self.status, self.status_text, self.headers.copy())

    def clone(self) -> Response:
        """Return a response with a body of its own. Raises OSError if the body was read."""
        copy = Response.received(self.status, self.headers.copy(), self._split(), self.url)
        copy.status_text = self.status_text
        return copy

    def __repr__(self) -> str:
        return f"Response(status={self.status}, content_type={self.headers.get('content-type')!r})"


def _way_out(given: Any) -> str:
    return " (use Response.json(...))" if isinstance(given, (dict, list, tuple)) else ""
