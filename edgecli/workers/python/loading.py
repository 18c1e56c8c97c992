"""The user's code: imported by its path, its handlers found, its errors told with the place where they arose."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from edgecli.workers.python.context import PROCESS, Running
from edgecli.workers.python.web.messages import Request, Response

_OURS = str(Path(__file__).parent) + os.sep
_MODULES = str(Path(__file__).parent / "modules")
_SHIMS = ("workers", "asgi", "js", "pyodide")

Info = dict[str, Any]


class BadResponseError(Exception):
    """A handler returned what is no answer."""

    def __init__(self, result: Any) -> None:
        super().__init__(_what(result))
        self.hint = "Return a Response: Response(text), Response.json(data)."
        if inspect.iscoroutine(result):
            self.hint = f"Await it: return await {result.__name__}(...)."
            result.close()  # Python would warn that nobody awaited it


class NoHandlerError(Exception):
    """The module has no handler for this."""


class Code:
    """The user's module and what it handles."""

    def __init__(self, main: str, root: str) -> None:
        self._main = Path(main)
        self._root = Path(root)
        self._handlers: dict[str, Callable[[Any, Running], Any]] = {}
        self._defined: Any = None
        """The user's `fetch`."""

    @property
    def _shown(self) -> str:
        """The module as its configuration names it."""
        return str(self._main.relative_to(self._root) if self._main.is_relative_to(self._root) else self._main)

    def load(self) -> None:
        """Import the module and find its handlers. Raises whatever it raises, and NoHandlerError."""
        module = self._import()
        default = getattr(module, "Default", None)
        for name in ("fetch", "scheduled"):
            if inspect.isclass(default) and callable(method := getattr(default, name, None)):
                self._handlers[name] = _of_class(default, name, _arity(method) - 1)
                self._defined = method if name == "fetch" else self._defined
            elif callable(function := getattr(module, f"on_{name}", None)):
                self._handlers[name] = _of_module(function, _arity(function))
                self._defined = function if name == "fetch" else self._defined
        if not self._handlers:
            raise NoHandlerError(
                f"{self._shown} has no handler: it needs `class Default(WorkerEntrypoint)` with"
                " `async def fetch(self, request)`, or `async def on_fetch(request, env, ctx)`."
            )

    async def fetch(self, request: Request, running: Running) -> Response:
        """Return the answer of the user's `fetch`. Raises whatever it raises, and BadResponseError."""
        result = await self._call("fetch", request, running)
        if not isinstance(result, Response):
            raise BadResponseError(result)
        return result

    async def scheduled(self, controller: Any, running: Running) -> None:
        """Run the user's `scheduled`."""
        await self._call("scheduled", controller, running)

    async def _call(self, name: str, argument: Any, running: Running) -> Any:
        handler = self._handlers.get(name)
        if handler is None:
            raise NoHandlerError(f"{self._shown} has no `{name}` handler.")
        result = handler(argument, running)
        return await result if inspect.isawaitable(result) else result

    def _import(self) -> ModuleType:
        folders = dict.fromkeys((str(self._main.parent), str(self._main.resolve().parent)))
        sys.path[:0] = [_MODULES, *folders, str(self._root / "python_modules")]
        sys.argv = [str(self._main)]
        name = self._main.stem
        if name in sys.modules or name in sys.stdlib_module_names or name in _SHIMS:
            name = f"worker_{name}"
        spec = importlib.util.spec_from_file_location(name, self._main)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    def describe(self, error: BaseException, code: str) -> Info:
        """Return an error as the server tells it: in the user's words, with the place in his code."""
        trace = traceback.TracebackException.from_exception(error)
        _leave_out_ours(trace, set())
        name = type(error).__name__
        info: Info = {"code": code, "name": name, "message": _text(error), "stack": "".join(trace.format())}
        place: Any = (None, None, None)
        if isinstance(error, (BadResponseError, NoHandlerError)):
            info["stack"] = ""  # it holds nothing of the user's
        if isinstance(error, BadResponseError):
            info |= {"code": "worker_bad_response", "hint": error.hint}
            defined = getattr(inspect.unwrap(self._defined), "__code__", None)
            if defined is not None:
                place = (defined.co_filename, defined.co_firstlineno, None)
        elif isinstance(error, SyntaxError):
            place = (error.filename, error.lineno, error.offset)
            info["message"] = error.msg
        else:
            place = self._place(trace.stack)
        if place[0] is not None and place[1] is not None:
            info |= {"file": place[0], "line": place[1], "column": place[2]}
        if isinstance(error, ImportError):
            info |= _missing(error)
        return info

    def where(self, frame: FrameType | None) -> Info:
        """Return where in the user's code a frame is, and the way to it; nothing if it is not there."""
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
        stack.reverse()
        first = next((count for count, each in enumerate(stack) if self._is_users(each.filename)), None)
        if first is None:
            return {}
        del stack[:first]
        file, line, _ = self._place(stack)
        trace = "Where it was (most recent call last):\n" + "".join(_without_ours(stack).format())
        return {"file": file, "line": line, "stack": trace}

    def _place(self, frames: traceback.StackSummary) -> tuple[str | None, int | None, int | None]:
        users = [frame for frame in frames if self._is_users(frame.filename)]
        last = users[-1] if users else frames[-1] if frames else None
        if last is None:
            return None, None, None
        column = getattr(last, "colno", None)
        return last.filename, last.lineno, None if column is None else column + 1

    def _is_users(self, filename: str) -> bool:
        path = Path(filename)
        if {"site-packages", "python_modules"} & set(path.parts):
            return False
        return any(path.is_relative_to(each) for each in (self._main.parent, self._main.resolve().parent, self._root))


def _arity(function: Callable[..., Any]) -> int:
    """Return how many positional arguments a handler takes, of at most request, env and ctx."""
    count = 0
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.VAR_POSITIONAL:
            return 4
        count += each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    return count


def _of_class(default: Any, name: str, arity: int) -> Callable[[Any, Running], Any]:
    def call(argument: Any, running: Running) -> Any:
        handler = getattr(default(running, PROCESS.env), name)
        return handler(*(argument, PROCESS.env, running)[: max(arity, 0)])

    return call


def _of_module(function: Callable[..., Any], arity: int) -> Callable[[Any, Running], Any]:
    return lambda argument, running: function(*(argument, PROCESS.env, running)[:arity])


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its str() failed>"


def _what(result: Any) -> str:
    if result is None:
        return "`fetch` returned None: it has no `return`, or a branch without one."
    if inspect.iscoroutine(result):
        return f"`fetch` returned a coroutine that nobody awaited: `{result.__qualname__}`."
    try:
        shown = repr(result)[:200]
    except Exception:
        shown = "<its repr() failed>"
    return f"`fetch` returned {type(result).__name__}, not a Response: {shown}"


def _leave_out_ours(trace: traceback.TracebackException, seen: set[int]) -> None:
    if id(trace) in seen:
        return
    seen.add(id(trace))
    trace.stack = _without_ours(trace.stack)
    for other in (trace.__cause__, trace.__context__, *(trace.exceptions or ())):
        if other is not None:
            _leave_out_ours(other, seen)


def _without_ours(stack: traceback.StackSummary) -> traceback.StackSummary:
    return traceback.StackSummary.from_list(
        [each for each in stack if not each.filename.startswith((_OURS, "<frozen importlib"))]
    )


def _missing(error: ImportError) -> Info:
    """Return the way out of an import that failed."""
    top = (error.name or "").partition(".")[0]
    if top in _SHIMS:
        return {"hint": f"edgecli's `{top}` holds the part of Cloudflare's that works offline; this is not in it."}
    if isinstance(error, ModuleNotFoundError) and top:
        return {
            "message": f"There is no module `{top}`, neither in the project nor installed.",
            "hint": f"If it is your own, its file is missing; if it is a package, run `{sys.executable} -m pip install"
            f" {top}`, or put it into python_modules/ beside wrangler.toml.",
        }
    return {}
