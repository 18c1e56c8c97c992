"""Headers: names without case, in their order, some more than once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Self

HeadersInit = Mapping[str, str] | Iterable[tuple[str, str]] | None


class Headers(MutableMapping[str, str]):
    """A mapping with the methods of JavaScript's Headers. A name that is not there gives None, as in Cloudflare's."""

    def __init__(self, init: HeadersInit = None) -> None:
        """Take a mapping or pairs. Raises TypeError for anything else."""
        self._pairs: list[tuple[str, str]] = []
        if init is None:
            return
        try:
            given: Any = init.pairs() if isinstance(init, Headers) else init
            for name, value in given.items() if isinstance(given, Mapping) else given:
                self.append(name, value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"headers are a dict or (name, value) pairs, not {type(init).__name__}: {error}") from None

    @classmethod
    def received(cls, pairs: list[tuple[str, str]]) -> Self:
        """Take pairs whose names are lower case already."""
        headers = cls()
        headers._pairs = pairs
        return headers

    @classmethod
    def new(cls, init: Any = None) -> Self:
        """Do what `new Headers(init)` does in JavaScript."""
        return cls(init)

    def pairs(self) -> list[tuple[str, str]]:
        """Return name and value of every header, names in lower case."""
        return self._pairs

    def append(self, name: str, value: str) -> None:
        """Add a header beside those of the same name. Raises TypeError for what cannot be one."""
        text = str(value).strip()
        if not name or any(each in "\r\n\0 :" for each in name) or any(each in "\r\n\0" for each in text):
            raise TypeError(f"Invalid header: {name!r}: {text!r}")
        self._pairs.append((str(name).lower(), text))

    def __getitem__(self, name: str) -> str:
        found = self.get_all(name)
        return ", ".join(found) if found else None  # pyright: ignore[reportReturnType]

    def __setitem__(self, name: str, value: str) -> None:
        if name in self:
            del self[name]
        self.append(name, value)

    def __delitem__(self, name: str) -> None:
        wanted = name.lower()
        self._pairs = [pair for pair in self._pairs if pair[0] != wanted]

    def __contains__(self, name: object) -> bool:
        wanted = str(name).lower()
        return any(pair[0] == wanted for pair in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's values, joined by commas."""
        value = self[name]
        return default if value is None else value  # pyright: ignore[reportUnnecessaryComparison]

    def get_all(self, name: str, default: Any = None) -> list[str]:
        """Return each value of a header."""
        wanted = name.lower()
        return [value for each, value in self._pairs if each == wanted] or default or []

    def set(self, name: str, value: str) -> None:
        """Set a header in place of those of the same name."""
        self[name] = value

    def has(self, name: str) -> bool:
        """Whether there is such a header."""
        return name in self

    def delete(self, name: str) -> None:
        """Remove a header."""
        del self[name]

    def entries(self) -> Iterator[tuple[str, str]]:
        """Return names and values, as JavaScript does."""
        return iter(self.items())

    def getSetCookie(self) -> list[str]:  # noqa: N802
        """Return each `set-cookie`."""
        return self.get_all("set-cookie")

    def copy(self) -> Headers:
        """Return headers of their own."""
        return Headers.received(list(self._pairs))
