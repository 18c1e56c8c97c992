"""How events look, and that a Worker that writes without end floods nobody."""

from __future__ import annotations

import asyncio

from edgecli.workers.display import LINES_A_SECOND, Painter, Reporter, detail, pretty, request_line, words
from edgecli.workers.journal import EVENTS_WAITING, LIVE_SECONDS, Event, Journal, Level, Listener

PLAIN, COLOUR = Painter(colour=False), Painter(colour=True)


def called(status: int = 200, url: str = "http://localhost:8787/a?b=1", **facts: object) -> Event:
    request = {"url": url, "method": "GET", "headers": {"Authorization": "Bearer s", "accept": "*/*"}}
    return Event("trial", event={"request": request, "response": {"status": status}}, **facts)  # type: ignore[arg-type]


def test_a_request_is_one_line() -> None:
    assert request_line(called(milliseconds=12.3, tokens=(34, 56)), PLAIN) == "GET /a?b=1 200 OK (12 ms, 34+56 tokens)"
    assert request_line(called(404, milliseconds=1.25), PLAIN) == "GET /a?b=1 404 Not Found (1.2 ms)"
    assert request_line(called(milliseconds=12.3), PLAIN, named=True) == "GET /a?b=1 200 OK (12 ms, trial)"
    assert request_line(called(299), PLAIN) == "GET /a?b=1 299"
    assert request_line(called(url="http://localhost/a\x1b[2J%0A\n/b"), PLAIN).count("\n") == 0
    assert "\x1b" not in request_line(called(url="http://localhost/\x1b[2J"), PLAIN)
    assert request_line(called(url="http://[/a?b"), PLAIN) == "GET /a?b 200 OK"  # whatever `Host` a client has sent
    cron = Event("trial", event={"cron": "* * * * *", "scheduledTime": 0}, milliseconds=1.0)
    assert request_line(cron, PLAIN) == 'cron "* * * * *" Ok (1.0 ms)'


def test_an_answer_that_did_not_end_says_so() -> None:
    left, broken = called(), called()
    left.outcome = "canceled"
    broken.failed("ValueError", "bad")
    assert request_line(left, PLAIN) == "GET /a?b=1 200 OK, canceled"
    assert request_line(broken, PLAIN) == "GET /a?b=1 200 OK, cut off"


def test_a_path_is_readable() -> None:
    for sent, shown in (
        ("/%e9%80%80%E6%AC%BE?q=%E4%B8%AD+a%20b", "/退款?q=中+a%20b"),
        ("/%2F%0A%1b%25", "/%2F%0A%1b%25"),
        ("/%FF%e9", "/%FF%e9"),  # no UTF-8
        ("/%E2%80%AE%C2%9B", "/%E2%80%AE%C2%9B"),  # orders to a terminal
    ):
        assert request_line(called(url=f"http://localhost{sent}"), PLAIN) == f"GET {shown} 200 OK"


def test_the_colour_is_that_of_the_status() -> None:
    for status, colour in ((200, "32"), (302, "36"), (404, "33"), (500, "31")):
        assert f"\x1b[{colour}m{status}" in request_line(called(status), COLOUR)


def lines(level: str, paint: Painter = PLAIN) -> list[str]:
    event = called()
    levels: tuple[Level, ...] = ("debug", "info", "log", "warn", "error")
    for each in levels:
        event.log(each, each)
    event.log("log", "two\nlines", {"k": ["退款"]}, 1)
    event.log("log", "\x1b[31mred\x1b[0m\x1b]0;title\x07")
    return list(detail(event, paint, level=level))


def test_console_lines_are_indented_and_cannot_give_orders() -> None:
    assert lines("warn") == ["  warn", "  error"]
    assert lines("none") == []
    assert lines("debug")[-3:] == ["  two", '  lines {"k": ["退款"]} 1', "  red]0;title"]
    assert lines("log", COLOUR)[-1] == "  \x1b[31mred\x1b[0m]0;title\x1b[0m"


def test_exceptions_show_their_stack() -> None:
    event = called(500)
    event.failed("ValueError", "bad", "Traceback\n  ValueError: bad\n")
    event.failed("TypeError", "no stack")
    assert list(detail(event, PLAIN)) == ["  Traceback", "    ValueError: bad", "  TypeError: no stack"]


def test_tail_is_as_wranglers() -> None:
    event = called()
    event.log("log", "hello", {"n": 1})
    event.log("error", "a\nb")
    shown = list(pretty(event.to_dict(), PLAIN))
    assert shown[0].startswith("GET http://localhost:8787/a?b=1 - Ok @ ")
    assert shown[1:] == ['  (log) hello {"n": 1}', "  (error) a", "    b"]
    event.failed("Error", "x", outcome="exceededCpu")
    assert "Exceeded CPU Limit" in next(pretty(event.to_dict(), PLAIN))


def test_headers_with_secrets_are_not_shown() -> None:
    assert called().to_dict()["event"]["request"]["headers"] == {"Authorization": "REDACTED", "accept": "*/*"}


def test_a_second_shows_so_many_lines_and_counts_the_rest() -> None:
    written: list[str] = []
    reporter = Reporter(form="text", write=written.append)
    for _ in range(3):
        event = called()
        for number in range(LINES_A_SECOND):
            event.log("log", str(number))
        event.left_out = 1_000_000
        reporter.report(event)
    assert "".join(written).count("\n") == LINES_A_SECOND
    reporter.renew()
    assert written[-1] == f"  … {3_000_000 + 3 * (LINES_A_SECOND + 1) - LINES_A_SECOND} lines left out\n"
    reporter.report(called())
    assert written[-1] == "GET /a?b=1 200 OK\n"


def test_words_are_set_in_as_on_every_console() -> None:
    assert (
        words(["%s has %d of %i: %o%%", "甲", 1.5, 2.7, {"a": [1]}, "and", 3]) == '甲 has 1.5 of 2.7: {"a": [1]}% and 3'
    )
    assert words(["%cred %d %s", "color: red", "x"]) == "red NaN %s"
    assert words(["100%s"]) == "100%s"
    assert words([5, "%s", None]) == "5 %s null"
    assert words([]) == ""


def test_requests_of_other_workers_bear_their_name() -> None:
    written: list[str] = []
    reporter = Reporter(form="text", write=written.append)
    for reporter.own in ("trial", "other"):
        reporter.report(called())
    assert written == ["GET /a?b=1 200 OK\n", "GET /a?b=1 200 OK (trial)\n"]


def test_lines_of_calls_that_run_are_shown_before_their_ends() -> None:
    written: list[str] = []
    journal, reporter = Journal(), Reporter(form="text", write=written.append)
    other = Listener()

    async def pause() -> None:
        await asyncio.sleep(LIVE_SECONDS * 2)

    def shown() -> str:
        text = "".join(written)
        written.clear()
        return text

    async def story() -> list[Event]:
        following = [asyncio.create_task(reporter.follow(journal)), asyncio.create_task(anext(journal.follow(other)))]
        await asyncio.sleep(0.01)
        slow, quick, cron = Event("trial"), called(), Event("trial", event={"cron": "* * * * *", "scheduledTime": 1})
        slow.event = {"request": {"method": "GET", "url": "http://x/slow", "headers": {}}, "response": {"status": 200}}
        journal.log(slow, "log", "one")
        await pause()
        assert shown() == "GET /slow …\n  one\n"
        journal.log(slow, "log", "two")
        journal.log(slow, "log", "three")
        await pause()
        assert shown() == "  two\n  three\n"
        journal.log(quick, "log", "hi")
        journal.add(quick)
        journal.log(slow, "log", "four")
        await pause()
        assert shown() == "GET /a?b=1 200 OK\n  hi\nGET /slow …\n  four\n"
        journal.log(cron, "log", "tick")
        await pause()
        assert shown() == 'cron "* * * * *" …\n  tick\n'
        journal.log(cron, "log", "tack")
        await pause()
        assert shown() == "  tack\n"
        journal.log(slow, "log", "five")
        journal.add(slow)
        await pause()
        assert shown() == "GET /slow 200 OK\n  five\n"
        for task in following:
            task.cancel()
        return list(journal.last)

    quick, slow = asyncio.run(story())
    assert [entry["message"] for entry in slow.logs] == [["one"], ["two"], ["three"], ["four"], ["five"]]
    assert quick.logs[0]["message"] == ["hi"]
    assert other.events.qsize() == 1, "who is not live hears whole calls: one was read, one waits"


def test_the_end_of_a_call_that_writes_without_end_is_seen() -> None:
    written: list[str] = []
    reporter = Reporter(form="text", write=written.append)
    event = called()
    for number in range(LINES_A_SECOND):
        event.log("log", str(number))
    reporter.report(event.rest())
    reporter.report(event)
    assert written[-1] == "GET /a?b=1 200 OK\n"


def test_lines_that_found_no_room_are_headed_and_counted_once() -> None:
    written: list[str] = []
    reporter = Reporter(form="text", write=written.append)
    flood, slow = called(), called(url="http://x/slow")
    for number in range(LINES_A_SECOND):
        flood.log("log", str(number))
    reporter.report(flood.rest())
    slow.log("log", "one")
    reporter.report(slow.rest())  # what is left is kept for calls that end
    for _ in range(2 * LINES_A_SECOND):
        reporter.report(called())
    reporter.report(flood)
    reporter.renew()
    seen = LINES_A_SECOND
    assert written[-1] == f"  … {1 + LINES_A_SECOND + 2 + 2 * LINES_A_SECOND + 1 - seen} lines left out\n"
    slow.log("log", "two")
    reporter.report(slow.rest())
    assert written[-1] == "GET /slow …\n  two\n", "its first line was not shown, and no header"


def test_who_does_not_keep_up_hears_how_much_was_missed() -> None:
    written: list[str] = []
    journal, reporter = Journal(), Reporter(form="text", write=written.append)

    async def story() -> None:
        following = asyncio.create_task(reporter.follow(journal))
        await asyncio.sleep(0.01)
        for _ in range(EVENTS_WAITING + 7):
            journal.add(called())
        await asyncio.sleep(0.05)
        reporter.renew()
        following.cancel()

    asyncio.run(story())
    assert any("7 events left out" in each for each in written)


def test_what_is_counted() -> None:
    journal = Journal()
    journal.add(called())
    bad = called(500)
    bad.failed("Error", "x")
    journal.add(bad)
    journal.add(Event("trial"))
    journal.add(called(outcome="canceled"))
    journal.add(called(runs=True))  # what one said after its end, or long before
    assert (journal.counted("trial"), journal.counted("other")) == ((3, 1), (0, 0))
