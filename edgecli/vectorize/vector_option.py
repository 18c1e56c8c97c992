"""`--vector 0.1 -0.2 0.3`: an option that takes as many numbers as follow it, as wrangler's does."""

from __future__ import annotations

import json
from typing import Any, cast

from edgecli.cli import EdgeCommand
from edgecli.errors import UsageError

_OPTION = "--vector"


class VectorCommand(EdgeCommand):
    """A command whose `--vector` takes all numbers up to the next argument that is none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_numbers(args))


def join_numbers(args: list[str]) -> list[str]:
    """Return the arguments with the numbers after each `--vector` joined to one argument."""
    joined: list[str] = []
    place = 0
    while place < len(args):
        place += 1
        if args[place - 1] != _OPTION:
            joined.append(args[place - 1])
            continue
        end = place
        while end < len(args) and _is_number(args[end]):
            end += 1
        if end == place:
            joined.append(_OPTION)
            continue
        joined.append(f"{_OPTION}={' '.join(args[place:end])}")
        place = end
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_vector(text: str) -> list[float]:
    """Read numbers apart by spaces or commas, or a JSON array. Raises UsageError that names the fault."""
    if text.lstrip().startswith("["):
        try:
            numbers: Any = json.loads(text)
        except ValueError as error:
            raise _wrong(f"--vector is no JSON array: {error}.") from error
    else:
        numbers = text.replace(",", " ").split()
    try:
        return [float(number) for number in cast("list[Any]", numbers)]
    except (TypeError, ValueError) as error:
        raise _wrong(f"--vector holds what is no number: {error}.") from error


def _wrong(message: str) -> UsageError:
    return UsageError(message, hint="Write `--vector 0.1 0.2 0.3` or `--vector '[0.1, 0.2, 0.3]'`.")
