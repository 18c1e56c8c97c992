"""Metadata filters: their grammar, checked once, and what they mean.

A filter is an object whose keys name properties and whose values are a scalar (equality) or an object of
operators; all must hold. Cloudflare documents that `.` reaches into nested objects, that numbers compare as
float64 and strings by their characters, and that values of different types never match. Where its
documents are silent: `$ne` and `$nin` are the exact opposites of `$eq` and `$in`, so they match where the
property is missing; null stands for "no value", so it equals a missing property; a list or an object equals
nothing.

Under `strict_metadata_indexes` a filter sees of a property what its metadata index holds: values of the index's type,
the first 64 bytes of strings, of vectors written after the index was created. All else is a missing property to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import orjson

from edgecli.errors import UsageError, did_you_mean
from edgecli.vectorize.limits import INDEXED_STRING_BYTES, MAX_FILTER_BYTES, MAX_FILTER_KEY_CHARACTERS
from edgecli.vectorize.records import MetadataIndex


class _Unequal:
    """A list or an object: no operand equals it and none is above or below it."""


UNEQUAL: Final = _Unequal()

Comparable = None | bool | float | str | _Unequal
"""A property's value as filters see it: null where it is missing, each number a float64."""


def comparable(value: Any) -> Comparable:
    """Return a metadata value as filters see it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    return UNEQUAL


_TYPES = {"string": str, "number": float, "boolean": bool}


def first_bytes(text: str) -> str:
    """Return what a metadata index holds of a string: whole characters of at most 64 bytes."""
    return text.encode()[:INDEXED_STRING_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a filter finds a property: in the metadata, or in what a metadata index holds of that."""

    path: tuple[str, ...]
    index: MetadataIndex | None = None

    def value(self, metadata: dict[str, Any] | None, ordinal: int) -> Comparable:
        """Return the property of a vector that the mutation `ordinal` wrote; null if there is none."""
        value = lookup(metadata, self.path)
        if self.index is None:
            return value
        if ordinal <= self.index.since or type(value) is not _TYPES[self.index.index_type]:
            return None
        return first_bytes(value) if isinstance(value, str) else value


def _same(left: Comparable, right: Comparable) -> bool:
    return type(left) is type(right) and left == right and left is not UNEQUAL


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Comparable, Any], bool]:
    def holds(value: Comparable, operand: Any) -> bool:
        return isinstance(value, str | float) and type(value) is type(operand) and test(value, operand)

    return holds


_TESTS: dict[str, Callable[[Comparable, Any], bool]] = {
    "$eq": _same,
    "$ne": lambda value, operand: not _same(value, operand),
    "$in": lambda value, operands: any(_same(value, operand) for operand in operands),
    "$nin": lambda value, operands: not any(_same(value, operand) for operand in operands),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
}
OPERATORS: tuple[str, ...] = tuple(_TESTS)
_UPPER = {"$lt", "$lte"}
_LOWER = {"$gt", "$gte"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one property."""

    path: tuple[str, ...]
    operator: str
    operand: Any
    index: MetadataIndex | None = None

    @property
    def source(self) -> Source:
        """Where the property is found."""
        return Source(self.path, self.index)

    def accepts(self, value: Comparable) -> bool:
        """Tell whether a property of this value satisfies the condition."""
        return _TESTS[self.operator](value, self.operand)


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]

    def matches(self, metadata: dict[str, Any] | None, ordinal: int = 0) -> bool:
        """Tell whether a vector with this metadata, which the mutation `ordinal` wrote, passes."""
        return all(condition.accepts(condition.source.value(metadata, ordinal)) for condition in self.conditions)

    def by(self, indexes: Iterable[MetadataIndex], name: str) -> Filter:
        """Return the filter as these metadata indexes of the index `name` answer it.

        Raises UsageError for a property that has none.
        """
        known = {index.property_name: index for index in indexes}
        return Filter(tuple(_by(condition, known, name) for condition in self.conditions))


def _by(condition: Condition, known: Mapping[str, MetadataIndex], name: str) -> Condition:
    key = ".".join(condition.path)
    if key not in known:
        raise _wrong(
            f"The filter names `{key}`, which has no metadata index, and strict_metadata_indexes is set.",
            hint=f"`edgecli vectorize create-metadata-index {name} --property-name {key} --type string` (or number, "
            "boolean) makes one for vectors that are written from then on.",
        )
    operand = condition.operand
    if isinstance(operand, str):
        operand = first_bytes(operand)
    elif isinstance(operand, tuple):
        operands = cast("tuple[Comparable, ...]", operand)
        operand = tuple(first_bytes(each) if isinstance(each, str) else each for each in operands)
    return replace(condition, operand=operand, index=known[key])


def lookup(metadata: dict[str, Any] | None, path: tuple[str, ...]) -> Comparable:
    """Return the property at a path, null if there is none."""
    value: Any = metadata
    for key in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(key)
    return comparable(value)


def parse_filter(obj: Any) -> Filter:
    """Check a filter and return it ready for use.

    Raises UsageError that names the key or operator at fault.
    """
    if not isinstance(obj, Mapping) or not obj:
        raise _wrong("A filter is an object with at least one property.", hint='Write it as {"property": value}.')
    properties = cast("Mapping[Any, Any]", obj)
    _check_size(properties)
    conditions: list[Condition] = []
    for key, wanted in properties.items():
        conditions.extend(_conditions(property_path(key), key, wanted))
    return Filter(tuple(conditions))


def _check_size(obj: Mapping[Any, Any]) -> None:
    try:
        size = len(orjson.dumps(obj))
    except TypeError as error:
        raise _wrong(f"The filter is no JSON: {error}.") from error
    if size >= MAX_FILTER_BYTES:
        raise _wrong(
            f"The filter is {size:,} bytes of JSON; the limit is {MAX_FILTER_BYTES:,}.",
            hint="Put a property into the metadata that says the same in fewer words.",
        )


def property_path(key: str) -> tuple[str, ...]:
    """Return where in the metadata a filter finds a property. Raises UsageError if it can find none by this name."""
    if key.startswith("$"):
        hint = "Filters have no $or, $and or $not: several properties in one filter must all hold."
        if key in OPERATORS:
            hint = f'An operator stands below its property: {{"property": {{"{key}": …}}}}.'
        raise _wrong(f"`{key}` begins with `$`; a property is expected here.", hint=hint)
    if not key or len(key) > MAX_FILTER_KEY_CHARACTERS or '"' in key or "|" in key:
        raise _wrong(
            f"`{key[:80]}` is no property that a filter can name.",
            hint=f'A property has 1 to {MAX_FILTER_KEY_CHARACTERS} characters, none of them `"` or `|`.',
        )
    return tuple(key.split("."))


def _conditions(path: tuple[str, ...], key: str, wanted: Any) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        return [Condition(path, "$eq", _scalar(wanted, key, "$eq"))]
    operators = cast("Mapping[str, Any]", wanted)
    if not operators:
        raise _wrong(f"The filter on `{key}` has no operator.", hint=f"Use one of {', '.join(OPERATORS)}.")
    for operator in operators:
        if operator not in _TESTS:
            hint = did_you_mean(operator, OPERATORS) or f"The operators are {', '.join(OPERATORS)}."
            raise _wrong(f"The filter on `{key}` has the unknown operator `{operator}`.", hint=hint)
    _check_combination(key, set(operators))
    return [Condition(path, operator, _operand(value, key, operator)) for operator, value in operators.items()]


def _check_combination(key: str, operators: set[str]) -> None:
    one_range = len(operators & _UPPER) <= 1 and len(operators & _LOWER) <= 1 and operators <= _UPPER | _LOWER
    if len(operators) > 1 and not one_range:
        raise _wrong(
            f"The filter on `{key}` combines {', '.join(sorted(operators))}.",
            hint="Only one of $lt and $lte may stand together with one of $gt and $gte.",
        )


def _operand(value: Any, key: str, operator: str) -> Any:
    if operator in {"$in", "$nin"}:
        if not isinstance(value, list | tuple):
            raise _wrong(f"`{operator}` on `{key}` takes an array.", hint=f'Like {{"{operator}": ["a", "b"]}}.')
        return tuple(_scalar(item, key, operator) for item in cast("list[Any]", value))
    operand = _scalar(value, key, operator)
    if operator in _UPPER | _LOWER and not isinstance(operand, str | float):
        given = orjson.dumps(value).decode()
        raise _wrong(f"`{operator}` on `{key}` compares with a string or a number, not {given}.")
    return operand


def _scalar(value: Any, key: str, operator: str) -> Comparable:
    operand = comparable(value)
    if operand is UNEQUAL:
        raise _wrong(
            f"The filter compares `{key}` by `{operator}` with an array or object.",
            hint="Compare with a string, number, boolean or null; `$in` and `$nin` take an array of those.",
        )
    return operand


def _wrong(message: str, *, hint: str | None = None) -> UsageError:
    return UsageError(message, hint=hint, code="invalid_filter", cf_code=40026)
