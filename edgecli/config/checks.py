"""Checks of one plain field each, with wrangler's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from edgecli.config.diagnostics import Report, as_json
from edgecli.config.keypath import KeyPath
from edgecli.errors import did_you_mean

Check = Callable[[Report, str, KeyPath, Any], None]
"""`check(report, field, path, value)`: `field` is the name in the message, `path` the place in the file."""

_WORKER_NAME = re.compile(r"(?:[a-z0-9_][a-z0-9-_]*)?")
_ISO_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T.*)?")


def type_name(value: Any) -> str:
    """Return JavaScript's name of a value's type; a list is an `array` here."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def of_type(expected: str) -> Check:
    """Make a check for a `string`, `number`, `boolean`, `object` or `array`."""

    def check(report: Report, field: str, path: KeyPath, value: Any) -> None:
        if value is None or type_name(value) != expected:
            report.error(
                f'Expected "{field}" to be of type {expected} but got {as_json(value)}.',
                path,
                expected=expected,
            )

    return check


def one_of(*choices: str) -> Check:
    """Make a check for one of a few strings."""

    def check(report: Report, field: str, path: KeyPath, value: Any) -> None:
        if value not in choices:
            report.error(
                f'Expected "{field}" field to be one of {as_json(list(choices))} but got {as_json(value)}.',
                path,
                expected="one of " + ", ".join(choices),
                hint=did_you_mean(value, choices) if isinstance(value, str) else None,
            )

    return check


def string_array(report: Report, field: str, path: KeyPath, value: Any) -> None:
    """Check for a list of strings."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        report.error(
            f'Expected "{field}" to be of type string array but got {as_json(value)}.',
            path,
            expected="string array",
        )


def worker_name(report: Report, field: str, path: KeyPath, value: Any) -> None:
    """Check for a name that Cloudflare accepts for a Worker."""
    if isinstance(value, str) and _WORKER_NAME.fullmatch(value):
        return
    suggestion = re.sub(r"[^a-z0-9_]+", "-", value.lower()).strip("-") if isinstance(value, str) else ""
    report.error(
        f'Expected "{field}" to be of type string, alphanumeric and lowercase with dashes only '
        f"but got {as_json(value)}.",
        path,
        expected="lowercase letters, digits, dashes and underscores",
        hint=f"For example {report.written('name', suggestion or 'my-app')}.",
    )


def compatibility_date(report: Report, field: str, path: KeyPath, value: Any) -> None:
    """Check for an ISO 8601 date in a string."""
    expected = "a string YYYY-MM-DD"
    if not isinstance(value, str):
        quoted = report.written(field, value.isoformat()[:10]) if isinstance(value, date) else None
        hint = f"Put it in quotes: {quoted}." if quoted else None
        report.error(
            f'Expected "{field}" to be of type string but got {as_json(value)}.',
            path,
            expected=expected,
            hint=hint,
        )
    elif "\N{EN DASH}" in value or "\N{EM DASH}" in value:
        report.error(
            f'"{field}" field should use ISO-8601 accepted hyphens (-) rather than en-dashes (–) or em-dashes (—).',
            path,
            expected=expected,
        )
    elif not _is_date(value):
        report.error(
            f'"{field}" field should be a valid ISO-8601 date (YYYY-MM-DD), but got {as_json(value)}.',
            path,
            expected=expected,
        )


def _is_date(value: str) -> bool:
    match = _ISO_DATE.fullmatch(value)
    if match is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def accept(report: Report, field: str, path: KeyPath, value: Any) -> None:
    """Accept anything: wrangler looks into this field only when it deploys."""
    del report, field, path, value
