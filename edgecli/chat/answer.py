"""An answer on its way: the events of both streams, put together."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgecli.ai.wire import text_of_event
from edgecli.chat.session import Request, Turn
from edgecli.errors import UpstreamError

if TYPE_CHECKING:
    from edgecli.client import Client


@dataclass(slots=True)
class Answer:
    """What has come of one answer so far."""

    question: str
    model: str | None = None
    """With the stand-in that runs in its place, where there is one."""
    index: str | None = None
    text: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    dropped: list[Any] = field(default_factory=list[Any])
    """Passages that were found and did not fit into the context."""
    cited: list[int] = field(default_factory=list[int])
    grounded: bool | None = None
    method: str | None = None
    """With an index: `generated`, `quoted` or `none`."""
    unsupported: list[str] = field(default_factory=list[str])
    """Sentences of the answer that no source holds."""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    timings: dict[str, Any] = field(default_factory=dict[str, Any])
    finish_reason: str | None = None
    finished: bool = False
    """Whether the last event has come."""

    def take(self, event: dict[str, Any]) -> str:
        """Take one event in, and return the piece of text it adds."""
        if event.get("event") == "sources":
            self.sources = list(event.get("sources") or [])
            self.dropped = list(event.get("dropped") or [])
            return ""
        if event.get("event") == "done":
            self._take_end(event)
            return ""
        piece = text_of_event(event)
        self.text += piece
        self.finish_reason = event.get("finish_reason") or self.finish_reason
        if event.get("usage"):
            self.usage = dict(event["usage"])
            self.finished = True
        return piece

    def _take_end(self, event: dict[str, Any]) -> None:
        self.text = str(event.get("answer", self.text))
        self.sources = list(event.get("sources") or self.sources)
        self.cited = [int(number) for number in event.get("cited") or []]
        self.grounded = bool(event.get("grounded"))
        self.method = event.get("method")
        self.unsupported = [str(statement) for statement in event.get("unsupported") or []]
        self.model = event.get("model") or self.model
        self.usage = dict(event.get("usage") or {})
        self.timings = dict(event.get("timings") or {})
        self.finished = True

    def require_end(self) -> None:
        """Raise UpstreamError, code `answer_cut_off`, if the stream ended before the answer did."""
        if not self.finished:
            raise UpstreamError(
                "The stream ended before the answer did.",
                hint="If `edgecli serve` runs, look at its terminal; then ask again.",
                code="answer_cut_off",
            )

    def cited_sources(self) -> list[dict[str, Any]]:
        """Return the sources that the answer cites, in their order."""
        return [source for source in self.sources if source.get("n") in self.cited]

    def to_turn(self, *, stopped: bool = False) -> Turn:
        """Return the turn to keep."""
        return Turn(
            question=self.question,
            answer=self.text,
            model=self.model,
            index=self.index,
            stopped=stopped,
            sources=self.sources,
            cited=self.cited,
            grounded=self.grounded,
            usage=self.usage,
        )


def events_of(client: Client, request: Request) -> Generator[dict[str, Any]]:
    """Yield the events of the answer; closing the iterator closes the request, so that the engine stops.

    Raises EdgeError; UpstreamError, code `server_gone`, if the server goes away in the middle.
    """
    from http.client import HTTPException

    try:
        yield from client.events("POST", request.path, json=request.body)
    except (OSError, HTTPException) as error:
        raise UpstreamError(
            f"The server went away in the middle of the answer: {error or type(error).__name__}.",
            hint="Start `edgecli serve` again, or leave it off: then the chat runs the model itself.",
            code="server_gone",
        ) from error


def source_line(source: dict[str, Any]) -> str:
    """Return a source in one line, `[1] docs/refunds.md › Refund window`."""
    heading = str(source.get("heading") or "").replace(" > ", " › ")
    return f"[{source.get('n')}] {source.get('file') or source.get('id')}" + (f" › {heading}" if heading else "")
