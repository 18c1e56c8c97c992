"""Parts of schemas that edgecli brings itself: values of any form, and the formats of strings."""

from __future__ import annotations

from typing import Any

ANY_DEPTH = 16
"""Levels of a value for which the schema says nothing."""
ANY = {"$ref": f"#/$defs/any{ANY_DEPTH}"}

_DAY = r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_LEAP = r"([12][0-9](0[48]|[2468][048]|[13579][26])|(12|16|20|24|28)00)-02-29"
_DATE = rf"([12][0-9]{{3}}-{_DAY}|{_LEAP})"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
# llguidance's own take days such as February 30.
OWN_FORMATS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}
FORMATS = {"duration": 64, "email": 254, "hostname": 253, "ipv4": 15, "ipv6": 45, "uuid": 36, "uri": 2048}
"""llguidance's, and the characters that such a value has at most: not all of its own patterns have an end."""
NO_FORMATS = ("int32", "int64", "float", "double", "password")
"""OpenAPI's, which say how a value is kept or shown."""


def any_object() -> dict[str, Any]:
    """Return the schema of any JSON object, for llguidance."""
    return {"type": "object", "additionalProperties": ANY, "$defs": any_values()}


def any_values() -> dict[str, Any]:
    """Return the `$defs` that `ANY` needs."""
    scalars: list[dict[str, Any]] = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]
    values: dict[str, Any] = {"any0": {"anyOf": scalars}}
    for level in range(1, ANY_DEPTH + 1):
        inner = {"$ref": f"#/$defs/any{level - 1}"}
        nested = [{"type": "object", "additionalProperties": inner}, {"type": "array", "items": inner}]
        values[f"any{level}"] = {"anyOf": [*scalars, *nested]}
    return values
