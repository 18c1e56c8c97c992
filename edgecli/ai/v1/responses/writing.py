"""How an answer is written: the response object, whole and while it comes into being."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from edgecli.ai.engines.generation import Piece, TokenLogprob, Usage
from edgecli.ai.tasks.answer import Answer
from edgecli.ai.tasks.chat_completion import token_entry
from edgecli.ai.v1.failures import openai_error
from edgecli.ai.v1.responses.memory import ResponseMemory
from edgecli.ai.v1.responses.reading import ResponseCall
from edgecli.errors import EdgeError

Event = dict[str, Any]


class ResponseWriter:
    """Write one response, event by event; what the events told is the response at the end.

    Pieces of calls of tools come in the order of the calls: one is whole when the next begins.
    """

    def __init__(self, call: ResponseCall, model: str) -> None:
        self.id = f"resp_{uuid.uuid4().hex}"
        self._call = call
        self._model = model
        self._created = int(time.time())
        self._number = -1
        self._output: list[dict[str, Any]] = []
        self._open: int | str | None = None
        """What the last item is: `reasoning`, `text`, the index of a call, or None after it was closed."""
        self._texts: list[str] = []
        self._untold: list[TokenLogprob] = []
        self._logprobs: list[dict[str, Any]] = []
        self._answer = Answer()

    def begin(self) -> Iterator[Event]:
        """Yield the events before the first piece."""
        yield self._event("response.created", response=self.response("in_progress"))
        yield self._event("response.in_progress", response=self.response("in_progress"))

    def write(self, piece: Piece) -> Iterator[Event]:
        """Yield the events that tell of a piece."""
        self._answer.add(piece)
        # Tokens whose text is held back, as it may become a stop sequence, are told of with the text.
        self._untold.extend(piece.logprobs)
        if piece.reasoning:
            yield from self._think(piece.reasoning)
        if piece.text:
            yield from self._say(piece.text)
        for part in piece.tool_calls:
            if self._open != part.index:
                yield from self._close()
                yield from self._open_call(part.index, part.id or f"call_{uuid.uuid4().hex}", part.name or "")
            if part.arguments:
                self._texts.append(part.arguments)
                yield self._item_event("response.function_call_arguments.delta", delta=part.arguments)

    def end(self) -> Iterator[Event]:
        """Yield the events after the last piece."""
        status = "incomplete" if self._answer.finish_reason == "length" else "completed"
        if not self._output:
            yield from self._open_text()
        yield from self._close(status)
        yield self._event(f"response.{status}", response=self.response(status))

    def fail(self, error: EdgeError) -> Iterator[Event]:
        """Yield the events that end a response whose model failed."""
        said = openai_error(error)["error"]
        yield self._event("error", code=said["code"], message=said["message"], param=None, edge=said["edge"])
        failed = self.response("failed") | {"error": {"code": "server_error", "message": said["message"]}}
        yield self._event("response.failed", response=failed)

    def _think(self, text: str) -> Iterator[Event]:
        if self._open != "reasoning":
            self._open = "reasoning"
            item = {"id": f"rs_{uuid.uuid4().hex}", "type": "reasoning", "summary": []}
            self._output.append(item | {"status": "in_progress", "content": []})
            yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=self._output[-1])
        self._texts.append(text)
        yield self._item_event("response.reasoning_text.delta", content_index=0, delta=text)

    def _say(self, text: str) -> Iterator[Event]:
        if self._open != "text":
            yield from self._close()
            yield from self._open_text()
        self._texts.append(text)
        entries = self._entries(self._untold)
        self._logprobs += entries
        self._untold = []
        yield self._item_event("response.output_text.delta", content_index=0, delta=text, logprobs=entries)

    def _open_text(self) -> Iterator[Event]:
        self._open = "text"
        item = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant"}
        self._output.append(item | {"status": "in_progress", "content": []})
        yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=self._output[-1])
        yield self._item_event("response.content_part.added", content_index=0, part=_text("", []))

    def _open_call(self, index: int, call_id: str, name: str) -> Iterator[Event]:
        self._open = index
        item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "call_id": call_id, "name": name}
        self._output.append(item | {"status": "in_progress", "arguments": ""})
        yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=self._output[-1])

    def _close(self, status: str = "completed") -> Iterator[Event]:
        """Yield the events that end the item that is open."""
        if self._open is None:
            return
        whole, logprobs = "".join(self._texts), self._logprobs
        what, self._open = self._open, None
        self._texts, self._logprobs, self._untold = [], [], []
        # A new object: the events that told of the item are perhaps not written yet.
        if what == "reasoning":
            content = [{"type": "reasoning_text", "text": whole}]
            self._output[-1] = self._output[-1] | {"status": status, "content": content}
            yield self._item_event("response.reasoning_text.done", content_index=0, text=whole)
        elif what == "text":
            part = _text(whole, logprobs)
            self._output[-1] = self._output[-1] | {"status": status, "content": [part]}
            yield self._item_event("response.output_text.done", content_index=0, text=whole, logprobs=logprobs)
            yield self._item_event("response.content_part.done", content_index=0, part=part)
        else:
            name = self._output[-1]["name"]
            self._output[-1] = self._output[-1] | {"status": status, "arguments": whole}
            yield self._item_event("response.function_call_arguments.done", name=name, arguments=whole)
        yield self._event("response.output_item.done", output_index=len(self._output) - 1, item=self._output[-1])

    def _entries(self, tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        if not self._call.logprobs:
            return []
        return [
            token_entry(each.token, each.logprob) | {"top_logprobs": [token_entry(*one) for one in each.top]}
            for each in tokens
        ]

    def _event(self, kind: str, **fields: Any) -> Event:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **fields}

    def _item_event(self, kind: str, **fields: Any) -> Event:
        return self._event(kind, item_id=self._output[-1]["id"], output_index=len(self._output) - 1, **fields)

    def response(self, status: str) -> dict[str, Any]:
        """Return the response object as it stands."""
        body, request = self._call.body, self._call.request
        done = status not in {"in_progress", "failed"}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": None,
            "metadata": body.metadata,
            "model": self._model,
            "output": [*self._output],
            "parallel_tool_calls": body.parallel_tool_calls,
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": body.store,
            "temperature": request.temperature,
            "text": {"format": body.text.format or {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": [_function(tool) for tool in body.tools],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": request.top_p,
            "truncation": body.truncation,
            "usage": _usage(self._answer.usage) if done else None,
            "user": None,
        } | self._answer.notes()

    def keep_in(self, memory: ResponseMemory, response: dict[str, Any]) -> None:
        """Let a client read the finished response again, and continue its conversation, the answer included."""
        if self._call.body.store:
            memory.keep(response, [*self._call.conversation, *_spoken(self._answer)])


def _text(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as the response repeats it."""
    flat = tool.get("function", tool)
    return {"type": "function", "description": None, "parameters": None, "strict": False} | flat


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _spoken(answer: Answer) -> Iterable[dict[str, Any]]:
    """Yield the answer as a message; a call that was cut short cannot be continued and is left out."""
    calls: list[dict[str, Any]] = []
    for call in answer.tool_calls.values():
        try:
            function = {"name": call.name, "arguments": json.loads(call.arguments or "{}")}
        except ValueError:
            continue
        calls.append({"id": call.id, "type": "function", "function": function})
    message = {"role": "assistant", "content": answer.text}
    yield message | {"tool_calls": calls} if calls else message


async def whole(writer: ResponseWriter, pieces: AsyncGenerator[Piece], memory: ResponseMemory) -> dict[str, Any]:
    """Return the finished response object and keep it for the next request."""
    response: dict[str, Any] = {}
    async with aclosing(stream(writer, pieces, memory)) as events:
        async for event in events:
            response = event.get("response", response)
    return response


async def stream(
    writer: ResponseWriter, pieces: AsyncGenerator[Piece], memory: ResponseMemory
) -> AsyncGenerator[Event]:
    """Yield the events of a response while it is written; what is raised before the first piece passes through."""
    begun = False
    async with aclosing(pieces):
        async for piece in pieces:
            if not begun:
                begun = True
                for event in writer.begin():
                    yield event
            for event in writer.write(piece):
                yield event
    for event in writer.end():
        if "response" in event:  # kept before it is told: the client may ask at once
            writer.keep_in(memory, event["response"])
        yield event
