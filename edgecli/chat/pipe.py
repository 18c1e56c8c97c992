"""The chat in a pipe: each line in is a message, and answers alone go out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgecli import console
from edgecli.chat.answer import Answer, events_of
from edgecli.chat.display import remarks
from edgecli.chat.lookup import Lookup
from edgecli.chat.session import Session
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.client import Client


def run_pipe(client: Client, session: Session, lookup: Lookup, *, as_json: bool) -> None:
    """Answer each line of stdin until its end.

    Lines are messages whatever they begin with: text from elsewhere must not be able to give commands. Raises
    the EdgeError of the first turn that fails; UsageError if there was no line with text.
    """
    asked = False
    for line in _lines():
        asked = True
        answer = _answer(client, session, line, write=not as_json)
        session.record(answer.to_turn())
        if as_json:
            if answer.index is None:  # an answer from an index names the model as it ran
                answer.model = lookup.shown(session.model)
            console.print_ndjson(_as_json(answer))
        for remark in [] if as_json else remarks(answer, limit=session.max_tokens):
            console.note(remark)
    if not asked:
        raise UsageError(
            "There is no message on stdin.", hint='`echo "…" | edgecli chat` sends one.', code="empty_message"
        )


def _lines() -> Iterator[str]:
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    for number in range(1, sys.maxsize):
        if asks:
            sys.stderr.write("› ")
            sys.stderr.flush()
        raw = sys.stdin.buffer.readline()
        if not raw:
            return
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"Line {number} of the input is not UTF-8 text.",
                hint="Convert it first, for example with `iconv -f GB18030 -t UTF-8`.",
                code="bad_encoding",
            ) from error
        if line:
            yield line


def _answer(client: Client, session: Session, question: str, *, write: bool) -> Answer:
    request = session.request(question)
    answer = Answer(question, model=session.model, index=session.index)
    written = ""
    try:
        with closing(events_of(client, request)) as events:
            for event in events:
                piece = answer.take(event)
                if write and piece:
                    console.write(piece)
                    written += piece
    finally:
        if written and not written.endswith("\n"):
            console.out()
        sys.stdout.flush()
    answer.require_end()
    return answer


def _as_json(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = {"role": "assistant", "content": answer.text}
    rest = asdict(answer)
    names = ["model", "usage"]
    if answer.index is not None:
        names += ["index", "sources", "dropped", "cited", "grounded", "method", "unsupported", "timings"]
    return body | {name: rest[name] for name in names}
