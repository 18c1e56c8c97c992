"""How large a regular expression becomes once its repetitions are written out."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:[pPux]\{[^}]*\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")


def regex_size(pattern: str) -> int:
    """Return about how many characters `pattern` has with each `x{3}` written as `xxx`.

    Never fails: what is no valid pattern gets some number, and is refused by who compiles it.
    """
    open_groups = [0]
    last = 0  # the size of what a repetition would repeat; part of the open group's size already
    position = 0
    while position < len(pattern):
        character = pattern[position]
        repeat = _REPEAT.match(pattern, position)
        if character == "(":
            open_groups.append(0)
            position += 1
            last = 0
        elif character == ")" and len(open_groups) > 1:
            last = open_groups.pop() + 1
            open_groups[-1] += last
            position += 1
        elif repeat is not None:
            counts = [int(count[:9]) for count in (repeat[1], repeat[3]) if count]
            open_groups[-1] += last * (max(counts, default=1) - 1)
            last *= max(counts, default=1)
            position = repeat.end()
        else:
            position = _after(pattern, position)
            last = 0 if character in "*+?|" else 1
            open_groups[-1] += 1
    return sum(open_groups)


def _after(pattern: str, position: int) -> int:
    """Return where the character or class at `position` ends."""
    if pattern[position] == "\\":
        escape = _ESCAPE.match(pattern, position)
        return escape.end() if escape else position + 1
    if pattern[position] != "[":
        return position + 1
    position += 2 if pattern[position + 1 : position + 2] == "^" else 1
    first = True
    while position < len(pattern) and (first or pattern[position] != "]"):
        position = _after(pattern, position) if pattern[position] in "\\[" else position + 1
        first = False
    return position + 1
