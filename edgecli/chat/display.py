"""What stands below an answer."""

from __future__ import annotations

from edgecli.chat.answer import Answer, source_line
from edgecli.chat.session import Session
from edgecli.plain import printable


def remarks(answer: Answer, *, limit: int | None = None) -> list[str]:
    """Return the lines below an answer: its cited sources, then every reason to doubt it.

    `limit` is the most tokens that the answer could take.
    """
    lines = [source_line(source) for source in answer.cited_sources()]
    if answer.method == "quoted":
        lines.append("The model said nothing that the documents support, so they are quoted.")
    if answer.sources and answer.grounded is False:
        lines += [f"not supported by `{answer.index}`: {_short(statement)}" for statement in answer.unsupported]
        if not answer.unsupported:
            lines.append(f"not grounded: no passage of `{answer.index}` is cited.")
    if answer.dropped:
        lines.append(f"{count(len(answer.dropped), 'passage')} did not fit into the context and were left out.")
    if limit is not None and answer.usage.get("completion_tokens", 0) >= limit:
        lines.append(f"The answer was cut at {limit} tokens; `--max-tokens` allows more.")
    elif answer.finish_reason == "length":
        lines.append("The answer was cut: the context is full. `/clear` makes room.")
    return [printable(line) for line in lines]


def tokens_text(session: Session, context: int | None) -> str:
    """Return what `/tokens` shows."""
    total = session.prompt_tokens + session.completion_tokens
    lines = [
        f"{total:,} tokens so far: {session.prompt_tokens:,} read, {session.completion_tokens:,} written.",
    ]
    last = session.turns[-1].usage if session.turns else {}
    if last:
        used = last.get("prompt_tokens", 0) + last.get("completion_tokens", 0)
        of = f" of {context:,}" if context else ""
        lines.append(f"The last turn took {used:,}{of} tokens of context.")
    elif context:
        lines.append(f"The context of `{session.model}` is {context:,} tokens.")
    if session.forgotten:
        lines.append(f"No longer sent: {oldest(session.forgotten)}.")
    return "\n".join(lines)


def sources_text(session: Session) -> str:
    """Return what `/sources` shows: the last answer's sources with their text."""
    sources = session.turns[-1].sources if session.turns else []
    if not sources:
        return "The last answer has no sources."
    cited = session.turns[-1].cited
    parts: list[str] = []
    for source in sources:
        state = "cited" if source.get("n") in cited else "not cited"
        score = source.get("score")
        shown = f", score {score:.4f}" if isinstance(score, int | float) else ""
        body = "\n".join(f"    {line}" for line in str(source.get("text", "")).splitlines())
        parts.append(f"{source_line(source)}  ({state}{shown})\n{body}")
    return "\n\n".join(parts)


def toolbar_text(session: Session, *, model: str) -> str:
    """Return the line below the prompt."""
    parts = [model]
    if session.index:
        parts.append(f"index {session.index}")
    if session.system:
        parts.append("own system prompt")
    parts.append(f"{session.prompt_tokens + session.completion_tokens:,} tokens")
    parts.append("/help")
    return " · ".join(parts)


def _short(text: str, length: int = 160) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"


def oldest(turns: int) -> str:
    """Name the oldest turns by their number."""
    return "the oldest turn" if turns == 1 else f"the oldest {turns} turns"


def count(number: int, thing: str) -> str:
    """Return a number and its thing, in the plural where it is one."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
