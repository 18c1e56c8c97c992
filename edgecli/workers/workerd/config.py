"""workerd's configuration for one Worker: its modules, what its `env` holds, where its `fetch()` goes.

Every service outside is the edge server, told apart by headers that workerd puts on each request and that a Worker
cannot set: `x-edgecli-token` and `x-edgecli-binding` for a binding; for `fetch("https://gateway.ai.cloudflare.com/…")`
`x-edgecli-gateway` with the same token, where Host and path are as the Worker wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from edgecli.workers.channel import BINDING_HEADER, GATEWAY_HEADER, TOKEN_HEADER
from edgecli.workers.journal import LINES_KEPT, LONGEST_LINE
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import Binding, WorkerSpec
from edgecli.workers.workerd.bundle import Bundle
from edgecli.workers.workerd.capnp import Embed, Word, to_text

PUBLIC_SOCKET, INNER_SOCKET = "public", "inner"
CONFIG_FILE, INNER_PATH, DESK_PATH = "config.capnp", "inner.sock", "desk.sock"

_EASILY_MISSED = "Worker Version Metadata"
"""What wrangler calls the one kind of bindings without which a Worker may start."""
_NO_FILES = "edgecli serves no static files: `[{}]` is left out, and all requests go to the Worker's code."
_BETWEEN = {"ai": "ai.mjs", "kv": "kv.mjs"}
"""Types of bindings whose calls go through a module of edgecli's own, and the module."""
_SUPPORTED = "AI, Vectorize, KV, R2, D1, Browser Run, vars and secrets"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a Worker's configuration depends on beside the Worker."""

    edge_address: str
    """`127.0.0.1:PORT` of the edge server."""
    token: str
    newest_date: str
    """The newest compatibility date that workerd knows."""
    mark: str
    """What edgecli's own lines on stdout begin with."""
    request_timeout: float
    """Seconds."""
    refused: str
    """Why the network is closed; empty where it is open."""
    traces: bool
    public: bool
    """Whether there is a public socket."""


def unsupported(spec: WorkerSpec) -> WorkerError | None:
    """Return the error for bindings that nothing answers here, None if there is none."""
    found = [f"`{name}` ({title})" for name, title in spec.unanswered.items() if title != _EASILY_MISSED]
    if not found:
        return None
    return WorkerError(
        f"The Worker `{spec.name}` has bindings that edgecli does not answer: {', '.join(found)}.",
        hint=f"{_SUPPORTED} work here. Take the others out, or give them to another environment: `[env.NAME]`.",
        code="unsupported_binding",
    )


def _needs_modules(spec: WorkerSpec) -> WorkerError | None:
    """Return the error for bindings that workerd, and Cloudflare, give to modules only."""
    names = [each.name for each in spec.bindings if each.type in ("ai", "vectorize", "d1")]
    if not names:
        return None
    return WorkerError(
        f"The Worker `{spec.name}` exports nothing, so it is a service worker, and those cannot have the bindings "
        f"{', '.join(names)}.",
        hint="Write it as a module: `export default { async fetch(request, env) { … } }`.",
        code="worker_start",
    )


def write_config(folder: Path, spec: WorkerSpec, bundle: Bundle, around: Surroundings) -> tuple[str, ...]:
    """Write workerd's configuration and edgecli's own modules into `folder`; return what the user should be warned of.

    Raises WorkerError, code `unsupported_binding`.
    """
    if problem := unsupported(spec):
        raise problem
    date, warnings = _date(spec, around.newest_date)
    warnings += [_NO_FILES.format(key) for key in ("assets", "site") if key in spec.raw]
    modules = [{"name": each.name, each.kind: Embed(str(each.path))} for each in bundle.modules]
    bindings = [
        *({"name": name, "text": value} for name, value in spec.secrets.items()),
        *(_variable(name, value) for name, value in spec.vars.items() if name not in spec.secrets),
        *(_bound(each) for each in spec.bindings),
    ]
    platform = {"name": "__edgecli_platform", "service": "edge"}
    flags = list(spec.compatibility_flags)
    if bundle.is_script:
        if problem := _needs_modules(spec):
            raise problem
        worker: dict[str, Any] = {"serviceWorkerScript": _script(folder, bundle), "bindings": [*bindings, platform]}
        entrypoint: Any = "worker"
        warnings.append(
            "The Worker is written in the service-worker form, without `export default`: it answers all paths but the "
            "platform's, without `scheduled`, and its logs are not told apart by request."
        )
    else:
        worker = {"modules": [*_entry(bundle, around), *modules], "bindings": [*bindings, platform]}
        if around.traces:
            worker["bindings"].append({"name": "__edgecli_desk", "service": "desk"})
        entrypoint = {"name": "worker", "entrypoint": "edgecliInner"}
        if not {"nodejs_als", "nodejs_compat", "nodejs_compat_v2"} & set(flags):
            flags.append("nodejs_als")
    worker |= {"compatibilityDate": date, "compatibilityFlags": flags, "globalOutbound": "outbound"}
    worker["cacheApiOutbound"] = "cache"
    config = {
        "services": [
            {"name": "worker", "worker": worker},
            {"name": "outbound", "worker": _outbound(around)},
            {"name": "network", "network": _NETWORK},
            {"name": "cache", "worker": _between("cache.mjs", around)},
            {"name": "edge", "external": _edge(around, {})},
            {"name": "gateway", "external": _edge(around, {GATEWAY_HEADER: around.token}, proto="x-forwarded-proto")},
            {"name": "desk", "external": {"address": f"unix:{folder / DESK_PATH}", "http": {"style": Word("host")}}},
            *(service for each in spec.bindings for service in _services(each, around)),
        ],
        "sockets": [
            {"name": INNER_SOCKET, "address": f"unix:{folder / INNER_PATH}", "http": {}, "service": entrypoint},
            *([{"name": PUBLIC_SOCKET, "http": {}, "service": "worker"}] if around.public else []),
        ],
        "logging": {"structuredLogging": True},
    }
    text = f'using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = {to_text(config)};\n'
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    return tuple(warnings)


_NETWORK = {"allow": ["public", "private", "local"], "tlsOptions": {"trustBrowserCas": True}}


def _date(spec: WorkerSpec, newest: str) -> tuple[str, list[str]]:
    """Return the compatibility date to run with, and a warning if it is not the Worker's own."""
    wanted = spec.compatibility_date
    if wanted is None:
        return newest, [f"The Worker has no `compatibility_date`; it runs with workerd's newest, {newest}."]
    if wanted > newest:
        return newest, [
            f"The Worker's compatibility_date, {wanted}, is newer than this workerd knows; it runs with {newest}."
        ]
    return wanted, []


def _variable(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": name, "text": value}
    return {"name": name, "json": json.dumps(value, ensure_ascii=False)}


def _bound(binding: Binding) -> dict[str, Any]:
    """Return what puts a binding into `env`: Cloudflare's own modules in workerd, over a service that answers HTTP."""
    edge = f"between:{binding.name}" if binding.type in _BETWEEN else f"edge:{binding.name}"
    inner: list[dict[str, Any]] = [{"name": "fetcher", "service": edge}]
    match binding.type:
        case "ai":
            bound: dict[str, Any] = {"wrapped": {"moduleName": "cloudflare-internal:ai-api", "innerBindings": inner}}
        case "vectorize":
            inner += [
                {"name": "indexId", "text": binding.resource},
                {"name": "indexVersion", "text": "v2"},
                {"name": "useNdJson", "json": "true"},
            ]
            bound = {"wrapped": {"moduleName": "cloudflare-internal:vectorize-api", "innerBindings": inner}}
        case "d1":
            bound = {"wrapped": {"moduleName": "cloudflare-internal:d1-api", "innerBindings": inner}}
        case "kv":
            bound = {"kvNamespace": edge}
        case "r2":
            bound = {"r2Bucket": edge}
        case "browser":
            bound = {"service": edge}
    return {"name": binding.name, **bound}


def _services(binding: Binding, around: Surroundings) -> Iterator[dict[str, Any]]:
    edge = f"edge:{binding.name}"
    yield {"name": edge, "external": _edge(around, {TOKEN_HEADER: around.token, BINDING_HEADER: binding.name})}
    if module := _BETWEEN.get(binding.type):
        yield {"name": f"between:{binding.name}", "worker": _between(module, around, {"name": "EDGE", "service": edge})}


def _edge(around: Surroundings, headers: dict[str, str], *, proto: str | None = None) -> dict[str, Any]:
    http: dict[str, Any] = {
        "style": Word("host"),
        "injectRequestHeaders": [{"name": name, "value": value} for name, value in headers.items()],
    }
    if proto:
        http["forwardedProtoHeader"] = proto
    return {"address": around.edge_address, "http": http}


def _outbound(around: Surroundings) -> dict[str, Any]:
    return _between(
        "outbound.mjs",
        around,
        {"name": "GATEWAY", "service": "gateway"},
        {"name": "NETWORK", "service": "network"},
        {"name": "REFUSED", "text": around.refused},
    )


def _between(module: str, around: Surroundings, *bindings: dict[str, Any]) -> dict[str, Any]:
    """Return a Worker of edgecli's own."""
    return {
        "modules": [{"name": f"edgecli-{module}", "esModule": _module(module)}],
        "compatibilityDate": around.newest_date,
        "bindings": list(bindings),
    }


def _module(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _entry(bundle: Bundle, around: Surroundings) -> list[dict[str, Any]]:
    """Return edgecli's own modules in the Worker; the first one is what workerd calls."""
    options = {
        "mark": around.mark,
        "timeout": around.request_timeout * 1000,
        "lines": LINES_KEPT,
        "longest": LONGEST_LINE,
    }
    source = _module("entry.mjs").replace('"edgecli:main"', json.dumps(f"./{bundle.main}", ensure_ascii=False))
    return [
        {"name": "edgecli-entry.mjs", "esModule": source},
        {"name": "edgecli-overlay.mjs", "esModule": _module("overlay.mjs")},
        {"name": "edgecli-options.json", "json": json.dumps(options)},
    ]


def _script(folder: Path, bundle: Bundle) -> Embed:
    """Write a service worker with edgecli's listener in its first line: no module can stand before a script."""
    target = folder / "script.js"
    banner = _module("script.js").replace("\n", " ")
    target.write_text(banner + bundle.modules[0].path.read_text(encoding="utf-8"), encoding="utf-8")
    return Embed(str(target))
