"""Types of a Worker's `env` from its configuration: for TypeScript as wrangler writes them, for Python as protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edgecli.workers.python_protocols import PROTOCOLS

if TYPE_CHECKING:
    from edgecli.config.project import Project

Language = Literal["python", "typescript"]

# By the key of the configuration: the type's name in TypeScript.
_TYPESCRIPT = {
    "ai": "Ai",
    "ai_search": "AiSearchInstance",
    "ai_search_namespaces": "AiSearchNamespace",
    "analytics_engine_datasets": "AnalyticsEngineDataset",
    "browser": "BrowserRun",
    "d1_databases": "D1Database",
    "dispatch_namespaces": "DispatchNamespace",
    "hyperdrive": "Hyperdrive",
    "images": "ImagesBinding",
    "kv_namespaces": "KVNamespace",
    "media": "MediaBinding",
    "mtls_certificates": "Fetcher",
    "r2_buckets": "R2Bucket",
    "ratelimits": "RateLimit",
    "secrets_store_secrets": "SecretsStoreSecret",
    "send_email": "SendEmail",
    "services": "Fetcher",
    "stream": "StreamBinding",
    "vectorize": "VectorizeIndex",
    "version_metadata": "WorkerVersionMetadata",
    "vpc_services": "Fetcher",
    "workflows": "Workflow",
}
_PYTHON = {
    "ai": "Ai",
    "d1_databases": "D1Database",
    "kv_namespaces": "KvNamespace",
    "r2_buckets": "R2Bucket",
    "vectorize": "VectorizeIndex",
}
_MODULES = {"Text": "string", "Data": "ArrayBuffer", "CompiledWasm": "WebAssembly.Module"}
_PROCESS_ENV = """\
type StringifyValues<EnvType extends Record<string, unknown>> = {{
	[Binding in keyof EnvType]: EnvType[Binding] extends string ? EnvType[Binding] : string;
}};
declare namespace NodeJS {{
	interface ProcessEnv extends StringifyValues<Pick<Cloudflare.Env, {}>> {{}}
}}
"""
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Member:
    """One name of `env`."""

    name: str
    kind: str
    """The key of the configuration that binds it; `var` or `secret`."""
    value: Any = None
    """Of a variable."""


def members(project: Project) -> list[Member]:
    """Return what the Worker's `env` holds: bindings, variables, secrets.

    Secrets are those that `[secrets] required` names; without such a list, those that are set on this machine.
    """
    from edgecli.config.bindings import BINDING_KINDS

    found: list[Member] = []
    for key, kind in BINDING_KINDS.items():
        value = project.raw.get(key)
        items = [] if value is None else [value] if kind.single else value
        found += [Member(item[kind.name_field], key) for item in items]
    found += [Member(name, "durable_objects") for name in _names(project, "durable_objects", "bindings", "name")]
    found += [Member(name, "queues") for name in _names(project, "queues", "producers", "binding")]
    variables: dict[str, Any] = project.raw.get("vars", {})
    secrets: list[str] = project.raw.get("secrets", {}).get("required") or sorted(project.secrets)
    found += [Member(name, "var", value) for name, value in variables.items() if name not in secrets]
    return found + [Member(name, "secret") for name in secrets]


def _names(project: Project, key: str, inner: str, field: str) -> list[str]:
    """Return the names in a table of lists, which the configuration's own check leaves to wrangler."""
    table = project.raw.get(key)
    items = table.get(inner) if isinstance(table, dict) else None
    names = [item.get(field) for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [name for name in names if isinstance(name, str)]


def default_path(project: Project, language: Language) -> Path:
    """Return where the types go: beside the configuration in TypeScript, beside the main module in Python."""
    if language == "typescript":
        return project.root / "worker-configuration.d.ts"
    return (project.root / (project.main or "worker.py")).parent / "env_types.py"


def render(project: Project, language: Language, *, interface: str, strict_vars: bool) -> str:
    """Return the file of types. With `strict_vars`, a variable's type is its value."""
    found = members(project)
    if language == "typescript":
        text = _typescript(found, interface, strict_vars=strict_vars)
        return text + _process_env(project, found) + "".join(dict.fromkeys(_modules(project)))
    return _python(found, interface, strict_vars=strict_vars)


def _typescript(found: list[Member], interface: str, *, strict_vars: bool) -> str:
    lines = [
        "/* eslint-disable */",
        "// Written by `edgecli types`; it writes this file anew. Types of the runtime: @cloudflare/workers-types.",
        "declare namespace Cloudflare {",
        "\tinterface Env {",
    ]
    for each in found:
        name = each.name if _IDENTIFIER.fullmatch(each.name) else json.dumps(each.name, ensure_ascii=False)
        lines.append(f"\t\t{name}: {_typescript_type(each, strict_vars)};")
    lines += ["\t}", "}", f"interface {interface} extends Cloudflare.Env {{}}", ""]
    return "\n".join(lines)


def _process_env(project: Project, found: list[Member]) -> str:
    """Return the type of `process.env`, where Node's API is there and has the Worker's variables."""
    flags = project.compatibility_flags
    filled = (project.compatibility_date or "") >= "2025-04-01" or "nodejs_compat_populate_process_env" in flags
    names = [json.dumps(each.name, ensure_ascii=False) for each in found if each.kind in ("var", "secret")]
    if "nodejs_compat" not in flags or not filled or "nodejs_compat_do_not_populate_process_env" in flags or not names:
        return ""
    return _PROCESS_ENV.format(" | ".join(names))


def _modules(project: Project) -> Iterator[str]:
    """Yield the types of what `rules` makes modules of."""
    for rule in cast("list[dict[str, Any]]", project.raw.get("rules", [])):
        kind = _MODULES.get(str(rule.get("type")))
        for glob in cast("list[str]", rule.get("globs", [])) if kind else ():
            name = f"*.{glob.rpartition('.')[2]}" if "*" in glob and "." in glob else glob
            yield f"declare module {json.dumps(name)} {{\n\tconst value: {kind};\n\texport default value;\n}}\n"


def _typescript_type(member: Member, strict_vars: bool) -> str:
    match member.kind:
        case "secret":
            return "string"
        case "var":
            if strict_vars:
                return json.dumps(member.value, ensure_ascii=False)
            return _loose(member.value, {bool: "boolean", str: "string", int: "number", float: "number"}, "any")
        case "durable_objects":
            return "DurableObjectNamespace"
        case "queues":
            return "Queue"
        case kind:
            return _TYPESCRIPT.get(kind, "unknown")


def _loose(value: Any, names: Mapping[type, str], other: str) -> str:
    return names.get(type(value), other)


def _python(found: list[Member], interface: str, *, strict_vars: bool) -> str:
    used = {_PYTHON[each.kind] for each in found if each.kind in _PYTHON}
    types = [(each, _python_type(each, strict_vars)) for each in found if each.name.isidentifier()]
    hints = " ".join(hint for _, hint in types)
    names = [*(["Any"] if used or "Any" in hints else []), *(["Literal"] if "Literal[" in hints else []), "Protocol"]
    lines = [
        '"""Types of the Worker\'s `env`. Written by `edgecli types`, which writes this file anew.',
        "",
        "    if TYPE_CHECKING:",
        f"        from env_types import {interface}",
        "",
        "    class Default(WorkerEntrypoint):",
        f'        env: "{interface}"',
        '"""',
        "",
        "from __future__ import annotations",
        "",
        f"from typing import {', '.join(names)}",
        "",
    ]
    # In the order in which they are written down: results come before what gives them.
    parts = [text for name, text in PROTOCOLS.items() if name in used or (name == "JsDict" and used)]
    body = [f"    {each.name}: {hint}" for each, hint in types] or ["    pass"]
    classes = [*parts, "\n".join([f"class {interface}(Protocol):", *body])]
    return "\n".join(lines) + "".join(f"\n\n{part.strip()}\n" for part in classes)


def _python_type(member: Member, strict_vars: bool) -> str:
    if member.kind == "secret":
        return "str"
    if member.kind != "var":
        return _PYTHON.get(member.kind, "Any")
    if strict_vars and isinstance(member.value, bool | str | int):
        return f"Literal[{member.value!r}]"
    return _loose(member.value, {bool: "bool", str: "str", int: "int", float: "float"}, "Any")


def differences(path: Path, text: str) -> Iterator[str]:
    """Yield the lines in which a file differs from what it should be, as `diff -u` shows them."""
    from difflib import unified_diff

    try:
        old = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        old = ""
    yield from unified_diff(
        old.splitlines(), text.splitlines(), path.name, f"{path.name} (as it should be)", lineterm=""
    )
