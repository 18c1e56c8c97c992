"""The one family of errors.

Every error that a user can meet is an `EdgeError`. It knows how each side shows it: a stable
`code` for scripts, Cloudflare's numeric `cf_code` on the wire, an HTTP `status`, and an
`exit_code` for the shell.

    EdgeError                1  500   failed
    ├── UsageError           2  400   the call itself is wrong
    ├── NotFoundError        3  404   the thing named does not exist
    ├── ConfigError          4  400   the configuration is wrong
    ├── EngineError          5  500   an inference library or model failed
    ├── UpstreamError        6  502   a download or a remote service failed
    ├── LimitError           7  429   a limit was reached
    └── StateError           1  409   local state is busy, damaged or from another version
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, ClassVar


class ExitCode(enum.IntEnum):
    """What the process returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFIG = 4
    ENGINE = 5
    UPSTREAM = 6
    LIMIT = 7
    INTERRUPTED = 130


class EdgeError(Exception):
    """Report one failure to a user.

    `message` says what happened and names the value at fault; `hint` says what to do now.
    `details` is data for scripts and appears only in JSON.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "failed"
    default_cf_code: ClassVar[int] = 10001

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        cf_code: int | None = None,
        status: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.cf_code = self.default_cf_code if cf_code is None else cf_code
        self.status = status or self.default_status
        self.details = details or {}

    @property
    def advice(self) -> str:
        """Message and hint in one text, for clients that show nothing else."""
        return f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the error as the wire carries it: Cloudflare's two fields and our own under `edge`."""
        edge: dict[str, Any] = {"code": self.code, "exit_code": int(self.exit_code)}
        if self.hint:
            edge["hint"] = self.hint
        if self.details:
            edge["details"] = self.details
        return {"code": self.cf_code, "message": self.message, "edge": edge}


class UsageError(EdgeError):
    exit_code = ExitCode.USAGE
    default_status = 400
    default_code = "usage"
    default_cf_code = 5006


class NotFoundError(EdgeError):
    exit_code = ExitCode.NOT_FOUND
    default_status = 404
    default_code = "not_found"
    default_cf_code = 7003


class ConfigError(EdgeError):
    exit_code = ExitCode.CONFIG
    default_status = 400
    default_code = "config"
    default_cf_code = 10021


class EngineError(EdgeError):
    exit_code = ExitCode.ENGINE
    default_status = 500
    default_code = "engine"
    default_cf_code = 8007


class UpstreamError(EdgeError):
    exit_code = ExitCode.UPSTREAM
    default_status = 502
    default_code = "upstream"
    default_cf_code = 8007


class LimitError(EdgeError):
    exit_code = ExitCode.LIMIT
    default_status = 429
    default_code = "limit"
    default_cf_code = 3040


class StateError(EdgeError):
    exit_code = ExitCode.FAILED
    default_status = 409
    default_code = "state"
    default_cf_code = 10002


_BY_EXIT_CODE: dict[int, type[EdgeError]] = {
    int(kind.exit_code): kind
    for kind in (UsageError, NotFoundError, ConfigError, EngineError, UpstreamError, LimitError)
}


def error_from_dict(body: dict[str, Any], *, status: int) -> EdgeError:
    """Rebuild the error that `EdgeError.to_dict` wrote, so that it exits as it would in this process."""
    edge = body.get("edge") or {}
    kind = _BY_EXIT_CODE.get(int(edge.get("exit_code", ExitCode.FAILED)), EdgeError)
    return kind(
        str(body.get("message", "the server answered with an error that has no message")),
        hint=edge.get("hint"),
        code=edge.get("code"),
        cf_code=int(body.get("code", 0)),
        status=status,
        details=edge.get("details"),
    )


_ALIKE = 0.5


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return up to `count` of the `known` names that look most like `name`, best first."""
    import difflib

    names = list(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    tail = name.lower().rsplit("/", 1)[-1]

    def alike(key: str) -> bool:
        """Leave out what has only the beginning of a path in common."""
        own = key.rsplit("/", 1)[-1]
        return tail in own or difflib.SequenceMatcher(None, own, tail).ratio() >= _ALIKE

    close = difflib.get_close_matches(name.lower(), list(lowered), n=count, cutoff=0.6)
    close = [key for key in close if alike(key)]
    if not close:
        close = [key for key in lowered if tail and tail in key][:count]
    return [lowered[key] for key in close]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the nearest of the `known` names, or None if none is near."""
    close = nearest(name, known)
    if not close:
        return None
    return "Did you mean " + " or ".join(f"`{candidate}`" for candidate in close) + "?"
