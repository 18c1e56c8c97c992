"""When a Worker's crons are due: five fields, in UTC, with the cloud's names and numbers.

https://developers.cloudflare.com/workers/configuration/cron-triggers/ Days of the week are 1 to 7, and 1 is Sunday.
Where both days are restricted, either is enough, as in cron. `L`, `W` and `#` are not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from edgecli.errors import EdgeError
from edgecli.workers.worker import Worker

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (1, 7, _DAYS))

log = logging.getLogger("edgecli.workers")


class Cron(NamedTuple):
    """The values that each field allows."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read `*/5 9-17 * * MON-FRI`. Raises ValueError that says what it does not know."""
        fields = text.upper().split()
        if len(fields) != len(_FIELDS):
            raise ValueError(f"`{text}` has {len(fields)} fields, not {len(_FIELDS)}")
        sets = [_values(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
        return cls(*sets, any_day=fields[2] == "*", any_weekday=fields[4] == "*")

    def is_due(self, when: datetime) -> bool:
        """Tell whether it is due in this minute of UTC."""
        day, weekday = when.day in self.days, when.isoweekday() % 7 + 1 in self.weekdays
        chosen = day and weekday if self.any_day or self.any_weekday else day or weekday
        return when.minute in self.minutes and when.hour in self.hours and when.month in self.months and chosen


def _values(field: str, least: int, most: int, names: Sequence[str]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = least, most
        else:
            begin = _number(first, least, most, names)
            # `5/15` counts on from 5.
            end = _number(last, least, most, names) if dash else most if step else begin
        width = _number(step, 1, most, ()) if step else 1
        if end < begin:
            raise ValueError(f"`{part}` ends before it begins")
        found.update(range(begin, end + 1, width))
    return frozenset(found)


def _number(text: str, least: int, most: int, names: Sequence[str]) -> int:
    if text in names:
        return names.index(text) + 1
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise ValueError(f"`{text}` is no number from {least} to {most}")
    return int(text)


def due(crons: Iterable[tuple[str, str]], minute: datetime) -> list[tuple[str, str]]:
    """Return those of the Workers' crons, pairs of both names, that are due; one that is not known never is."""
    found: list[tuple[str, str]] = []
    for worker, text in crons:
        with contextlib.suppress(ValueError):
            if Cron.parse(text).is_due(minute):
                found.append((worker, text))
    return found


async def run_crons(
    crons: Callable[[], Iterable[tuple[str, str]]], run: Callable[[str, str], Awaitable[object]]
) -> None:
    """Call `run` with each Worker's name and cron in the minutes in which it is due, until this is cancelled.

    `crons` is asked each minute, in a thread.
    """
    async with asyncio.TaskGroup() as tasks:
        while True:
            minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
            while (left := (minute - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - the clock may be set
                await asyncio.sleep(left)
            try:
                found = due(await asyncio.to_thread(crons), minute)
            except (EdgeError, OSError) as error:
                log.warning("No cron of this minute is run: %s", error)
                continue
            for worker, cron in found:
                tasks.create_task(_run(run, worker, cron))


async def _run(run: Callable[[str, str], Awaitable[object]], worker: str, cron: str) -> None:
    try:
        await run(worker, cron)
    except EdgeError as error:
        log.warning("The cron `%s` of `%s` failed: %s", cron, worker, error)
    except Exception:  # it must not end the others, and the server
        log.exception("The cron `%s` of `%s` failed", cron, worker)


async def run_own_crons(worker: Worker) -> None:
    """Run the handlers of a Worker that stays, when its crons are due, until this is cancelled."""
    for text in worker.spec.crons:
        try:
            Cron.parse(text)
        except ValueError as error:
            log.warning("The cron `%s` is not run: %s.", text, error)
    name = worker.spec.name
    await run_crons(lambda: [(name, cron) for cron in worker.spec.crons], lambda _, cron: worker.scheduled(cron))
