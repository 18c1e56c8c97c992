"""A Worker's modules as workerd takes them: what esbuild made of the user's sources, or an upload's as they are."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecli.workers.process import Place, WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.workerd.sourcemap import SourceMap

ModuleKind = Literal["esModule", "commonJsModule", "text", "data", "wasm", "json"]

_KINDS: dict[str, ModuleKind] = {
    ".js": "esModule",
    ".mjs": "esModule",
    ".cjs": "commonJsModule",
    ".txt": "text",
    ".html": "text",
    ".sql": "text",
    ".bin": "data",
    ".wasm": "wasm",
    ".json": "json",
}
_TYPES: dict[str, ModuleKind] = {
    "application/javascript+module": "esModule",
    "application/javascript": "commonJsModule",
    "text/plain": "text",
    "application/octet-stream": "data",
    "application/wasm": "wasm",
    "application/json": "json",
}
"""The content type of a module that wrangler uploads -> what it is; others, source maps for one, are no modules."""
_LOADERS = {".js": "jsx", ".mjs": "jsx", ".cjs": "jsx", ".txt": "text", ".html": "text", ".sql": "text"}
_COPIED = (".wasm", ".bin")
_RULES = {"Text": "text", "Data": "copy", "CompiledWasm": "copy"}
_NODE_MODULES = (  # noqa: SIM905 - a list of them would take a page
    "assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain "
    "events fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl "
    "stream string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib"
).split()
_ERROR_PLACE = re.compile(r"^ {4}(?P<file>\S.*?):(?P<line>\d+):(?P<column>\d+):$", re.MULTILINE)
_ERROR = re.compile(r"^✘ \[ERROR\] (?P<message>.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Module:
    """One module; `path` is its file."""

    name: str
    kind: ModuleKind
    path: Path


@dataclass(frozen=True, slots=True)
class Bundle:
    """What runs."""

    main: str
    modules: tuple[Module, ...]
    maps: dict[str, SourceMap] = field(default_factory=dict[str, SourceMap])
    """By module name."""
    is_script: bool = False
    """The main module exports nothing: a service worker, which calls `addEventListener("fetch", …)`."""
    warnings: tuple[str, ...] = ()


async def make_bundle(spec: WorkerSpec, esbuild: Path | None, folder: Path, *, development: bool) -> Bundle:
    """Return the Worker's modules; what esbuild writes lies in `folder` then.

    `esbuild` may be None for an upload only. Raises WorkerError, code `worker_start`, with the place at fault.
    """
    if not spec.main.is_file():
        raise WorkerError(
            f"The Worker's main module `{spec.main}` is not there.",
            hint="`main` in the configuration names it, relative to that file.",
            code="worker_start",
        )
    if spec.bundled:
        return _of_upload(spec)
    assert esbuild is not None
    process = await asyncio.create_subprocess_exec(
        str(esbuild),
        *_arguments(spec, folder, development),
        cwd=spec.root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    text = said.decode("utf-8", "replace").strip()
    if process.returncode:
        raise _as_error(text, spec)
    return _of_output(spec, folder, text)


def _arguments(spec: WorkerSpec, folder: Path, development: bool) -> list[str]:
    """Return esbuild's options: those that wrangler gives it, as far as its command line knows them."""
    raw = spec.raw
    loaders = _LOADERS | dict.fromkeys(_COPIED, "copy")
    for rule in raw.get("rules", ()):
        for glob in rule.get("globs", ()):
            if (suffix := re.fullmatch(r"(?:\*\*/)?\*(\.\w+)", glob)) and rule.get("type") in _RULES:
                loaders[suffix[1]] = _RULES[rule["type"]]
    define = {"process.env.NODE_ENV": '"development"' if development else '"production"'}
    define |= {"navigator.userAgent": '"Cloudflare-Workers"'}
    define |= {name: str(value) for name, value in raw.get("define", {}).items()}
    alias: dict[str, str] = dict(raw.get("alias", {}))
    if any(flag.startswith("nodejs_compat") for flag in spec.compatibility_flags):
        alias = {name: f"node:{name}" for name in _NODE_MODULES} | alias
    named = {name: raw.get(name.replace("-", "_")) for name in ("tsconfig", "jsx-factory", "jsx-fragment")}
    return [
        str(spec.main),
        "--bundle",
        "--format=esm",
        "--target=es2024",
        "--conditions=workerd,worker,browser",
        "--charset=utf8",
        "--sourcemap=external",
        "--sources-content=false",
        "--external:node:*",
        "--external:cloudflare:*",
        "--log-level=warning",
        "--log-limit=20",
        "--color=false",
        "--asset-names=[name]-[hash]",
        f"--outfile={folder / 'worker.js'}",
        f"--metafile={folder / 'meta.json'}",
        *(f"--loader:{suffix}={loader}" for suffix, loader in loaders.items()),
        *(f"--define:{name}={value}" for name, value in define.items()),
        *(f"--alias:{name}={target}" for name, target in alias.items()),
        *(f"--{name}={value}" for name, value in named.items() if value),
    ]


def _of_output(spec: WorkerSpec, folder: Path, warnings: str) -> Bundle:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    output: dict[str, Any] = next(each for each in meta["outputs"].values() if each.get("entryPoint"))
    modules = [Module("worker.js", "esModule", folder / "worker.js")]
    if any(each.get("external") and each["kind"] == "require-call" for each in output["imports"]):
        _give_require(folder / "worker.js")
    for imported in output["imports"]:
        if imported.get("external"):
            continue
        name = Path(imported["path"]).name
        file = folder / name.partition("?")[0]
        kind = _KINDS.get(file.suffix, "data")
        if all(each.name != name for each in modules):
            modules.append(Module(name, kind, file))
    is_script = not output["exports"]
    # In a script's traces stands the name of its service.
    name = "worker" if is_script else "worker.js"
    return Bundle(
        "worker.js",
        tuple(modules),
        {name: SourceMap(folder / "worker.js.map", spec.root.resolve())},
        is_script=is_script,
        warnings=(warnings,) if warnings else (),
    )


def _give_require(bundle: Path) -> None:
    """Let CommonJS packages `require` Node's modules; the first line stays the first, for the source map."""
    banner = (
        'import { createRequire as __edgecli_require } from "node:module"; const require = __edgecli_require("/"); '
    )
    bundle.write_text(banner + bundle.read_text(encoding="utf-8"), encoding="utf-8")


def _of_upload(spec: WorkerSpec) -> Bundle:
    """Take the modules that wrangler made as they are; the main module comes first, as workerd wants it."""
    main = spec.main.relative_to(spec.root).as_posix()
    modules = [
        Module(name, _TYPES[kind], spec.root / name)
        for name, kind in sorted(spec.modules.items(), key=lambda item: item[0] != main)
        if kind in _TYPES
    ]
    maps = {
        module.name: SourceMap(map_file, spec.root.resolve())
        for module in modules
        if (map_file := module.path.with_name(module.path.name + ".map")).is_file()
    }
    return Bundle(main, tuple(modules), maps, is_script=modules[0].kind == "commonJsModule")


def _as_error(said: str, spec: WorkerSpec) -> WorkerError:
    """Make an error of what esbuild says; its columns count from 0."""
    message = found["message"] if (found := _ERROR.search(said)) else said[-500:] or "esbuild ended without a word"
    place = None
    if found := _ERROR_PLACE.search(said):
        file = (spec.root / found["file"]).resolve()
        shown = file.relative_to(spec.root.resolve()) if file.is_relative_to(spec.root.resolve()) else file
        place = Place(str(shown), int(found["line"]), int(found["column"]) + 1)
    hint = None
    if "built into node" in said:
        hint = 'Set `compatibility_flags = ["nodejs_compat"]` and a `compatibility_date` of 2024-09-23 or later.'
    elif message.startswith(('Could not resolve "./', 'Could not resolve "../')):
        hint = "Check the path; it starts from this file's folder."
    elif message.startswith("Could not resolve"):
        hint = "Is the package installed? `npm install` in the project's folder, or check the path."
    where = f"{place.file}:{place.line}:{place.column}: " if place else ""
    return WorkerError(f"{where}{message}", hint=hint, code="worker_start", place=place, trace=said)
