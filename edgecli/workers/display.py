"""How a Worker's events look: below each other in the terminal of a server, and in `tail`."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, cast
from urllib.parse import unquote

from edgecli.outline import wants_colour
from edgecli.plain import one_line, printable
from edgecli.workers.journal import Event, Journal, Listener

LINES_A_SECOND = 200
"""Lines that are shown in one second; a Worker that writes more is not worth a terminal that hangs."""
LINES_KEPT_FREE = 50
"""Of these for calls that end: what runs and writes without end may not take all."""
LEVELS = ("debug", "info", "log", "warn", "error", "none")
"""From the least to the most important; `none` shows nothing that a Worker writes."""

log = logging.getLogger("edgecli.workers")

_ESCAPED = re.compile("(?:%[89A-Fa-f][0-9A-Fa-f])+")
_PLACE = re.compile("%([sdifjoOc%])")
_STYLE = re.compile("\x1b\\[[0-9;]*m")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_OF_LEVEL = {"error": "red", "warn": "yellow", "debug": "dim"}
_OUTCOMES = {
    "ok": "Ok",
    "canceled": "Canceled",
    "exceededCpu": "Exceeded CPU Limit",
    "exceededMemory": "Exceeded Memory Limit",
    "exception": "Exception Thrown",
}


class Painter:
    """Colours, where they are wanted."""

    def __init__(self, *, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, *styles: str) -> str:
        """Return text in the styles."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(_COLOURS[style] for style in styles)}m{text}\x1b[0m"

    def foreign(self, text: str) -> str:
        """Return what a Worker wrote without orders to the terminal; colours stay where there are any."""
        if not self.colour:
            return printable(_STYLE.sub("", text))
        pieces = _STYLE.split(text)
        if len(pieces) == 1:
            return printable(text)
        styles = [*_STYLE.findall(text), "\x1b[0m"]
        return "".join(printable(piece) + style for piece, style in zip(pieces, styles, strict=True))


def words(message: Sequence[Any]) -> str:
    """Return what `console.log` was given as one text; a `%s` or the like in the first takes in the next one."""
    first, rest = (message[0], list(message[1:])) if message else ("", [])

    def filled(place: re.Match[str]) -> str:
        kind = place[1]
        if kind == "%" or not rest:
            return "%" if kind == "%" else place[0]
        value = rest.pop(0)
        if kind in "dif" and not isinstance(value, int | float):
            return "NaN"
        return "" if kind == "c" else _word(value)

    text = _PLACE.sub(filled, first) if rest and isinstance(first, str) else _word(first)
    return " ".join([text, *map(_word, rest)])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def request_line(event: Event, paint: Painter, *, named: bool = False) -> str:
    """Return `GET /path 200 OK (12 ms, 34+56 tokens)`; `GET /path …` of a call that runs; `named` adds the Worker."""
    facts = event.event or {}
    if event.runs:
        return paint(f"{_call(event)} …", "dim")
    took = [duration(event.milliseconds)] if event.milliseconds is not None else []
    if event.tokens is not None:
        took.append(f"{event.tokens[0]}+{event.tokens[1]} tokens")
    if named:
        took.append(event.worker)
    end = paint(f" ({', '.join(took)})", "dim") if took else ""
    if "request" not in facts:
        outcome = _OUTCOMES.get(event.outcome, "Unknown")
        return f"{_call(event)} {paint(outcome, *_style(event, 0))}{end}"
    status = int((facts.get("response") or {}).get("status") or 0)
    said = status_text(status) if status else _OUTCOMES.get(event.outcome, "Unknown")
    if status and event.outcome != "ok" and status < 500:  # what had begun well did not end so
        said += ", canceled" if event.outcome == "canceled" else ", cut off"
    return f"{_call(event)} {paint(said, *_style(event, status))}{end}"


def _call(event: Event) -> str:
    """Return `GET /path`, or `cron "…"`."""
    facts = event.event or {}
    if request := facts.get("request"):
        return f"{request['method']} {one_line(_readable(path_of(request['url'])))}"
    return f'cron "{one_line(str(facts.get("cron", "")))}"'


def _readable(path: str) -> str:
    """Return a path as an address bar shows it: `/%E9%80%80` as `/退`; ASCII stays escaped."""

    def plain(found: re.Match[str]) -> str:
        try:
            text = unquote(found[0], errors="strict")
        except UnicodeDecodeError:
            return found[0]
        return text if text.isprintable() else found[0]

    return _ESCAPED.sub(plain, path)


def duration(count: float) -> str:
    """Return milliseconds as the log shows them."""
    if isinstance(count, int):  # JavaScript's clock has whole milliseconds
        return f"{count} ms" if count else "<1 ms"
    return f"{count:.1f} ms" if count < 10 else f"{count:.0f} ms"


def path_of(url: str) -> str:
    """Return the path and the query of a URL, whose host may be anything: a client wrote it."""
    _, slash, rest = url.partition("://")[2].partition("/")
    return f"/{rest}" if slash else "/"


def status_text(status: int) -> str:
    """Return `404 Not Found`; of a status that has no name, the number."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _style(event: Event, status: int) -> tuple[str, ...]:
    if status >= 500 or event.outcome not in ("ok", "canceled"):
        return ("red",)
    if status >= 400 or event.outcome == "canceled":
        return ("yellow",)
    return ("cyan",) if status >= 300 else ("green",)


def detail(event: Event, paint: Painter, *, level: str = "debug") -> Iterator[str]:
    """Yield its console's lines from a level on, as far as they were not shown before its end, and its exceptions."""
    least = LEVELS.index(level)
    for entry in event.logs[event.told :]:
        if LEVELS.index(entry["level"]) < least:
            continue
        style = (_OF_LEVEL[entry["level"]],) if entry["level"] in _OF_LEVEL else ()
        for line in paint.foreign(words(entry["message"])).split("\n"):
            yield f"  {paint(line, *style)}"
    for each in event.exceptions:
        text = each["stack"].rstrip() or f"{each['name']}: {each['message']}"
        for line in paint.foreign(text).split("\n"):
            yield f"  {paint(line, 'red')}"


def pretty(event: Mapping[str, Any], paint: Painter) -> Iterator[str]:
    """Yield the lines of an event of `tail`, as `wrangler tail --format pretty` writes them."""
    facts = cast("dict[str, Any]", event["event"] or {})
    outcome = _OUTCOMES.get(event["outcome"], "Unknown")
    when = _local(event["eventTimestamp"])
    if "request" in facts:
        request = facts["request"]
        head = f"{request['method'].upper()} {one_line(request['url'])} - {outcome} @ {when}"
    elif "cron" in facts:
        head = f'"{one_line(facts["cron"])}" @ {_local(facts["scheduledTime"])} - {outcome}'
    else:
        head = f"{event['scriptName']} - {outcome} @ {when}"
    yield paint(head, *(() if event["outcome"] in ("ok", "canceled") else ("red",)))
    for entry in event["logs"]:
        first, *rest = paint.foreign(words(entry["message"])).split("\n")
        yield f"  ({entry['level']}) {first}"
        yield from (f"    {line}" for line in rest)
    if event["edge"]["left_out"]:
        yield f"  … {event['edge']['left_out']} lines left out"
    for each in event["exceptions"]:
        text = each["stack"].rstrip() or f"{each['name']}: {each['message']}"
        yield from (paint(f"  {line}", "red") for line in paint.foreign(text).split("\n"))


def _local(milliseconds: float) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


class Reporter:
    """Follow a journal and write to stderr what happens, without ever flooding it."""

    def __init__(
        self,
        *,
        form: Literal["none", "text", "json"],
        level: str = "debug",
        write: Callable[[str], object] | None = None,
    ) -> None:
        """`form` is that of requests, as `edgecli.server.log` has it; `level` the least of lines to show."""
        self.form = form
        self.level = level
        self.own: str | None = None
        """The Worker whose requests bear no name; None names nobody's."""
        self.paint = Painter(colour=wants_colour(sys.stderr))
        self._write = write or sys.stderr.write
        self._budget = LINES_A_SECOND
        self._left_out = 0
        self._listener = Listener(live=form != "json")
        self._last: dict[str, Any] | None = None
        """The `event` of the call that runs whose lines were shown last."""

    async def follow(self, journal: Journal) -> None:
        """Report events until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._each_second())
            async for event in journal.follow(self._listener):
                try:
                    self.report(event)
                except Exception:  # what cannot be shown is no reason to end the server
                    log.exception("What the Worker `%s` did cannot be shown", event.worker)

    async def _each_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.renew()

    def renew(self) -> None:
        """Begin another second."""
        self._budget = LINES_A_SECOND
        if self._listener.missed:
            self._write(self.paint(f"  … {self._listener.missed} events left out\n", "dim"))
            self._listener.missed = 0
        if self._left_out:
            self._write(self.paint(f"  … {self._left_out} lines left out\n", "dim"))
            self._left_out = 0

    def report(self, event: Event) -> None:
        """Write an event, as far as this second has room for it."""
        if self._budget == 0:  # what no one will see is only counted: to draw it costs more than the request did
            self._left_out += self._count(event)
            return
        lines = [_record(event)] if self.form == "json" else list(self._lines(event))
        shown = lines[: max(0, self._budget - (LINES_KEPT_FREE if event.runs else 0))]
        self._budget -= len(shown)
        self._left_out += len(lines) - len(shown) + (event.left_out if self.form != "json" else 0)
        if shown:
            self._write("\n".join(shown) + "\n")
            self._last = event.event if event.runs else None

    def _count(self, event: Event) -> int:
        """Return about how many lines an event has: text may have more than one."""
        if self.form == "json":
            return 1
        least = LEVELS.index(self.level)
        lines = sum(LEVELS.index(entry["level"]) >= least for entry in event.logs[event.told :])
        headed = event.event is not None and self.form == "text" and not event.runs
        return lines + len(event.exceptions) + headed + event.left_out

    def _lines(self, event: Event) -> Iterator[str]:
        lines = list(detail(event, self.paint, level=self.level))
        if event.runs and not lines:
            return
        goes_on = event.runs and event.event is self._last
        if event.event is not None and self.form == "text" and not goes_on:
            yield request_line(event, self.paint, named=self.own is not None and event.worker != self.own)
        yield from lines


def _record(event: Event) -> str:
    """Return an event as one line of JSON, with the names that the log of the platform's requests has."""
    facts = event.event or {}
    record: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "worker": event.worker}
    if "request" in facts:
        status = (facts.get("response") or {}).get("status")
        record |= {"method": facts["request"]["method"], "path": path_of(facts["request"]["url"]).partition("?")[0]}
        record |= {"status": status, "ms": event.milliseconds}
    if "cron" in facts:
        record |= {"cron": facts["cron"], "ms": event.milliseconds}
    if event.tokens is not None:
        record["tokens"] = list(event.tokens)
    record |= {"outcome": event.outcome, "logs": event.logs, "exceptions": event.exceptions}
    if event.left_out:
        record["left_out"] = event.left_out
    return json.dumps(record, ensure_ascii=False)
