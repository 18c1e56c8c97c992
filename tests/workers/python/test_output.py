"""What a Worker says."""

from __future__ import annotations

from edgecli.workers.journal import LINES_KEPT, LONGEST_LINE
from tests.workers.python.conftest import Loop, Start, default, eventually


def levels(event: object) -> list[tuple[str, str]]:
    return [(each["level"], each["message"][0]) for each in event.logs]  # pyright: ignore


def test_lines_belong_to_their_request(start: Start) -> None:
    worker = start(
        "import warnings\nfrom js import console\n"
        + default("""
            name = request.url.rpartition("/")[2]
            print("hello", name, "你好")
            print("to stderr", file=sys.stderr)
            await asyncio.sleep(0.05)
            logging.getLogger("mine").warning("careful %s", name)
            logging.info("note")
            console.error("bad", {"a": 1})
            await asyncio.to_thread(print, "from a thread")
            print("no end", end="")
            return Response(name)
        """)
    )

    worker.get("/a")
    worker.get("/b")

    for name, event in zip("ab", worker.events(lambda event: event.event is not None, count=2), strict=True):
        assert levels(event) == [
            ("log", f"hello {name} 你好"),
            ("error", "to stderr"),
            ("warn", f"careful {name}"),
            ("info", "note"),
            ("error", "bad {'a': 1}"),
            ("log", "from a thread"),
            ("log", "no end"),
        ]


def test_lines_outside_of_requests(start: Start) -> None:
    worker = start(
        "import warnings\n"
        "print('while importing')\n"
        "warnings.warn('old news')\n"
        "os.write(1, b'native\\n')\n"
        "os.system('echo from a child')\n" + default("return Response('ok')")
    )

    assert worker.said("while importing").event is None
    assert worker.said("UserWarning: old news")
    assert worker.said("native")
    assert worker.said("from a child")


def test_50_mb_of_lines_are_bounded(start: Start, loop: Loop) -> None:
    worker = start(
        default("""
            if request.url.endswith("/ok"):
                return Response("ok")
            for number in range(500_000):
                print("x" * 100)
            print("y" * 1_000_000)
            return Response("done")
        """)
    )

    assert worker.get("/").text == "done"
    event = worker.events(lambda event: event.event is not None)[0]
    assert len(event.logs) == LINES_KEPT
    assert event.left_out == 500_001 - LINES_KEPT
    assert worker.get("/ok").text == "ok"


def test_logging_as_it_was_set_up(start: Start) -> None:
    worker = start(
        "logging.basicConfig(level=logging.DEBUG)\n"
        + default("logging.debug('details')\nsys.stdout.buffer.write(b'raw')\nreturn Response()")
    )

    worker.get("/")

    event = worker.events(lambda event: event.event is not None)[0]
    assert levels(event) == [("debug", "details")]


def test_a_long_line_is_cut(start: Start) -> None:
    worker = start(
        default('print("y" * 5_000_000)\nfor _ in range(1000): print("z" * 1000, end="")\nreturn Response()')
    )

    worker.get("/")

    event = worker.events(lambda event: event.event is not None)[0]
    assert [len(line) for line in worker.lines(event)] == [LONGEST_LINE, LONGEST_LINE]


def test_50_mb_of_native_lines_are_bounded(start: Start) -> None:
    worker = start(
        default("""
            def flood():
                for _ in range(500):
                    os.write(1, (b"x" * 99 + b"\\n") * 1000)
            await asyncio.to_thread(flood)
            return Response("done")
        """)
    )

    assert worker.get("/").text == "done"
    assert worker.said("more lines left out")
    assert sum(len(event.logs) for event in worker.journal.last) < 5_000


def test_lines_outside_of_requests_are_bounded(start: Start) -> None:
    worker = start(
        "import threading\n"
        + default("""
            def flood():
                for number in range(100_000):
                    print(number)
            thread = threading.Thread(target=flood)
            thread.start()
            await asyncio.to_thread(thread.join)
            return Response("done")
        """)
    )

    assert worker.get("/").text == "done"
    assert worker.said("more lines left out")
    assert sum(len(event.logs) for event in worker.journal.last) < 5_000


def test_wait_until_goes_on_after_the_answer(start: Start) -> None:
    worker = start(
        default("""
            from workers import waitUntil as wait_until
            async def later(text):
                await asyncio.sleep(0.2)
                print(text)
            self.ctx.waitUntil(later("by ctx"))
            self.ctx.wait_until(later("by wait_until"))
            wait_until(later("by the module"))
            self.ctx.passThroughOnException()
            return Response("first")
        """)
    )

    assert worker.get("/").text == "first"
    for text in ("by ctx", "by wait_until", "by the module"):
        assert worker.said(text)


def test_wait_until_tells_when_it_fails(start: Start) -> None:
    worker = start(
        default("""
            async def later():
                raise ValueError("later it broke")
            self.ctx.waitUntil(later())
            return Response("ok")
        """)
    )

    assert worker.get("/").text == "ok"
    assert worker.said("ValueError: later it broke")


def test_stop_lets_wait_until_end(start: Start, loop: Loop) -> None:
    worker = start(
        default("""
            async def later():
                await asyncio.sleep(0.5)
                print("it ended")
            self.ctx.waitUntil(later())
            return Response("ok")
        """)
    )
    worker.get("/")

    worker.stop(grace=20)

    assert worker.said("it ended")


def test_scheduled(start: Start, loop: Loop) -> None:
    worker = start(
        "async def on_scheduled(controller, env, ctx):\n"
        "    print(controller.cron, controller.scheduledTime > 0, env.N)",
        values={"N": "n"},
    )

    loop.run(worker.process.scheduled("*/5 * * * *"))

    event = worker.events()[0]
    assert event.event is not None
    assert event.event["cron"] == "*/5 * * * *"
    assert worker.lines(event) == ["*/5 * * * * True n"]


def test_scheduled_of_a_class_that_fails(start: Start, loop: Loop) -> None:
    worker = start(default("raise ValueError('no')", "scheduled(self, controller, env, ctx)"))

    failed = loop.begin(worker.process.scheduled("* * * * *"))

    assert eventually(failed.done)
    assert "ValueError: no" in str(failed.exception())
    assert worker.events()[0].outcome == "exception"


def test_scheduled_that_does_not_end(start: Start, loop: Loop) -> None:
    worker = start(default("await asyncio.sleep(100)", "scheduled(self, controller)"), request_timeout=0.3)

    failed = loop.begin(worker.process.scheduled("* * * * *"))

    assert eventually(failed.done)
    assert str(failed.exception()) == "The Worker did not end its `scheduled` handler within 0.3 s."
    assert "`edgecli.workers.request_timeout`" in str(getattr(failed.exception(), "hint", ""))
