"""Wrangler's keys that are no bindings, and what may stand in each."""

from __future__ import annotations

from typing import Any

from edgecli.config.bindings import BINDING_KINDS
from edgecli.config.checks import (
    Check,
    accept,
    compatibility_date,
    of_type,
    one_of,
    string_array,
    worker_name,
)
from edgecli.config.diagnostics import Report, as_json
from edgecli.config.keypath import KeyPath

INHERITED: dict[str, Check] = {
    "name": worker_name,
    "account_id": of_type("string"),
    "compatibility_date": compatibility_date,
    "compatibility_flags": string_array,
    "main": of_type("string"),
    "base_dir": of_type("string"),
    "find_additional_modules": of_type("boolean"),
    "preserve_file_names": of_type("boolean"),
    "workers_dev": of_type("boolean"),
    "preview_urls": of_type("boolean"),
    "routes": of_type("array"),
    "route": accept,
    "tsconfig": of_type("string"),
    "jsx_factory": of_type("string"),
    "jsx_fragment": of_type("string"),
    "rules": of_type("array"),
    "triggers": of_type("object"),
    "build": of_type("object"),
    "no_bundle": of_type("boolean"),
    "minify": of_type("boolean"),
    "keep_names": of_type("boolean"),
    "first_party_worker": of_type("boolean"),
    "logfwdr": accept,
    "logpush": of_type("boolean"),
    "upload_source_maps": of_type("boolean"),
    "placement": accept,
    "limits": of_type("object"),
    "observability": accept,
    "assets": accept,
    "migrations": of_type("array"),
    "exports": accept,
    "access": accept,
    "cache": accept,
    "compliance_region": one_of("public", "fedramp_high"),
    "python_modules": accept,
    "previews": accept,
}
"""Keys whose top-level value also holds in every environment that has none of its own."""

NOT_INHERITED: tuple[str, ...] = (
    "vars",
    "secrets",
    "define",
    "durable_objects",
    "queues",
    "connect",
    "tail_consumers",
    "streaming_tail_consumers",
    "containers",
    "cloudchamber",
    "unsafe",
    "unsafe_hello_world",
    *BINDING_KINDS,
)
"""Keys that each environment must repeat."""

_PATHS = of_type("object")

TOP_LEVEL: dict[str, Check] = {
    "env": accept,  # environment.py looks into it
    "edgecli": accept,  # settings_read.py looks into it
    "dev": accept,  # check_dev looks into it
    "site": of_type("object"),
    "alias": of_type("object"),
    "wasm_modules": _PATHS,
    "text_blobs": _PATHS,
    "data_blobs": _PATHS,
    "keep_vars": of_type("boolean"),
    "send_metrics": of_type("boolean"),
    "dependencies_instrumentation": of_type("object"),
    "pages_build_output_dir": of_type("string"),
    "addresses": string_array,
    "$schema": of_type("string"),
    "legacy_env": accept,  # environment.py refuses it
}
"""Keys that stand at the top level only."""

_DEV: dict[str, Check] = {
    "ip": of_type("string"),
    "port": of_type("number"),
    "inspector_port": of_type("number"),
    "inspector_ip": of_type("string"),
    "local_protocol": one_of("http", "https"),
    "upstream_protocol": one_of("http", "https"),
    "host": of_type("string"),
    "enable_containers": of_type("boolean"),
    "container_engine": accept,
    "generate_types": of_type("boolean"),
}


def check_dev(report: Report, value: Any) -> None:
    """Check the `[dev]` table."""
    if not isinstance(value, dict):
        of_type("object")(report, "dev", ("dev",), value)
        return
    report.unexpected("dev", ("dev",), value, _DEV)
    for key, check in _DEV.items():
        if key in value:
            check(report, f"dev.{key}", ("dev", key), value[key])


def check_vars(report: Report, name: str, path: KeyPath, value: Any) -> None:
    """Check a `vars` table: any JSON value goes, a TOML date does not."""
    from datetime import date, time

    if not isinstance(value, dict):
        report.error(f'The field "{name}" should be an object but got {as_json(value)}.', path, expected="table")
        return
    for key, entry in value.items():
        if isinstance(entry, date | time):
            report.error(
                f'The field "{name}.{key}" is a TOML date, which is not supported. '
                f'Please use a string instead, e.g. {key} = "2025-12-19".',
                (*path, key),
                expected="string, number, boolean, list or table",
            )


def check_secrets(report: Report, name: str, path: KeyPath, value: Any) -> None:
    """Check a `secrets` table: the names of required secrets, no values."""
    if not isinstance(value, dict):
        report.error(f'The field "{name}" should be an object but got {as_json(value)}.', path, expected="table")
        return
    report.unexpected(name, path, value, ["required"])
    required = value.get("required", [])
    if not isinstance(required, list):
        report.error(
            f'Expected "{name}.required" to be an array of strings but got {as_json(required)}',
            (*path, "required"),
            expected="string array",
        )
        return
    for index, entry in enumerate(required):
        if not isinstance(entry, str):
            of_type("string")(report, f"{name}.required.[{index}]", (*path, "required", index), entry)
