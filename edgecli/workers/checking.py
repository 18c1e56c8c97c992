"""Do configuration, code, indexes and models of a Worker fit together?"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from edgecli.config.diagnostics import Diagnostic
from edgecli.config.edit import snippet
from edgecli.errors import ConfigError, EdgeError, did_you_mean
from edgecli.workers.env_types import Member, members
from edgecli.workers.scan import MODEL_ID, Scan, Use, scan
from edgecli.workers.scan_javascript import package_of, syntax_errors
from edgecli.workers.spec import bindings_of, unanswered

if TYPE_CHECKING:
    from edgecli.config.project import Project

Level = Literal["error", "warning", "note", "ok"]

RUNTIME_MODULES = frozenset({"workers", "asgi", "js", "pyodide", "pyodide_js"})
"""What Cloudflare's Python runtime brings."""

_HANDLERS = {"Default", "on_fetch", "on_scheduled"}

# The method that the code calls -> the key of the binding that has it.
_KEY_BY_METHOD = {
    **dict.fromkeys(("run", "models", "toMarkdown", "gateway", "autorag"), "ai"),
    **dict.fromkeys(("query", "queryById", "insert", "upsert", "getByIds", "deleteByIds", "describe"), "vectorize"),
    **dict.fromkeys(("prepare", "batch", "exec"), "d1_databases"),
    **dict.fromkeys(("head", "createMultipartUpload"), "r2_buckets"),
    **dict.fromkeys(("get", "put", "list", "delete", "getWithMetadata"), "kv_namespaces"),
}


class Finding(NamedTuple):
    """One line of the report."""

    level: Level
    check: str
    """`configuration`, `code`, `imports`, `bindings`, `secrets`, `indexes`, `models`."""
    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """`src/worker.py:3`."""
        return f"{self.file}:{self.line}" if self.line else self.file or ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return self._asdict()


def failed(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Tell whether any finding is an error, or with `strict` a warning."""
    return any(each.level == "error" or (strict and each.level == "warning") for each in findings)


def of_configuration_error(error: ConfigError) -> list[Finding]:
    """Return what a wrong configuration says, one finding for each diagnostic."""
    found = [Diagnostic(**each) for each in error.details.get("diagnostics", [])]
    if not found:
        return [Finding("error", "configuration", error.message, error.hint)]
    return [_of_diagnostic(each) for each in found]


def _of_diagnostic(found: Diagnostic) -> Finding:
    return Finding(found.level, "configuration", found.message, found.hint, found.file, found.line)


def check(project: Project, call: Callable[..., Any]) -> list[Finding]:
    """Check a project whose configuration could be read; `call` asks the API, as `Client.call` does."""
    found = [_of_diagnostic(each) for each in project.diagnostics if "required secrets" not in each.message]
    shown = project.config_path.name if project.config_path else "defaults"
    found.append(Finding("ok", "configuration", shown + (f", environment `{project.env}`" if project.env else "")))
    source = Scan()
    if project.main is None:
        found.append(Finding("note", "code", "The configuration names no `main`: there is no Worker to check."))
    elif not (project.root / project.main).is_file():
        message = f"`main` is `{project.main}`, and there is no such file."
        found.append(Finding("error", "code", message, "Correct `main`, or write the file.", shown))
    else:
        source = scan((project.root / project.main).resolve(), project.root.resolve())
        found += _code(project, source)
        found += _imports(project, source)
        found += _bindings(project, source)
    found += _secrets(project)
    found += _indexes(project, call)
    found += _models(project, source, call)
    return found


def _relative(project: Project, path: Path) -> str:
    root = project.root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _at(project: Project, level: Level, check: str, message: str, hint: str | None, use: Use) -> Finding:
    return Finding(level, check, message, hint, _relative(project, use.file), use.line)


def _code(project: Project, source: Scan) -> Iterator[Finding]:
    if not (project.main or "").endswith(".py"):
        found = syntax_errors(source.modules, project.root.resolve())
        source.faults += found or []
        if found is None:
            yield Finding(
                "note",
                "code",
                "The syntax was not checked: `edgecli workers install` fetches `esbuild`, which reads it.",
            )
    for each in source.faults:
        yield _at(project, "error", "code", each.detail, None, each)
    if project.compatibility_date is None:
        hint = "Add a `compatibility_date`, the day on which the Worker was last tried out."
        yield Finding("warning", "code", "There is no `compatibility_date`; the cloud wants one.", hint)
    if source.names.isdisjoint(_HANDLERS) and (project.main or "").endswith(".py") and not source.faults:
        hint = "Write `class Default(WorkerEntrypoint)` with `async def fetch(self, request)`."
        yield Finding(
            "error", "code", "There is neither a class `Default` nor a function `on_fetch`.", hint, project.main
        )
    elif not source.faults:
        count = len(source.modules)
        yield Finding("ok", "code", f"{project.main}" + (f" and {count - 1} more of its modules" if count > 1 else ""))


def _imports(project: Project, source: Scan) -> Iterator[Finding]:
    is_python = (project.main or "").endswith(".py")
    missing = _missing_python if is_python else _missing_javascript
    unknown = list(missing(project, source))
    yield from unknown
    if not unknown:
        names = sorted({each.name for each in source.imports})
        yield Finding("ok", "imports", ", ".join(names) or "none")


def package_imports(project: Project, source: Scan) -> list[str]:
    """Return the packages that the code imports, by the names under which they are installed where that is known."""
    if not (project.main or "").endswith(".py"):
        return sorted({package for each in source.imports if (package := package_of(each.name))})
    from importlib.metadata import packages_distributions

    known = packages_distributions()
    needed = {each.name for each in source.imports if not each.optional}
    return sorted(known.get(name, [name])[0] for name in needed - RUNTIME_MODULES - sys.stdlib_module_names)


def _missing_python(project: Project, source: Scan) -> Iterator[Finding]:
    known = RUNTIME_MODULES | sys.stdlib_module_names
    for each in _first(each for each in source.imports if each.name not in known and not each.optional):
        if not _is_installed(each.name):
            hint = f"Install it where edgecli runs (`pip install {each.name}`), and name it in pyproject.toml."
            yield _at(project, "error", "imports", f"There is no module `{each.name}`.", hint, each)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _missing_javascript(project: Project, source: Scan) -> Iterator[Finding]:
    for each in _first(source.imports):
        package = package_of(each.name)
        folders = [each.file.parent, *each.file.parents]
        if package is None or any((folder / "node_modules" / package).is_dir() for folder in folders):
            continue
        if "nodejs_compat" in project.compatibility_flags and "/" not in package and _is_node_module(package):
            continue
        hint = f"Run `npm install`; if package.json does not name it yet, `npm install {package}`."
        yield _at(project, "error", "imports", f"`{each.name}` is not in node_modules.", hint, each)


def _is_node_module(name: str) -> bool:
    return name in {
        "assert",
        "async_hooks",
        "buffer",
        "crypto",
        "events",
        "fs",
        "http",
        "https",
        "net",
        "os",
        "path",
    } | {*("process", "querystring", "stream", "string_decoder", "timers", "tls", "url", "util", "zlib")}


def _first(uses: Iterable[Use]) -> list[Use]:
    """Return the first use of each name."""
    found: dict[str, Use] = {}
    for each in uses:
        found.setdefault(each.name, each)
    return list(found.values())


def _bindings(project: Project, source: Scan) -> Iterator[Finding]:
    there = {each.name: each for each in members(project)} | {name: Member(name, "secret") for name in project.secrets}
    used = {each.name for each in source.env}
    methods = {each.name: each.detail for each in source.env if each.detail in _KEY_BY_METHOD}
    missing = _first(each for each in source.env if each.name not in there and not each.optional)
    for each in missing:
        near = did_you_mean(each.name, there)
        lines = _lines_to_add(project, each.name, _KEY_BY_METHOD.get(methods.get(each.name, "")))
        hint = f"{near} Else add:\n{lines}" if near else f"Add:\n{lines}"
        yield _at(project, "error", "bindings", f"`env.{each.name}` is not configured.", hint, each)
    if source.faults:
        return
    unused = [each for each in there.values() if each.name not in used]
    for each in unused:
        yield Finding("note", "bindings", f"`{each.name}` is configured, and the code does not name it.")
    without = unanswered(project.raw, bindings_of(project))
    for each in _first(each for each in source.env if each.name in without):
        message = f"`env.{each.name}` ({without[each.name]}): edgecli does not answer this binding."
        yield _at(project, "warning", "bindings", message, None, each)
    if not missing:
        names = [name for name in there if name in used and name not in without]
        yield Finding("ok", "bindings", ", ".join(names) or "none")


def _lines_to_add(project: Project, name: str, key: str | None) -> str:
    path = project.config_path or Path("wrangler.toml")
    is_json = path.suffix in {".json", ".jsonc"}
    above = f"env.{project.env}." if project.env else ""
    if key is None and name == "AI":
        key = "ai"
    if key == "ai":
        return f'"ai": {{ "binding": "{name}" }}' if is_json else f'[{above}ai]\nbinding = "{name}"'
    if key is None:
        variable = f'"vars": {{ "{name}": "…" }}' if is_json else f'[{above}vars]\n{name} = "…"'
        return f"{variable}\n(or, if it is a secret: `edgecli secret put {name}`)"
    resource = {"vectorize": {"index_name": name.lower()}, "r2_buckets": {"bucket_name": name.lower()}}
    return snippet(path, key, {"binding": name} | resource.get(key, {}), project.env)


def _secrets(project: Project) -> Iterator[Finding]:
    required: list[str] = project.raw.get("secrets", {}).get("required") or []
    missing = [name for name in required if name not in project.secrets]
    for name in missing:
        hint = f"`edgecli secret put {name}` sets it on this machine; in CI, an environment variable `{name}`."
        yield Finding("error", "secrets", f"The required secret `{name}` is not set.", hint)
    if required and not missing:
        yield Finding("ok", "secrets", ", ".join(required))


def _indexes(project: Project, call: Callable[..., Any]) -> Iterator[Finding]:
    from edgecli.vectorize.calls import INDEXES

    if not project.vectorize:
        return
    known = {each["name"]: each["config"]["dimensions"] for each in call("GET", INDEXES)}
    for each in project.vectorize:
        if each.index_name in known:
            yield Finding("ok", "indexes", f"{each.index_name}, {known[each.index_name]} dimensions")
        else:
            hint = f"`edgecli vectorize create {each.index_name} --dimensions=… --metric=cosine` creates it."
            message = f"There is no index `{each.index_name}`, which `{each.binding}` stands for."
            yield Finding("error", "indexes", message, hint)


def models_of(project: Project, source: Scan) -> dict[str, Use | None]:
    """Return the models that variables and code name, and where the code does."""
    named: dict[str, Use | None] = {}
    for value in project.raw.get("vars", {}).values():
        if isinstance(value, str) and MODEL_ID.fullmatch(value):
            named[value] = None
    for each in source.models:
        named.setdefault(each.name, each)
    return named


def _models(project: Project, source: Scan, call: Callable[..., Any]) -> Iterator[Finding]:
    for model, use in models_of(project, source).items():
        place = (_relative(project, use.file), use.line) if use else (None, None)
        try:
            shown = call("GET", "/edge/models/show", params={"model": model})
        except EdgeError as error:
            yield Finding("error", "models", error.message, error.hint, *place)
            continue
        runs = f", {shown['stand_in']} stands in" if shown["stand_in"] else ""
        if shown["installed"]:
            yield Finding("ok", "models", model + runs)
        elif shown["problem"]:
            yield Finding("error", "models", f"`{model}`: {shown['problem']}", f"`edgecli models pull {model}`", *place)
        elif shown["open_weights"]:
            hint = f"`edgecli models pull {model}` brings it."
            yield Finding("error", "models", f"`{model}`{runs} is not on this machine.", hint, *place)
        else:
            hint = f'Let another model stand in: `use = "…"` in [edgecli.models."{model}"].'
            yield Finding("error", "models", f"`{model}` has no open weights to pull.", hint, *place)
