"""The entries of `[edgecli.models."<id>"]`: a stand-in for a model, or the definition of one."""

from __future__ import annotations

import re
from typing import Any

from edgecli.config.checks import Check, of_type, one_of, string_array
from edgecli.config.diagnostics import Report, as_json
from edgecli.config.keypath import KeyPath

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def _positive_integer(report: Report, field: str, path: KeyPath, value: Any) -> None:
    if type(value) is not int or value < 1:
        message = f'Expected "{field}" to be a positive integer but got {as_json(value)}.'
        report.error(message, path, expected="positive integer")


def _hashes(report: Report, field: str, path: KeyPath, value: Any) -> None:
    """Check for one hash, or a table from a path in a folder to its hash."""
    hashes = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(entry, str) and _SHA256.fullmatch(entry) for entry in hashes):
        message = f'Expected "{field}" to be a SHA-256 of 64 hexadecimal digits but got {as_json(value)}.'
        report.error(message, path, expected="64 hexadecimal digits, or a table of path = digits")


def _files(report: Report, field: str, path: KeyPath, value: Any) -> None:
    if not isinstance(value, list):
        of_type("array")(report, field, path, value)
        return
    for index, entry in enumerate(value):
        name, place = f"{field}[{index}]", (*path, index)
        if not isinstance(entry, dict):
            of_type("object")(report, name, place, entry)
            continue
        if "source" not in entry:
            report.error(
                f'"{name}.source" is a required field.',
                place,
                expected="string",
                hint=f"For example {report.written('source', 'hf:owner/repo/model.gguf')}.",
            )
        _check_fields(report, entry, name, place, _FILE_FIELDS)


def _loras(report: Report, field: str, path: KeyPath, value: Any) -> None:
    if not isinstance(value, dict):
        of_type("object")(report, field, path, value)
        return
    for adapter, entry in value.items():
        name, place = f"{field}.{adapter}", (*path, adapter)
        if isinstance(entry, str):
            continue
        if not isinstance(entry, dict):
            of_type("string")(report, name, place, entry)
            continue
        _check_fields(report, entry, name, place, {"source": of_type("string"), "scale": of_type("number")})
        if "source" not in entry:
            report.error(f'"{name}.source" is a required field.', place, expected="string")


_FILE_FIELDS: dict[str, Check] = {
    "source": of_type("string"),
    "name": of_type("string"),
    "sha256": _hashes,
    "size": _positive_integer,
}

MODEL_FIELDS: dict[str, Check] = {
    "use": of_type("string"),
    "task": of_type("string"),
    "engine": of_type("string"),
    "source": of_type("string"),
    "files": _files,
    "context": _positive_integer,
    "dimensions": _positive_integer,
    "pooling": one_of("mean", "cls"),
    "licence": of_type("string"),
    "description": of_type("string"),
    "query_prefix": of_type("string"),
    "passage_prefix": of_type("string"),
    "capabilities": string_array,
    "loras": _loras,
}
"""What an entry may hold. Whether the task and the engine exist is for the catalog to say."""


def check_models(report: Report, models: dict[str, Any], path: KeyPath) -> None:
    """Check the table of models at `path`."""
    prefix = ".".join(map(str, path))
    for model, entry in models.items():
        name, place = f'{prefix}."{model}"', (*path, model)
        if not isinstance(entry, dict):
            of_type("object")(report, name, place, entry)
            continue
        _check_fields(report, entry, name, place, MODEL_FIELDS)
        _check_kind(report, model, entry, name, place)


def _check_fields(report: Report, table: dict[str, Any], name: str, place: KeyPath, fields: dict[str, Check]) -> None:
    report.unexpected(name, place, table, fields)
    for key, check in fields.items():
        if key in table:
            check(report, f"{name}.{key}", (*place, key), table[key])


def _check_kind(report: Report, model: str, entry: dict[str, Any], name: str, place: KeyPath) -> None:
    others = [key for key in entry if key in MODEL_FIELDS and key not in {"use", "description"}]
    if "use" in entry and others:
        listed = ", ".join(f'"{key}"' for key in others)
        report.error(
            f'"{name}" has "use" and {listed}: it is a stand-in or a definition, not both.',
            (*place, "use"),
            hint='Keep "use" to run another model in its place, or remove it to define this one.',
        )
    elif entry.get("use") == model:
        report.error(f'"{name}.use" names the model itself.', (*place, "use"), hint="Name another model.")
    elif "source" in entry and "files" in entry:
        report.error(
            f'"{name}" has both "source" and "files".',
            (*place, "source"),
            hint='Put the source into "files", or remove "files".',
        )
