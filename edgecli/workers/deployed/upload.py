"""What wrangler uploads: a form with `metadata`, and the modules of a Worker under their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import orjson
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from edgecli.errors import LimitError, UsageError

MAX_BYTES = 64 * 1024 * 1024
"""Of an upload: Cloudflare's limit on a Worker of a paid account, before compression."""
MAX_MODULES = 10_000
_MODULE = re.compile(r"(?!/)(?:(?!\.{1,2}(?:/|$))[^/\x00\\]+/)*(?!\.{1,2}$)[^/\x00\\]+")

BINDINGS: dict[str, tuple[str, str]] = {
    "ai": ("ai", ""),
    "vectorize": ("vectorize", "index_name"),
    "kv_namespace": ("kv", "namespace_id"),
    "r2_bucket": ("r2", "bucket_name"),
    "d1": ("d1", "id"),
    "browser": ("browser", ""),
}
"""wrangler's word for a type of binding -> ours, and the field that names its resource."""
NO_ASSETS = "Serve them from the Worker's code, or from an R2 bucket."
VALUES = {"plain_text": "text", "json": "json", "secret_text": "text"}
"""wrangler's word for a value in `env` -> the field that holds it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A Worker as it was uploaded."""

    main_module: str
    modules: dict[str, tuple[str, bytes]]
    """Name -> content type and content."""
    bindings: list[dict[str, Any]]
    kept: frozenset[str]
    """Types of the bindings that stay as they were, unless `bindings` names them; secrets, if it says nothing."""
    compatibility_date: str | None
    compatibility_flags: tuple[str, ...]
    message: str | None
    tag: str | None = None


async def read_upload(request: Request) -> Upload:
    """Read the form. Raises UsageError for what is no such form, and for bindings that nothing here answers."""
    try:
        form = await Request(request.scope, _limited(request)).form(
            max_files=MAX_MODULES, max_fields=100, max_part_size=MAX_BYTES
        )
    except (MultiPartException, HTTPException) as error:
        raise _unusable(error.message if isinstance(error, MultiPartException) else error.detail) from error
    metadata: Any = None
    modules: dict[str, tuple[str, bytes]] = {}
    try:
        for given, part in form.multi_items():
            name = given.removeprefix("./")  # so wrangler begins the names of modules that are no code
            content = await part.read() if isinstance(part, UploadFile) else part.encode()
            if name == "metadata":
                metadata = orjson.loads(content)
                continue
            if not _MODULE.fullmatch(name):
                raise _unusable(f"a module is named {name!r}, which is no path below the Worker's folder")
            kind = part.content_type if isinstance(part, UploadFile) else None
            modules[name] = (kind or "application/javascript+module", content)
    except orjson.JSONDecodeError as error:
        raise _unusable(f"its `metadata` is no JSON: {error}") from error
    finally:
        await form.close()
    if not isinstance(metadata, dict):
        raise _unusable("it has no part `metadata` with a JSON object")
    return _checked(cast("dict[str, Any]", metadata), modules)


def _checked(metadata: dict[str, Any], modules: dict[str, tuple[str, bytes]]) -> Upload:
    main = metadata.get("main_module", metadata.get("body_part"))
    if not isinstance(main, str) or main not in modules:
        raise _unusable(f"its `main_module` is {main!r}, and its modules are {sorted(modules)}")
    if metadata.get("assets"):
        raise unsupported("static assets", NO_ASSETS)
    bindings: Any = metadata.get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(each, dict) for each in cast("list[Any]", bindings)):
        raise _unusable("its `bindings` are no list of objects")
    for each in cast("list[dict[str, Any]]", bindings):
        _check_binding(each)
    annotations = _field(metadata, "annotations", dict) or {}
    keep = _field(metadata, "keep_bindings", list)
    return Upload(
        main_module=main,
        modules=modules,
        bindings=cast("list[dict[str, Any]]", bindings),
        kept=frozenset(["secret_text"] if keep is None else map(str, keep)),
        compatibility_date=_field(metadata, "compatibility_date", str),
        compatibility_flags=tuple(str(each) for each in _field(metadata, "compatibility_flags", list) or ()),
        message=_field(annotations, "workers/message", str),
        tag=_field(annotations, "workers/tag", str),
    )


def _field(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise _unusable(f"its `{name}` is {value!r}")
    return value


def _check_binding(binding: dict[str, Any]) -> None:
    kind, name = binding.get("type"), binding.get("name")
    field = BINDINGS.get(str(kind), (None, None))[1] if kind in BINDINGS else VALUES.get(str(kind))
    if not isinstance(name, str) or not name:
        raise _unusable(f"a binding of type `{kind}` has no name")
    if kind == "inherit":
        return
    if field is None:
        known = ", ".join(f"`{each}`" for each in (*BINDINGS, *VALUES))
        raise unsupported(f"the binding `{name}` of type `{kind}`", f"These are answered: {known}.")
    if field and field not in binding:
        raise _unusable(f"the binding `{name}` of type `{kind}` has no `{field}`")


def _limited(request: Request) -> Any:
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BYTES:
            raise LimitError(
                f"The Worker is larger than {MAX_BYTES // 1024**2} MiB.",
                hint="Leave large files out of the bundle: an R2 bucket holds them.",
                code="worker_too_large",
                cf_code=10027,
                status=413,
            )
        return message

    return receive


def _unusable(reason: str) -> UsageError:
    return UsageError(
        f"This upload is no Worker: {reason}.",
        hint="Send what `wrangler deploy` sends: a form with `metadata` and the modules.",
        code="bad_upload",
        cf_code=10021,
        status=400,
    )


def unsupported(what: str, hint: str) -> UsageError:
    """Return the error for a part of Cloudflare's that Workers do not have here."""
    return UsageError(
        f"edgecli does not have {what}.", hint=hint, code="unsupported_binding", cf_code=10021, status=400
    )
