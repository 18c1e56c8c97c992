"""The front matter of a Markdown file: YAML between `---`, or TOML between `+++`."""

from __future__ import annotations

import re
from typing import Any

import tomli

from edgecli.documents.schema import Scalar

_YAML = re.compile(r"---[ \t]*\r?\n(?P<body>.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\+\+\+[ \t]*\r?\n(?P<body>.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"""(?P<key>[^\s#:'"\[\]{}-][^:\n]*?)[ \t]*:(?:[ \t]+(?P<value>.*?))?[ \t\r]*$""")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_QUOTED = re.compile(r""""(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^']|'')*)'""")
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


def read_front_matter(source: str) -> tuple[dict[str, Scalar], int]:
    """Return the flat scalars of the front matter and the offset at which the text after it starts.

    Lists, maps, block scalars and nulls are left out. A file that merely starts with a ruler has none.
    """
    if found := _TOML.match(source):
        try:
            values: dict[str, Any] = tomli.loads(found["body"].replace("\r\n", "\n"))
        except tomli.TOMLDecodeError:
            return {}, 0
        return {key: value for key, value in values.items() if isinstance(value, Scalar)}, found.end()
    found = _YAML.match(source)
    if not found or not _looks_like_yaml(found["body"]):
        return {}, 0
    entries = (_ENTRY.match(line) for line in found["body"].split("\n"))
    pairs = ((entry["key"].strip(), _scalar(entry["value"] or "")) for entry in entries if entry)
    return {key: value for key, value in pairs if value is not None}, found.end()


def _looks_like_yaml(body: str) -> bool:
    first = next((line for line in body.split("\n") if line.strip() and not line.startswith("#")), None)
    return first is None or _ENTRY.match(first) is not None


def _scalar(value: str) -> Scalar | None:
    if quoted := _QUOTED.match(value):
        if quoted["double"] is not None:
            return re.sub(r"\\(.)", r"\1", quoted["double"])
        return quoted["single"].replace("''", "'")
    value = re.split(r"[ \t]#", value, maxsplit=1)[0].strip()
    if not value or value.lower() in ("null", "~") or value[0] in "[{|>&*!#":
        return None
    if value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if _NUMBER.fullmatch(value):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    return value
