"""Conversations on disk, as JSON or as Markdown: both are readable, and both come back as they were.

The Markdown of an answer stands in the file as it is. What belongs to it and is no text (the model, the
sources) stands before it in an HTML comment, which readers of Markdown do not show.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgecli.chat.session import Session, Turn
from edgecli.errors import EdgeError, NotFoundError, UsageError

FORMAT = "edgecli-chat/1"
MAX_BYTES = 64 * 1024 * 1024
_SETTINGS = ("model", "index", "system", "forgotten")
_MARK = re.compile(r"^<!-- edgecli:(chat|user|assistant)(?: (.*))? -->$", re.MULTILINE)
_LOOKS_LIKE_MARK = re.compile(r"^(\\*)(?=<!-- edgecli:)", re.MULTILINE)
_ESCAPED_MARK = re.compile(r"^\\(?=\\*<!-- edgecli:)", re.MULTILINE)
_HEADINGS = {"user": "## You\n\n", "assistant": "## Answer\n\n"}
_turns = TypeAdapter(list[Turn])


def save(session: Session, path: Path, *, replace: bool = False) -> None:
    """Write the conversation: JSON to a name that ends in `.json`, Markdown to any other.

    Raises UsageError, code `file_exists`, if the file exists and is not to be replaced; EdgeError if it
    cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"`{path}` is a folder.", hint="Name a file in it.", code="file_exists")
    text = to_json(session) if path.suffix.lower() == ".json" else to_markdown(session)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if path.exists() and not replace:
            raise UsageError(f"`{path}` exists already.", hint="Choose another name.", code="file_exists")
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EdgeError(
            f"Cannot write `{path}`: {error.strerror or error}.",
            hint="Choose another place.",
            code="unwritable",
        ) from error


def load(path: Path) -> Session:
    """Read a conversation that `save` wrote, or a JSON list of chat messages.

    Raises NotFoundError if there is no such file; UsageError if it holds no conversation.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _broken(path, f"it is larger than {MAX_BYTES >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file `{path}`.", hint="`/load` wants a file that `/save` wrote.") from error
    except OSError as error:
        raise EdgeError(f"Cannot read `{path}`: {error.strerror or error}.", code="unreadable") from error
    except UnicodeDecodeError as error:
        raise _broken(path, "it is not UTF-8 text") from error
    try:
        return from_json(text) if text.lstrip()[:1] in ("{", "[") else from_markdown(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _broken(path, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, str(error)) from error


def to_json(session: Session) -> str:
    """Return the conversation as JSON: its settings, and `messages` by role and content."""
    body = {"format": FORMAT, **_settings(session), "messages": _messages(session)}
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"


def from_json(text: str) -> Session:
    """Read what `to_json` wrote, or a bare list of messages. Raises ValueError."""
    body = json.loads(text)
    if isinstance(body, list):
        body = {"messages": body}
    messages = body.get("messages")
    if isinstance(messages, list):
        return _session(body, messages)
    raise ValueError("it has no list of `messages`")


def to_markdown(session: Session) -> str:
    """Return the conversation as Markdown."""
    parts = [f"<!-- edgecli:chat {_comment({'format': FORMAT, **_settings(session)})} -->\n"]
    for message in _messages(session):
        role, content = message.pop("role"), message.pop("content")
        extra = f" {_comment(message)}" if message else ""
        escaped = _LOOKS_LIKE_MARK.sub(r"\1\\", content)
        parts.append(f"<!-- edgecli:{role}{extra} -->\n{_HEADINGS[role]}{escaped}\n")
    return "\n".join(parts)


def from_markdown(text: str) -> Session:
    """Read what `to_markdown` wrote. Raises ValueError."""
    marks = list(_MARK.finditer(text))
    if not marks or marks[0].group(1) != "chat":
        raise ValueError("it does not begin as `/save` begins a transcript")
    messages: list[Any] = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        extra = _object(mark.group(2) or "{}")
        if mark.group(1) == "chat":
            messages.insert(0, extra)
            continue
        content = text[mark.end() + 1 : following.start() - 1 if following else len(text)]
        content = content.removeprefix(_HEADINGS[mark.group(1)]).removesuffix("\n")
        messages.append({**extra, "role": mark.group(1), "content": _ESCAPED_MARK.sub("", content)})
    return _session(messages[0], messages[1:])


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if isinstance(value, dict):
        return value
    raise ValueError(f"its settings are no JSON object: {text[:60]!r}")


def _settings(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in _SETTINGS}


def _messages(session: Session) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in session.turns:
        extra = asdict(turn)
        messages.append({"role": "user", "content": extra.pop("question")})
        messages.append({"role": "assistant", "content": extra.pop("answer"), **_told(extra)})
    if session.unanswered is not None:
        messages.append({"role": "user", "content": session.unanswered})
    return messages


def _told(extra: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing; that an answer is not grounded does say something."""
    told = {name: value for name, value in extra.items() if value}
    return told | ({"grounded": False} if extra["grounded"] is False else {})


def _session(settings: dict[str, Any], messages: list[Any]) -> Session:
    known = {entry.name for entry in fields(Turn)}
    system = settings.get("system")
    if messages and isinstance(messages[0], dict) and messages[0].get("role") == "system":
        system = messages[0].get("content")
        messages = messages[1:]
    for number, message in enumerate(messages, start=1):
        wanted = "user" if number % 2 else "assistant"
        if (
            not isinstance(message, dict)
            or message.get("role") != wanted
            or not isinstance(message.get("content"), str)
        ):
            raise ValueError(f"message {number} is not a message of the role `{wanted}` with text as its content")
    pairs = zip(messages[::2], messages[1::2], strict=False)
    turns = _turns.validate_python(
        [
            {name: value for name, value in answer.items() if name in known}
            | {"question": question["content"], "answer": answer["content"]}
            for question, answer in pairs
        ]
    )
    session = Session(model=_text(settings, "model") or "", index=_text(settings, "index"), turns=turns)
    session.system = system if isinstance(system, str) else None
    forgotten = settings.get("forgotten")
    session.forgotten = min(max(forgotten, 0), len(turns)) if isinstance(forgotten, int) else 0
    session.unanswered = messages[-1]["content"] if len(messages) % 2 else None
    return session


def _text(settings: dict[str, Any], name: str) -> str | None:
    value = settings.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{name}` must be a text, not {value!r}")
    return value


def _comment(value: dict[str, Any]) -> str:
    # `-->` would end the comment.
    return json.dumps(value, ensure_ascii=False).replace("--", "-\\u002d")


def _broken(path: Path, why: str) -> UsageError:
    return UsageError(
        f"`{path}` is no conversation: {why}.",
        hint="`/load` wants a file that `/save` wrote.",
        code="bad_transcript",
    )
