"""What a fault of ours looks like on stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from edgecli import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    own = logging.getLogger("edgecli")
    before = [
        (logger, list(logger.handlers)) for logger in (own, logging.getLogger("uvicorn.error"), logging.getLogger())
    ]
    yield
    for logger, handlers in before:
        logger.handlers[:] = handlers


def _fail() -> None:
    try:
        raise ValueError("退款")
    except ValueError:
        logging.getLogger("edgecli.server").exception("a stream failed")
    logging.getLogger("some.library").warning("nobody's business")


def test_a_command_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        logs.configure(traces=False)
    _fail()
    assert capsys.readouterr().err == "warning: a stream failed: ValueError: 退款\n"


def test_what_the_http_server_says_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(traces=False)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert capsys.readouterr().err == "warning: Invalid HTTP request received.\n"


def test_who_asks_gets_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(traces=True, libraries=True)
    _fail()
    shown = capsys.readouterr().err
    assert shown.count("Traceback") == 1
    assert "nobody's business" in shown
