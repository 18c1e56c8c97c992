"""What is taken for a Worker, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from edgecli.errors import EdgeError, LimitError
from edgecli.workers.deployed import upload as uploads
from edgecli.workers.deployed.upload import Upload, read_upload
from tests.workers.deployed.forms import ESM, PYTHON, Parts, files, form


async def read(parts: Parts | httpx.Request) -> Upload:
    """Send the form as httpx does, and read it."""
    sent = parts if isinstance(parts, httpx.Request) else httpx.Request("PUT", "http://x", files=files(parts))
    body = sent.read()
    headers = [(name.lower(), value) for name, value in sent.headers.raw]
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    return await read_upload(Request({"type": "http", "method": "PUT", "headers": headers, "path": "/"}, receive))


def taken(parts: Parts) -> Upload:
    return asyncio.run(read(parts))


def refused(parts: Parts | httpx.Request) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        asyncio.run(read(parts))
    return caught.value


MAIN: dict[str, tuple[str, bytes | str]] = {"index.js": (ESM, "export default {}")}


def test_modules_keep_their_names_types_and_bytes() -> None:
    modules: dict[str, tuple[str, bytes | str]] = {
        "index.js": (ESM, "export default {}"),
        "./1f-text.md": ("text/plain", "文"),
        "./2f-data.bin": ("application/octet-stream", bytes(range(256))),
        "lib/a.py": (PYTHON, "a = 1"),
        "python_modules/p/__init__.py": (PYTHON, ""),
        "index.js.map": ("application/source-map", "{}"),
        "..data": ("text/plain", "two dots begin a name"),
    }
    upload = taken(form(modules))
    assert upload.main_module == "index.js"
    assert upload.modules["1f-text.md"] == ("text/plain", "文".encode())
    assert upload.modules["2f-data.bin"][1] == bytes(range(256))
    assert {name.removeprefix("./") for name in modules} == set(upload.modules)


@pytest.mark.parametrize(
    "name",
    ["../up.js", "/etc/x.js", "a/../../x.js", "a\\..\\x.js", "..", "a/..", "a//b", "a/./b", "a/", "./../x"],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    error = refused(form(MAIN | {name: (ESM, "x")}))
    assert (error.code, error.cf_code, error.status) == ("bad_upload", 10021, 400)


@pytest.mark.parametrize(
    "metadata",
    [
        {"main_module": ...},
        {"main_module": 1},
        {"main_module": "other.js"},
        {"bindings": {}},
        {"bindings": [1]},
        {"bindings": [{"type": "plain_text", "text": "no name"}]},
        {"bindings": [{"type": "plain_text", "name": "A"}]},
        {"bindings": [{"type": "d1", "name": "A"}]},
        {"annotations": []},
        {"annotations": {"workers/message": 1}},
        {"compatibility_date": 2026},
        {"compatibility_flags": "nodejs_compat"},
        {"keep_bindings": "all"},
    ],
)
def test_metadata_that_makes_no_sense_is_refused(metadata: dict[str, Any]) -> None:
    error = refused(form(MAIN, **metadata))
    assert (error.code, error.status) == ("bad_upload", 400)


def test_a_form_without_metadata_and_what_is_no_form_are_refused() -> None:
    for metadata in ("{", "[]", "null"):
        assert refused({"metadata": ("", metadata, "")}).code == "bad_upload"
    assert refused(httpx.Request("PUT", "http://x", json={})).code == "bad_upload"
    assert refused(httpx.Request("PUT", "http://x", files={"index.js": b"x"})).code == "bad_upload"


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ({"type": "durable_object_namespace", "name": "ROOM", "class_name": "Room"}, "`ROOM`"),
        ({"type": "queue", "name": "JOBS", "queue_name": "jobs"}, "`queue`"),
        ({"type": "service", "name": "OTHER", "service": "other"}, "`service`"),
        ({"type": "assets", "name": "ASSETS"}, "`assets`"),
        ({"type": "hyperdrive", "name": "H", "id": "1"}, "`hyperdrive`"),
        ({"type": "wasm_module", "name": "W", "part": "w"}, "`wasm_module`"),
    ],
)
def test_bindings_that_nothing_answers_are_named(binding: dict[str, Any], says: str) -> None:
    error = refused(form(MAIN, bindings=[binding]))
    assert error.code == "unsupported_binding"
    assert says in error.message and binding["name"] in error.message
    assert "`kv_namespace`" in (error.hint or "")


def test_static_assets_are_refused() -> None:
    assert "static assets" in refused(form(MAIN, assets={"jwt": "x"})).message


def test_an_upload_may_not_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1 << 20)
    error = refused(form(MAIN | {"large.bin": ("application/octet-stream", b"x" * (1 << 20))}))
    assert (type(error), error.status, error.cf_code) == (LimitError, 413, 10027)


def test_too_many_modules_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_MODULES", 3)
    error = refused(form(MAIN | {f"{number}.js": (ESM, "") for number in range(4)}))
    assert (error.code, error.status) == ("bad_upload", 400)
