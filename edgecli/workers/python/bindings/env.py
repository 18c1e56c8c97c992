"""`env`: bindings, variables and secrets by their names."""

from __future__ import annotations

from typing import Any

from edgecli.workers.python.bindings.ai import Ai
from edgecli.workers.python.bindings.calling import Fetcher
from edgecli.workers.python.bindings.d1 import D1Database
from edgecli.workers.python.bindings.kv import KvNamespace
from edgecli.workers.python.bindings.r2 import R2Bucket
from edgecli.workers.python.bindings.vectorize import Vectorize
from edgecli.workers.python.web.values import JsException, from_js

_LINES = {
    "ai": '[ai]\nbinding = "{0}"',
    "vectorize": '[[vectorize]]\nbinding = "{0}"\nindex_name = "my-index"',
    "kv": '[[kv_namespaces]]\nbinding = "{0}"\nid = "{1}"',
    "r2": '[[r2_buckets]]\nbinding = "{0}"\nbucket_name = "{1}"',
    "d1": '[[d1_databases]]\nbinding = "{0}"\ndatabase_name = "{1}"',
    "browser": '[browser]\nbinding = "{0}"',
    "vars": '[vars]\n{0} = "..."',
}
_WORDS = {
    "vectorize": ("VECTOR", "INDEX", "EMBEDDING"),
    "browser": ("BROWSER", "PUPPETEER"),
    "d1": ("DB", "D1", "DATABASE", "SQL"),
    "r2": ("BUCKET", "R2", "FILES", "STORAGE"),
    "kv": ("KV", "CACHE", "STORE", "SESSION"),
}


class _Browser:
    def __init__(self, call: Fetcher) -> None:
        pass

    async def fetch(self, *_: Any, **__: Any) -> Any:
        raise JsException("The Browser binding is for JavaScript Workers: @cloudflare/puppeteer runs there.")


_TYPES: dict[str, Any] = {
    "ai": Ai,
    "vectorize": Vectorize,
    "kv": KvNamespace,
    "r2": R2Bucket,
    "d1": D1Database,
    "browser": _Browser,
}


class Env:
    """What a Worker's configuration gives to its code. Another name raises AttributeError with a way out."""

    __slots__ = ("__dict__", "_unanswered")

    def __init__(self, bindings: list[tuple[str, str]], values: dict[str, Any], unanswered: dict[str, str]) -> None:
        """`bindings` are names and types, `values` variables and secrets, `unanswered` the bindings not to be had."""
        self._unanswered = unanswered
        self.__dict__.update({name: from_js(value) for name, value in values.items()})
        self.__dict__.update({name: _TYPES[kind](Fetcher(name)) for name, kind in bindings})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if title := self._unanswered.get(name):
            raise AttributeError(f"`env.{name}` ({title}) is configured, and edgecli does not answer it.", name=name)
        there = ", ".join(sorted(self.__dict__)) or "nothing"
        lines = _LINES[_kind(name)].format(name, name.lower().replace("_", "-"))
        raise AttributeError(
            f"`env.{name}` is not configured; env holds {there}. Add to wrangler.toml:\n\n{lines}\n", name=name
        )

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __repr__(self) -> str:
        return f"<env: {', '.join(sorted(self.__dict__))}>"


def _kind(name: str) -> str:
    """Guess what a name is meant to be."""
    upper = name.upper()
    if "AI" in upper.split("_") or upper.endswith("AI"):
        return "ai"
    return next((kind for kind, words in _WORDS.items() if any(word in upper for word in words)), "vars")
