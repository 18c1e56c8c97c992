"""The part of Cloudflare's API that `wrangler deploy`, `secret`, `delete` and `deployments` call.

As wrangler 4.86 and 4.164 were seen to call it. Routes that change something want the server's token: what is uploaded
here runs on this machine (`server/access.py`).
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok, read_form, read_json
from edgecli.errors import NotFoundError, StateError, UsageError
from edgecli.workers.account import EMAIL
from edgecli.workers.cron import Cron
from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.deployed.store import Deployment
from edgecli.workers.deployed.upload import NO_ASSETS, read_upload, unsupported
from edgecli.workers.process import WorkerError

_FRAME = re.compile(r"^\s+at (\S+:\d+):\d+", re.MULTILINE)
_WORKERS = "/client/v4/accounts/{account_id}/workers"
_SCRIPT = _WORKERS + "/scripts/{name}"
MAX_SETTINGS = 1024 * 1024
"""Bytes of a form with secrets."""
SUBDOMAIN = "edgecli"
"""Stands where an account's own name stands in the cloud; the Worker's address here is another one."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    table: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
        f"{_WORKERS}/services/{{name}}": {"GET": _service, "DELETE": _delete},
        f"{_WORKERS}/workers/{{name}}": {"GET": _worker},
        f"{_WORKERS}/subdomain": {"GET": _account_subdomain},
        f"{_WORKERS}/scripts": {"GET": _scripts},
        _SCRIPT: {"PUT": _deploy, "DELETE": _delete},
        f"{_SCRIPT}/versions": {"GET": _versions, "POST": _upload_version},
        f"{_SCRIPT}/versions/{{version}}": {"GET": _version},
        f"{_SCRIPT}/content/v2": {"GET": _content},
        f"{_SCRIPT}/deployments": {"GET": _deployments, "POST": _deploy_version},
        f"{_SCRIPT}/settings": {"GET": _settings, "PATCH": _patch_settings},
        f"{_SCRIPT}/references": {"GET": _references},
        f"{_WORKERS}/tails/by-consumer/{{name}}": {"GET": _tail_producers},
        f"{_SCRIPT}/tails": {"POST": _tail},
        f"{_SCRIPT}/assets-upload-session": {"POST": _assets},
        "/client/v4/accounts/{account_id}/queues": {"GET": _queues},
        f"{_SCRIPT}/script-settings": {"GET": _script_settings, "PATCH": _script_settings},
        f"{_SCRIPT}/subdomain": {"GET": _subdomain, "POST": _subdomain},
        f"{_SCRIPT}/schedules": {"GET": _schedules, "PUT": _set_schedules},
        f"{_SCRIPT}/secrets": {"GET": _secrets, "PUT": _put_secret, "PATCH": _patch_secrets},
        f"{_SCRIPT}/secrets/{{secret}}": {"DELETE": _delete_secret},
    }
    return [
        Route(path, endpoint, methods=[method])
        for path, methods in table.items()
        for method, endpoint in methods.items()
    ]


def _workers(request: Request) -> DeployedWorkers:
    deployed = request.app.state.runtime.workers.deployed
    if deployed is None:
        raise StateError("Workers run on a server only.", hint="Start `edgecli serve`.", code="no_server")
    return deployed


async def _held(request: Request) -> Deployment:
    return await _workers(request).get(request.path_params["name"])


async def _service(request: Request) -> Response:
    name = request.path_params["name"]
    held = await _workers(request).find(name)
    if held is None:
        raise NotFoundError(
            f"No Worker `{name}` is deployed here.", code="no_such_worker", cf_code=10090
        )  # the code by which wrangler knows that it is new
    script = _script(held) | {"last_deployed_from": "wrangler"}
    environment = {"environment": "production", "created_on": held.created_on, "modified_on": held.modified_on}
    return ok(
        {
            "id": held.name,
            "created_on": held.created_on,
            "modified_on": held.modified_on,
            "default_environment": environment | {"script": script},
            "environments": [environment],
        }
    )


async def _worker(request: Request) -> Response:
    held = await _held(request)
    return ok({"id": held.name, "name": held.name, "subdomain": {"enabled": True, "previews_enabled": False}})


async def _account_subdomain(request: Request) -> Response:
    del request
    return ok({"subdomain": SUBDOMAIN})


async def _scripts(request: Request) -> Response:
    return ok([_script(each) for each in await _workers(request).list()])


def _script(held: Deployment) -> dict[str, Any]:
    return {
        "id": held.name,
        "tag": held.version,
        "etag": held.version,
        "handlers": ["fetch"],
        "created_on": held.created_on,
        "modified_on": held.modified_on,
        "compatibility_date": held.compatibility_date,
        "compatibility_flags": held.compatibility_flags,
        "deployment_id": held.version,
    }


async def _deploy(request: Request) -> Response:
    name = request.path_params["name"]
    upload = await read_upload(request)
    # Only versions that are uploaded apart can leave secrets behind.
    draft = await _workers(request).draft(name, replace(upload, kept=upload.kept | {"secret_text"}))
    began = time.perf_counter()
    held = await _published(request, name, draft.version)
    return ok(_script(held) | {"startup_time_ms": round((time.perf_counter() - began) * 1000)})


async def _published(request: Request, name: str, version: str) -> Deployment:
    try:
        return await _workers(request).publish(name, version)
    except WorkerError as error:
        # What the cloud answers to a Worker that does not start; wrangler prints it.
        # Without a source map, which wrangler 4.86 does not send, a line of the bundle is what can be told.
        bundled = _FRAME.search(error.trace)
        place = f"{error.place.file}:{error.place.line}" if error.place else bundled and bundled[1]
        where = f" ({place})" if place and place not in error.message else ""
        raise UsageError(
            f"{error.message}{where}", hint=error.hint, code=error.code, cf_code=10021, status=400
        ) from error


async def _upload_version(request: Request) -> Response:
    draft = await _workers(request).draft(request.path_params["name"], await read_upload(request))
    return ok(_version_of(draft) | {"startup_time_ms": 0})


async def _versions(request: Request) -> Response:
    versions = await _workers(request).versions(request.path_params["name"])
    return ok({"items": [_version_of(each) for each in versions]})


async def _version(request: Request) -> Response:
    return ok(_version_of(await _find_version(request, request.path_params["version"])))


async def _find_version(request: Request, wanted: str) -> Deployment:
    for each in await _workers(request).versions(request.path_params["name"]):
        if each.version == wanted:
            return each
    raise NotFoundError(f"There is no version `{wanted}`.", code="no_such_version", cf_code=10007)


async def _content(request: Request) -> Response:
    """The modules of a version, or of the one that holds: `wrangler versions secret put` makes the next one of them."""
    asked = request.query_params.get("version")
    version = await _find_version(request, asked) if asked else await _held(request)
    boundary = secrets.token_hex(16)
    body: list[bytes] = []
    for name, content in (await _workers(request).modules(version)).items():
        # https://html.spec.whatwg.org/#multipart-form-data
        quoted = name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
        head = f'Content-Disposition: form-data; name="{quoted}"; filename="{quoted}"'
        body += [f"--{boundary}\r\n{head}\r\nContent-Type: {version.modules[name]}\r\n\r\n".encode(), content, b"\r\n"]
    body.append(f"--{boundary}--\r\n".encode())
    headers = {"cf-entrypoint": quote(version.main_module, safe="/ ")}
    return Response(b"".join(body), media_type=f"multipart/form-data; boundary={boundary}", headers=headers)


def _version_of(held: Deployment) -> dict[str, Any]:
    return {
        "id": held.version,
        "number": held.number,
        "metadata": {
            "created_on": held.modified_on,
            "modified_on": held.modified_on,
            "source": "wrangler",
            "author_email": EMAIL,
        },
        "annotations": _annotations(held),
        "resources": {
            "bindings": held.bindings + _secret_bindings(held),
            "script": {"etag": held.version, "handlers": ["fetch"]},
            "script_runtime": {
                "compatibility_date": held.compatibility_date,
                "compatibility_flags": held.compatibility_flags,
            },
        },
    }


def _annotations(held: Deployment) -> dict[str, str]:
    given = {"workers/message": held.message, "workers/tag": held.tag}
    return {name: text for name, text in given.items() if text}


async def _deployments(request: Request) -> Response:
    held = await _held(request)
    return ok(
        {
            "deployments": [
                {
                    "id": held.version,
                    "source": "wrangler",
                    "strategy": "percentage",
                    "author_email": EMAIL,
                    "created_on": held.modified_on,
                    "annotations": _annotations(held),
                    "versions": [{"version_id": held.version, "percentage": 100}],
                }
            ]
        }
    )


async def _deploy_version(request: Request) -> Response:
    body = await _object(request)
    versions: Any = body.get("versions")
    several = cast("list[Any]", versions) if isinstance(versions, list) else []
    if len(several) != 1 or not isinstance(several[0], dict):
        raise UsageError(
            "One version takes all requests here; they cannot be split between several.",
            hint="Deploy one version with 100 percent.",
            code="one_version",
            status=400,
        )
    held = await _published(
        request, request.path_params["name"], str(cast("dict[str, Any]", several[0]).get("version_id"))
    )
    return ok({"id": held.version})


async def _settings(request: Request) -> Response:
    held = await _held(request)
    return ok(
        {
            "bindings": held.bindings + _secret_bindings(held),
            "compatibility_date": held.compatibility_date,
            "compatibility_flags": held.compatibility_flags,
            "usage_model": "standard",
            "tags": [],
            "logpush": False,
        }
    )


async def _patch_settings(request: Request) -> Response:
    """`wrangler secret bulk`: a form whose `settings` name all bindings; those that are secrets with a text are new."""
    try:
        settings: Any = orjson.loads((await read_form(request, limit=MAX_SETTINGS))["settings"])
        given = {each["name"]: each["text"] for each in settings["bindings"] if "text" in each}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError("The form has no part `settings` with `bindings`.", code="bad_settings", status=400) from error
    _check_secrets(given)
    await _change_secrets(request, given)
    return await _settings(request)


async def _references(request: Request) -> Response:
    """Who would miss the Worker if it were deleted: nobody, as there are no service bindings here."""
    await _held(request)
    return ok({"services": {"incoming": [], "outgoing": [], "pages_function": False}, "durable_objects": []})


async def _tail_producers(request: Request) -> Response:
    await _held(request)
    return ok([])


async def _tail(request: Request) -> Response:
    name, root = (await _held(request)).name, request.app.state.runtime.project.root
    raise UsageError(
        f"`wrangler tail` does not reach this server. Run `edgecli tail {name} --cwd {shlex.quote(str(root))}`.",
        code="unsupported_tail",
        status=501,
    )


async def _assets(request: Request) -> Response:
    del request
    raise unsupported("static assets", NO_ASSETS)


async def _queues(request: Request) -> Response:
    del request
    raise unsupported("queues", "Take them out of the configuration, or give them to another environment.")


async def _script_settings(request: Request) -> Response:
    await _held(request)
    return ok({"logpush": False, "tags": [], "tail_consumers": []})


async def _subdomain(request: Request) -> Response:
    await _held(request)
    return ok({"enabled": True, "previews_enabled": False})


async def _schedules(request: Request) -> Response:
    return ok({"schedules": [{"cron": cron} for cron in (await _held(request)).crons]})


async def _set_schedules(request: Request) -> Response:
    body: Any = await read_json(request)
    try:
        crons = [str(each["cron"]) for each in (body if isinstance(body, list) else [body])]
    except (KeyError, TypeError) as error:
        raise UsageError("The body is no list of crons.", code="bad_schedules", status=400) from error
    for cron in crons:
        try:
            Cron.parse(cron)
        except ValueError as error:
            raise UsageError(
                f"The cron `{cron}` cannot be run here: {error}.",
                hint="It takes five fields, without `L`, `W` and `#`.",
                code="bad_cron",
                status=400,
            ) from error
    await _workers(request).set_crons(request.path_params["name"], crons)
    return ok({"schedules": [{"cron": cron} for cron in crons]})


def _secret_bindings(held: Deployment) -> list[dict[str, Any]]:
    return [{"name": name, "type": "secret_text"} for name in sorted(held.secrets)]


async def _secrets(request: Request) -> Response:
    return ok(_secret_bindings(await _held(request)))


async def _put_secret(request: Request) -> Response:
    body = await _object(request)
    name, text = body.get("name"), body.get("text")
    _check_secrets({name: text})
    await _change_secrets(request, {str(name): text})
    return ok({"name": name, "type": "secret_text"})


def _check_secrets(given: dict[Any, Any]) -> None:
    if not all(isinstance(name, str) and name and isinstance(text, str) for name, text in given.items()):
        raise UsageError("A secret has a `name` and a `text`, both strings.", code="bad_secret", status=400)


async def _patch_secrets(request: Request) -> Response:
    """`wrangler secret bulk` of newer versions: an object of names, each with a secret, or null to delete it."""
    given: Any = (await _object(request)).get("secrets", {})
    try:
        changes = {name: each and each["text"] for name, each in given.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError("`secrets` is no object of secrets.", code="bad_secret", status=400) from error
    _check_secrets({name: text for name, text in changes.items() if text is not None})
    return ok(_secret_bindings(await _change_secrets(request, changes)))


async def _delete_secret(request: Request) -> Response:
    name = request.path_params["secret"]
    if name not in (await _held(request)).secrets:
        raise NotFoundError(f"The Worker has no secret `{name}`.", code="no_such_secret", cf_code=10056)
    await _change_secrets(request, {name: None})
    return ok(None)


async def _change_secrets(request: Request, changes: dict[str, str | None]) -> Deployment:
    return await _workers(request).change_secrets(request.path_params["name"], changes)


async def _delete(request: Request) -> Response:
    await _workers(request).delete(request.path_params["name"])
    return ok(None)


async def _object(request: Request) -> dict[str, Any]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise UsageError("The body is no JSON object.", code="invalid_json", status=400)
    return cast("dict[str, Any]", body)
