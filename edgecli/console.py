"""How results look. Data goes to stdout, everything else to stderr.

On a terminal: rich tables, colour (unless `NO_COLOR`), progress bars. In a pipe: plain columns and plain text,
never a spinner, never a cut line.

Text may come from models, documents and downloads: what reaches a terminal never gives it orders.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from edgecli.plain import printable, printable_json
from edgecli.stdio import output_error

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from edgecli.errors import EdgeError

_ANY_WIDTH = 10_000

_consoles: dict[bool, Console] = {}


def is_terminal() -> bool:
    """Tell whether a person sees stdout and can answer on stdin."""
    return sys.stdout.isatty() and sys.stdin.isatty()


def _rich(*, stderr: bool) -> Console:
    if stderr not in _consoles:
        from rich.console import Console

        _consoles[stderr] = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return _consoles[stderr]


def _for(stream: TextIO, text: str) -> str:
    return printable(text) if stream.isatty() else text


def _put(text: str, *, now: bool = False) -> None:
    """Write to stdout, `now` or when enough has come together. Raises EdgeError, code `output_failed`."""
    try:
        sys.stdout.write(text)
        if now:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error(error) from error


def write(text: str) -> None:
    """Write a piece of text to stdout at once, into a pipe as it is."""
    _put(_for(sys.stdout, text), now=True)


def out(text: str = "") -> None:
    """Print one plain line to stdout."""
    _put(_for(sys.stdout, text) + "\n")


def emphasised(text: str, rest: str = "") -> None:
    """Print a line to stdout that starts bold on a terminal; `rest` is dimmed."""
    if not sys.stdout.isatty():
        out(text + rest)
        return
    from rich.text import Text

    line = Text(printable(text), style="bold")
    line.append(printable(rest), style="not bold dim")
    _rich(stderr=False).print(line)


def print_json(value: Any) -> None:
    """Print one JSON document to stdout: one line in a pipe, indented on a terminal, lists of numbers on one line."""
    import json
    import re

    if not sys.stdout.isatty():
        _write_json(json.dumps(value, ensure_ascii=False))
        return
    # No text of the document matches: line ends in it are written as escapes.
    numbers = re.compile(r"\[\n\s+([-+.\deE]+(?:,\n\s+[-+.\deE]+)*)\n\s+\]")
    document = json.dumps(value, ensure_ascii=False, indent=2)
    _write_json(numbers.sub(lambda found: f"[{' '.join(found[1].split())}]", document))


def print_ndjson(value: Any) -> None:
    """Print one JSON document on one line to stdout, at once."""
    import json

    _write_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def write_json_line(line: bytes) -> None:
    """Write a line of JSON to stdout, byte for byte where no terminal shows it."""
    if sys.stdout.isatty():
        out(printable_json(line.decode(errors="replace")))
        return
    try:
        sys.stdout.buffer.write(line + b"\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error(error) from error


def _write_json(document: str) -> None:
    _put((printable_json(document) if sys.stdout.isatty() else document) + "\n", now=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows under headings; `right` are the columns to align to the right."""
    if not sys.stdout.isatty():
        _plain_table(columns, rows, right)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        drawn.add_column(Text(printable(column)), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    screen = _rich(stderr=False)
    # Where not even the longest words fit beside each other, cells would be cut in the middle of them.
    if screen.measure(drawn, options=screen.options.update(max_width=_ANY_WIDTH)).minimum > screen.width:
        _records(columns, rows)
    else:
        screen.print(drawn, soft_wrap=False)


def _records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row as lines of its own, `key value`."""
    width = max(_width(column) for column in columns)
    for number, row in enumerate(rows):
        if number:
            out()
        for column, cell in zip(columns, row, strict=True):
            if cell:
                out(f"{column}{' ' * (width - _width(column))}  {cell}")


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    lines = [list(columns), *(list(row) for row in rows)]
    widths = [max(_width(line[number]) for line in lines) for number in range(len(columns))]
    for line in lines:
        cells = [
            " " * (widths[number] - _width(cell)) + cell
            if number in right
            else cell + " " * (widths[number] - _width(cell))
            for number, cell in enumerate(line)
        ]
        out("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Return the number of terminal cells of `text`: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _mark(mark: str, style: str, text: str) -> None:
    if sys.stderr.isatty():
        from rich.text import Text

        line = Text(mark, style=style)
        line.append(" " + printable(text), style="default")
        _rich(stderr=True).print(line)
    else:
        sys.stderr.write(f"{mark} {text}\n")


def note(text: str) -> None:
    """Print a line of information to stderr."""
    if sys.stderr.isatty():
        from rich.text import Text

        _rich(stderr=True).print(Text(printable(text), style="dim"))
    else:
        sys.stderr.write(text + "\n")


def success(text: str) -> None:
    """Print what was done to stderr."""
    _mark("✓", "green", text)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    _mark("warning:", "bold yellow", text)


def error(problem: EdgeError, *, as_json: bool = False) -> None:
    """Print an error and its hint to stderr, or as one JSON object in the shape of the API's errors."""
    if as_json:
        import json

        body = {"success": False, "errors": [problem.to_dict()], "messages": [], "result": None}
        sys.stderr.write(json.dumps(body, ensure_ascii=False) + "\n")
        return
    _mark("error:", "bold red", problem.message)
    if problem.hint:
        _mark("hint:", "bold cyan", problem.hint)


def trace(problem: BaseException) -> None:
    """Print the trace of an exception to stderr."""
    import traceback

    traceback.print_exception(problem, file=sys.stderr)


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask a yes-or-no question on the terminal; without a terminal, return the default."""
    if not is_terminal():
        return default
    from rich.prompt import Confirm

    return Confirm.ask(question, console=_rich(stderr=True), default=default)


def ask(question: str, default: str, *, choices: Sequence[str] | None = None) -> str:
    """Ask for a line of text on the terminal; without a terminal, return the default."""
    if not is_terminal():
        return default
    from rich.prompt import Prompt

    return Prompt.ask(question, console=_rich(stderr=True), default=default, choices=list(choices) if choices else None)


class QuietProgress:
    """Stand in for rich's Progress where no terminal shows one."""

    def add_task(self, description: str, total: float | None = None, **fields: Any) -> int:
        del description, total, fields
        return 0

    def update(self, task_id: int, **fields: Any) -> None:
        del task_id, fields


@contextmanager
def progress(*columns: Any) -> Generator[Progress | QuietProgress]:
    """Show progress on stderr while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield QuietProgress()
        return
    from rich.progress import Progress

    with Progress(*columns, console=_rich(stderr=True), transient=True) as bar:
        yield bar


def counted(count: int, noun: str) -> str:
    """Return `1 chunk`, `2 chunks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def human_bytes(count: float) -> str:
    """Return a number of bytes in the unit a person reads, `93.8 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
