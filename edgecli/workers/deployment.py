"""What Cloudflare would get of a project, and what would be different there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.config.source import read_source
from edgecli.errors import ConfigError, NotFoundError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import ModelSpec, Task
from edgecli.workers.checking import Finding, models_of, package_imports
from edgecli.workers.scan import Scan, scan

if TYPE_CHECKING:
    from edgecli.config.project import Project

MOST_DIMENSIONS = 1536
INPUT_TOKENS, OUTPUT_TOKENS = 500, 200
"""Of the request whose price is shown."""
USD_PER_NEURON = 0.011 / 1000

# Modules of the standard library that Pyodide leaves out, or that cannot work there.
_NOT_IN_PYODIDE = frozenset(
    {
        "curses",
        "dbm",
        "ensurepip",
        "fcntl",
        "grp",
        "idlelib",
        "lib2to3",
        "msvcrt",
        "multiprocessing",
        "nis",
        "pwd",
        "readline",
        "resource",
        "socketserver",
        "subprocess",
        "syslog",
        "termios",
        "tkinter",
        "turtle",
        "venv",
        "winreg",
        "winsound",
    }
)


@dataclass(slots=True)
class Deployment:
    """What `wrangler deploy` would send, and what to know before."""

    name: str | None
    main: str
    compatibility_date: str | None
    compatibility_flags: list[str]
    modules: list[dict[str, Any]]
    """`{"name", "bytes"}`; of JavaScript, before it is bundled."""
    bindings: list[dict[str, Any]]
    """As they are named on the wire: `{"type": "ai", "name": "AI"}`."""
    vars: dict[str, Any]
    secrets: list[str]
    """Names: their values do not go with the upload."""
    crons: list[str]
    packages: list[str]
    differences: list[Finding] = field(default_factory=list[Finding])
    prices: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Of 1,000 requests to each model."""

    def to_dict(self) -> dict[str, Any]:
        """Return the whole as `--json` prints it."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"differences": [each.to_dict() for each in self.differences]}


def plan(project: Project, call: Callable[..., Any]) -> Deployment:
    """Return what the cloud would get; `call` asks the API for indexes. Raises ConfigError where there is no Worker."""
    if project.main is None or not (project.root / project.main).is_file():
        raise ConfigError(
            "There is no Worker to deploy: "
            + (f"no file `{project.main}`." if project.main else "no `main` is named."),
            hint='Name its main module in the configuration: main = "src/worker.py".',
            code="no_main",
        )
    main = (project.root / project.main).resolve()
    source = scan(main, project.root.resolve())
    packages = package_imports(project, source)
    planned = Deployment(
        name=project.name,
        main=project.main,
        compatibility_date=project.compatibility_date,
        compatibility_flags=list(project.compatibility_flags),
        modules=_modules(project, main, source),
        bindings=list(_bindings(project)),
        vars=dict(project.raw.get("vars", {})),
        secrets=sorted({*project.secrets, *project.raw.get("secrets", {}).get("required", [])}),
        crons=list(project.raw.get("triggers", {}).get("crons", [])),
        packages=packages,
    )
    models = _models(project, source)
    planned.differences = [
        *_about_configuration(project),
        *_about_models(project, models),
        *_about_indexes(project, source, models, call),
        *_about_bindings(project),
        *_about_packages(main, source, packages),
        *_about_secrets(planned),
    ]
    planned.prices = [price for spec, _ in models.values() if spec for price in _price(spec)]
    return planned


def _modules(project: Project, main: Path, source: Scan) -> list[dict[str, Any]]:
    """Of Python, every module below the main one's folder goes, as wrangler's rule for it is `**/*.py`."""
    paths = source.modules
    if main.suffix == ".py":
        paths = [main, *sorted(path for path in main.parent.rglob("*.py") if path != main and _goes(path, main.parent))]
    root = project.root.resolve()
    return [
        {
            "name": path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path),
            "bytes": path.stat().st_size,
        }
        for path in paths
    ]


def _goes(path: Path, base: Path) -> bool:
    left_out = {"__pycache__", "node_modules", "python_modules"}
    return not any(part in left_out or part.startswith(".") for part in path.relative_to(base).parts)


def _bindings(project: Project) -> Iterator[dict[str, Any]]:
    if project.ai:
        yield {"type": "ai", "name": project.ai.binding}
    for index in project.vectorize:
        yield {"type": "vectorize", "name": index.binding, "index_name": index.index_name}
    for namespace in project.kv_namespaces:
        yield {"type": "kv_namespace", "name": namespace.binding, "namespace_id": namespace.id}
    for bucket in project.r2_buckets:
        yield {"type": "r2_bucket", "name": bucket.binding, "bucket_name": bucket.bucket_name}
    for database in project.d1_databases:
        yield {"type": "d1", "name": database.binding, "id": database.database_id}
    if project.browser:
        yield {"type": "browser", "name": project.browser.binding}


_Models = dict[str, tuple[ModelSpec | None, ModelSpec | None]]
"""By id: the model itself as the catalog knows it, and what runs here."""


def _models(project: Project, source: Scan) -> _Models:
    origin = project.config_path.name if project.config_path else "project"
    catalog = Catalog.load(project.settings.models, origin=origin, folder=project.root)
    shipped = Catalog.load()

    def known(which: Catalog, model: str) -> ModelSpec | None:
        try:
            return which.resolve(model)
        except NotFoundError:
            return None

    return {model: (known(shipped, model), known(catalog, model)) for model in models_of(project, source)}


def _about_configuration(project: Project) -> Iterator[Finding]:
    if project.name is None:
        yield Finding("error", "configuration", "The Worker has no `name`.", 'Add name = "my-worker".')
    if project.compatibility_date is None:
        hint = "Add the day on which the Worker was last tried out."
        yield Finding("error", "configuration", "The cloud refuses a Worker without `compatibility_date`.", hint)
    path = project.config_path
    if path and "edgecli" in read_source(path, cwd=project.root).data:
        yield Finding("note", "configuration", "[edgecli] means nothing there: wrangler warns and goes on.")


def _about_models(project: Project, models: _Models) -> Iterator[Finding]:
    for model, (own, here) in models.items():
        if not model.startswith(("@cf/", "@hf/")):
            hint = "Name a model of Workers AI there: `edgecli models list` shows them."
            yield Finding("error", "models", f"Workers AI has no `{model}`: it is a name of edgecli's.", hint)
        elif own is None:
            yield Finding("warning", "models", f"edgecli does not know `{model}`; Workers AI may.")
        if here and here.requested_id and here.requested_id != here.id:
            what = f"`{model}` itself runs there; here `{here.id}` stands in for it."
            if here.task is Task.TEXT_EMBEDDINGS:
                what += " Their vectors do not mix: fill the index there anew."
            yield Finding("warning", "models", what)


def _about_indexes(project: Project, source: Scan, models: _Models, call: Callable[..., Any]) -> Iterator[Finding]:
    from edgecli.vectorize.calls import INDEXES, path

    if not project.vectorize:
        return
    settings = project.settings.vectorize
    indexes = {each["name"]: each["config"] for each in call("GET", INDEXES)}
    embedders = {model: own.dimensions for model, (own, _) in models.items() if own and own.dimensions}
    filters = any("filter" in module.read_text(encoding="utf-8", errors="replace") for module in source.modules)
    for name in dict.fromkeys(each.index_name for each in project.vectorize):
        if name not in indexes:
            yield Finding("warning", "indexes", f"There is no index `{name}` on this machine to compare with.")
            continue
        dimensions, metric = indexes[name]["dimensions"], indexes[name]["metric"]
        command = f"`npx wrangler vectorize create {name} --dimensions={dimensions} --metric={metric}`"
        yield Finding("note", "indexes", f"`{name}` must be there, and filled there.", command)
        if dimensions > MOST_DIMENSIONS:
            message = f"`{name}` has {dimensions} dimensions; Cloudflare takes up to {MOST_DIMENSIONS}."
            yield Finding("error", "indexes", message, "Use an embedding model with fewer.")
        if embedders and dimensions not in embedders.values():
            listed = ", ".join(f"`{model}` {size}" for model, size in embedders.items())
            message = f"`{name}` has {dimensions} dimensions, and the models there give others: {listed}."
            yield Finding("error", "indexes", message, "Create it there with the dimensions of the model.")
        if filters and not settings.strict_metadata_indexes:
            listed = call("GET", path(name, "metadata_index", "list"))["metadataIndexes"]
            names = ", ".join(f"`{each['propertyName']}`" for each in listed) or "none"
            hint = "`npx wrangler vectorize create-metadata-index` makes one; it counts for later writes only."
            message = f"Filters on `{name}` see only properties with a metadata index; those here: {names}."
            yield Finding("warning" if not listed else "note", "indexes", message, hint)
    if settings.dot_product_sign == "positive":
        yield Finding("warning", "indexes", "Scores of dot-product indexes have the other sign there.")
    yield Finding("note", "indexes", "A write is visible some seconds later there.")


def _about_bindings(project: Project) -> Iterator[Finding]:
    for namespace in project.kv_namespaces:
        if not (namespace.id or "").strip("0"):
            hint = f"`npx wrangler kv namespace create {namespace.binding}` says it."
            yield Finding("warning", "bindings", f"`{namespace.binding}` has no id of a KV namespace.", hint)
    for bucket in project.r2_buckets:
        if not bucket.bucket_name:
            yield Finding("warning", "bindings", f"`{bucket.binding}` names no bucket.", "Add bucket_name.")
    for database in project.d1_databases:
        if not (database.database_id or "").strip("0-"):
            hint = f"`npx wrangler d1 create {database.database_name or database.binding.lower()}` says it."
            yield Finding("warning", "bindings", f"`{database.binding}` has no id of a D1 database.", hint)
    if project.kv_namespaces or project.r2_buckets or project.d1_databases:
        yield Finding("note", "bindings", "What KV, R2 and D1 hold on this machine stays here.")


def _about_packages(main: Path, source: Scan, packages: list[str]) -> Iterator[Finding]:
    if main.suffix != ".py":
        return
    used = {each.name for each in source.imports if not each.optional}
    for name in sorted(used & _NOT_IN_PYODIDE):
        yield Finding("error", "imports", f"`{name}` does not work in Pyodide, which runs Python there.")
    if packages:
        listed = ", ".join(f"`{name}`" for name in packages)
        hint = "Name them under `dependencies` in pyproject.toml; `uv run pywrangler deploy` brings them along."
        yield Finding("warning", "imports", f"Pyodide must have {listed}.", hint)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield Finding("note", "imports", f"Here Python {version} runs, there Pyodide, with 128 MB of memory.")


def _about_secrets(planned: Deployment) -> Iterator[Finding]:
    for name in planned.secrets:
        yield Finding("note", "secrets", f"`{name}` stays here.", f"`npx wrangler secret put {name}`")


def _price(spec: ModelSpec) -> Iterator[dict[str, Any]]:
    if spec.neurons_input is None:
        return
    writes = spec.task is Task.TEXT_GENERATION
    tokens = INPUT_TOKENS * spec.neurons_input + (OUTPUT_TOKENS * (spec.neurons_output or 0) if writes else 0)
    neurons = tokens * 1000 / 1_000_000
    yield {
        "model": spec.id,
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS if writes else 0,
        "neurons": round(neurons, 1),
        "usd": round(neurons * USD_PER_NEURON, 4),
    }
