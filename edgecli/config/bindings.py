"""The kinds of bindings: what wrangler calls them, which fields they have, and how they are checked."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from edgecli.config.diagnostics import Report, as_json
from edgecli.config.keypath import KeyPath
from edgecli.errors import nearest

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


class BindingKind(NamedTuple):
    """One kind of binding, and the shape of its table."""

    key: str
    """Its key in the configuration."""
    title: str
    """Wrangler's name of it."""
    required: tuple[str, ...] = ()
    """String fields that it must have, besides `binding`."""
    optional: tuple[str, ...] = ()
    """String fields that it may have."""
    other: tuple[str, ...] = ("remote",)
    """Fields that are not strings."""
    single: bool = False
    """One table, `[ai]`, and not a list of tables, `[[vectorize]]`."""
    open: bool = False
    """Unknown fields are not reported: wrangler does not, or edgecli does not know them all."""
    name_field: str = "binding"

    def fields(self) -> tuple[str, ...]:
        """Return every field that the kind knows."""
        return (self.name_field, *self.required, *self.optional, *self.other)


_D1_OPTIONAL = (
    "database_name",
    "database_id",
    "preview_database_id",
    "migrations_dir",
    "migrations_table",
    "migrations_pattern",
    "database_internal_env",
)

BINDING_KINDS: dict[str, BindingKind] = {
    kind.key: kind
    for kind in (
        BindingKind("kv_namespaces", "KV Namespace", optional=("id", "preview_id")),
        BindingKind("send_email", "Send Email", name_field="name", open=True),
        BindingKind("d1_databases", "D1 Database", optional=_D1_OPTIONAL),
        BindingKind("vectorize", "Vectorize Index", required=("index_name",)),
        BindingKind("ai_search_namespaces", "AI Search Namespace", required=("namespace",)),
        BindingKind("ai_search", "AI Search Instance", required=("instance_name",)),
        BindingKind("websearch", "Web Search", single=True),
        BindingKind("agent_memory", "Agent Memory", required=("namespace",)),
        BindingKind("hyperdrive", "Hyperdrive Config", required=("id",), open=True),
        BindingKind(
            "r2_buckets",
            "R2 Bucket",
            optional=("bucket_name", "preview_bucket_name", "jurisdiction"),
            other=("remote", "local_dev"),
        ),
        BindingKind("services", "Worker", required=("service",), open=True),
        BindingKind("analytics_engine_datasets", "Analytics Engine Dataset", optional=("dataset",), other=()),
        BindingKind("browser", "Browser Run", single=True),
        BindingKind("ai", "AI", single=True, open=True),
        BindingKind("images", "Images", single=True),
        BindingKind("stream", "Stream", single=True),
        BindingKind("media", "Media", single=True),
        BindingKind("version_metadata", "Worker Version Metadata", single=True, open=True),
        BindingKind("dispatch_namespaces", "Dispatch Namespace", open=True),
        BindingKind("mtls_certificates", "mTLS Certificate", required=("certificate_id",)),
        BindingKind("workflows", "Workflow", required=("name", "class_name"), open=True),
        BindingKind("pipelines", "Pipeline", open=True),
        BindingKind("secrets_store_secrets", "Secrets Store Secret", required=("store_id", "secret_name"), other=()),
        BindingKind("artifacts", "Artifacts", open=True),
        BindingKind("ratelimits", "Rate Limit", name_field="name", open=True),
        BindingKind("flagship", "Flagship", open=True),
        BindingKind("worker_loaders", "Worker Loader", open=True),
        BindingKind("vpc_services", "VPC Service", required=("service_id",)),
        BindingKind("vpc_networks", "VPC Network", open=True),
    )
}


def check_binding(report: Report, name: str, path: KeyPath, value: Any, kind: BindingKind) -> None:
    """Check the value of one binding key; `name` is the key as messages write it, with `env.X.` before it."""
    if kind.single:
        _check_single(report, name, path, value, kind)
    elif not isinstance(value, list):
        report.error(
            f'The field "{name}" should be an array but got {as_json(value)}.',
            path,
            expected="array of tables",
            hint=_list_hint(report, name, value),
        )
    else:
        for index, item in enumerate(value):
            _check_item(report, f"{name}[{index}]", (*path, index), item, kind)


def _check_single(report: Report, name: str, path: KeyPath, value: Any, kind: BindingKind) -> None:
    if not isinstance(value, dict):
        report.error(
            f'The field "{name}" should be an object but got {as_json(value)}.',
            path,
            expected="table",
            hint=f"Write a table with {report.written('binding', _example_name(kind, value))}.",
        )
        return
    if not isinstance(value.get("binding"), str):
        report.error(
            'binding should have a string "binding" field.',
            path,
            expected="string",
            hint=_missing_hint(report, "binding", value, kind),
        )
    _check_common(report, name, path, value, kind)


def _check_item(report: Report, name: str, path: KeyPath, item: Any, kind: BindingKind) -> None:
    if not isinstance(item, dict):
        report.error(f'"{kind.key}" bindings should be objects, but got {as_json(item)}', path, expected="table")
        return
    if not isinstance(item.get(kind.name_field), str):
        report.error(
            f'"{name}" bindings should have a string "{kind.name_field}" field but got {as_json(item)}.',
            path,
            expected="string",
            hint=_missing_hint(report, kind.name_field, item, kind),
        )
    for key in kind.required:
        if not isinstance(item.get(key), str):
            article = "an" if key[0] in "aeiou" else "a"
            report.error(
                f'"{name}" bindings must have {article} "{key}" field but got {as_json(item)}.',
                path,
                expected="string",
                hint=_missing_hint(report, key, item, kind),
            )
    for key in kind.optional:
        if key in item and not _is_filled(key, item[key]):
            report.error(
                f'"{name}" bindings should, optionally, have a string "{key}" field but got {as_json(item)}.',
                (*path, key),
                expected="string",
            )
    if kind.key == "r2_buckets":
        _check_bucket_name(report, name, path, item)
    _check_common(report, name, path, item, kind)


def _is_filled(key: str, value: Any) -> bool:
    return isinstance(value, str) and (value != "" or key != "id")


def _check_bucket_name(report: Report, name: str, path: KeyPath, item: dict[str, Any]) -> None:
    bucket = item.get("bucket_name")
    if isinstance(bucket, str) and not _BUCKET_NAME.fullmatch(bucket):
        report.error(
            f"{name}.bucket_name={as_json(bucket)} is invalid. Bucket names must begin and end with an "
            "alphanumeric character, only contain lowercase letters, numbers, and hyphens, "
            "and be between 3 and 63 characters long.",
            (*path, "bucket_name"),
            expected="3 to 63 lowercase letters, digits and hyphens",
        )


def _check_common(report: Report, name: str, path: KeyPath, item: dict[str, Any], kind: BindingKind) -> None:
    if "remote" in item and not isinstance(item["remote"], bool):
        report.error(
            f'"{name}" should, optionally, have a boolean "remote" field but got {as_json(item)}.',
            (*path, "remote"),
            expected="boolean",
        )
    if not kind.open:
        report.unexpected(name, path, item, kind.fields())


def _missing_hint(report: Report, key: str, item: dict[str, Any], kind: BindingKind) -> str:
    if key in item:
        return f"Put the value of `{key}` in quotes."
    unknown = [name for name in item if name not in kind.fields()]
    close = nearest(key, unknown, count=1)
    if close:
        return f"Rename `{close[0]}` to `{key}`."
    example = _example_name(kind, None) if key == kind.name_field else "…"
    return f"Add {report.written(key, example)}."


def _list_hint(report: Report, name: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return "Put the object between [ and ]." if report.is_json else f"Write [[{name}]] instead of [{name}]."


def _example_name(kind: BindingKind, value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else kind.key.upper()
