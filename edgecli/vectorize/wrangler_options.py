"""Options as wrangler's parser reads them: `--topK` is `--top-k`, and some take as many values as follow.

`--vector 0.1 -0.2 0.3` takes all numbers that follow, `--ids a b c` all words up to the next option.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from typing import Any, cast

from edgecli.cli import EdgeCommand
from edgecli.errors import UsageError

_HUMP = re.compile(r"[A-Z]")


class WranglerCommand(EdgeCommand):
    """A command of wrangler's, or one beside them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for param in self.params for name in param.opts}
        args = [in_kebab_case(argument, known) for argument in args]
        if "--vector" in known:
            args = join_numbers(args)
        if "--ids" in known:
            args = one_by_one(args)
        return super().parse_args(ctx, args)


def in_kebab_case(argument: str, known: Collection[str]) -> str:
    """Return `--top-k` for `--topK`, where the command has the one and not the other."""
    name, equals, value = argument.partition("=")
    if not name.startswith("--") or name in known:
        return argument
    kebab = _HUMP.sub(lambda found: "-" + found[0].lower(), name)
    return f"{kebab}{equals}{value}" if kebab in known else argument


def join_numbers(args: list[str]) -> list[str]:
    """Return the arguments with the numbers after each `--vector` joined to one argument."""
    return _gather(args, "--vector", _is_number, lambda values: [f"--vector={' '.join(values)}"])


def one_by_one(args: list[str]) -> list[str]:
    """Return the arguments with an `--ids` of its own for each word that follows one."""
    return _gather(args, "--ids", _is_word, lambda values: [f"--ids={value}" for value in values])


def _gather(
    args: list[str], option: str, belongs: Callable[[str], bool], written: Callable[[list[str]], list[str]]
) -> list[str]:
    gathered: list[str] = []
    place = 0
    while place < len(args):
        name, equals, value = args[place].partition("=")
        place += 1
        end = place
        if name == option:
            while end < len(args) and belongs(args[end]):
                end += 1
        if end == place:
            gathered.append(args[place - 1])
        else:
            gathered += written([value, *args[place:end]] if equals else args[place:end])
        place = end
    return gathered


def _is_word(text: str) -> bool:
    return not text.startswith("-") or _is_number(text)


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
        found = [float(number) for number in cast("list[Any]", numbers)]
    except (TypeError, ValueError) as error:
        raise _wrong(f"--vector holds what is no number: {error}.") from error
    if not all(map(math.isfinite, found)):
        raise _wrong("--vector holds NaN or infinity.")
    return found


def _wrong(message: str) -> UsageError:
    return UsageError(message, hint="Write `--vector 0.1 0.2 0.3` or `--vector '[0.1, 0.2, 0.3]'`.")
