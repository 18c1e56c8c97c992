"""What a Worker says fills nobody's memory."""

from __future__ import annotations

import asyncio

from edgecli.workers.journal import (
    CHARACTERS_HELD,
    CHARACTERS_KEPT,
    LONGEST_LINE,
    LONGEST_STACK,
    Event,
    Journal,
    Listener,
)


def full() -> Event:
    event = Event("trial")
    while not event.left_out:
        event.log("log", "x" * (2 * LONGEST_LINE), {"k": "y" * 1000})
    return event


def test_an_event_has_so_many_characters() -> None:
    event = full()
    assert CHARACTERS_KEPT <= event.characters < CHARACTERS_KEPT + 2 * LONGEST_LINE
    assert event.characters >= sum(len(line["message"][0]) for line in event.logs)
    event.failed("ValueError", "m" * 10**7, "s" * 10**7)
    assert len(event.exceptions[0]["message"]) + len(event.exceptions[0]["stack"]) == LONGEST_LINE + LONGEST_STACK


def test_the_journal_forgets_its_oldest_events() -> None:
    journal = Journal()
    event = full()
    small = Event("trial")
    journal.add(small)
    for _ in range(100):
        journal.add(event)
    assert small not in journal.last
    assert sum(each.characters for each in journal.last) <= CHARACTERS_HELD


def test_so_does_the_queue_of_a_listener_that_is_slow() -> None:
    async def run() -> None:
        listener = Listener()
        event = full()
        for _ in range(100):
            listener.hear(event)
        waiting = listener.events.qsize()
        assert waiting * event.characters <= CHARACTERS_HELD
        assert listener.missed == 100 - waiting
        for _ in range(waiting):
            assert await listener.next() is event
        listener.hear(event)
        assert listener.missed == 100 - waiting
        assert listener.events.qsize() == 1

    asyncio.run(run())
