"""The commands of the chat: from a typed line to what shall happen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecli.errors import UsageError, did_you_mean

COMMANDS = {
    "model": ("[ID]", "Show the model, or use another one."),
    "system": ("[TEXT|off]", "Show, set or remove the system prompt."),
    "index": ("[NAME|off]", "Show the index, answer from another one, or from none."),
    "clear": ("", "Forget the conversation; the settings stay."),
    "save": ("FILE", "Write the conversation to FILE.md or FILE.json."),
    "load": ("FILE", "Go on with a conversation that was saved."),
    "retry": ("", "Answer the last question again, with another seed."),
    "tokens": ("", "Show the tokens used, and the context."),
    "sources": ("", "Show the last answer's sources with their text."),
    "help": ("", "Show the commands and keys."),
    "exit": ("", "End the chat; so does Ctrl-D."),
    "quit": ("", "End the chat."),
}
NEEDS_ARGUMENT = {"save", "load"}
TAKES_NONE = {name for name, (argument, _) in COMMANDS.items() if not argument}

# `/etc/passwd` or `/* a comment */` begins a message: a command is one word of letters.
_COMMAND = re.compile(r"/([A-Za-z?]+)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """Text for the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the chat itself."""

    name: str
    argument: str = ""


def parse(line: str) -> Message | Command | None:
    """Tell a command from a message; None for an empty line.

    Raises UsageError for an unknown command, and for one with too few or too many words.
    """
    text = unquote(line).strip()
    if not text:
        return None
    if line.startswith("//"):
        return Message(text[1:])
    match = _COMMAND.fullmatch(line.strip())
    if match is None:
        return Message(text)
    return _checked(match.group(1).lower(), (match.group(2) or "").strip())


def _checked(name: str, argument: str) -> Command:
    name = "help" if name == "?" else name
    beginning = [known for known in COMMANDS if known.startswith(name)]
    if name not in COMMANDS and len(beginning) == 1:
        name = beginning[0]
    if name not in COMMANDS:
        hint = did_you_mean(f"/{name}", [f"/{known}" for known in COMMANDS])
        raise UsageError(
            f"There is no command `/{name}`.",
            hint=f"{hint or '`/help` lists the commands.'} Type `//{name}` to send it as a message.",
            code="no_such_command",
        )
    if name in NEEDS_ARGUMENT and not argument:
        raise UsageError(
            f"`/{name}` needs the name of a file.",
            hint=f"For example `/{name} talk.md`.",
            code="missing_argument",
        )
    if name in TAKES_NONE and argument:
        raise UsageError(
            f"`/{name}` takes nothing after it, and got `{argument}`.",
            hint=f"Begin with `//{name}` to send it as a message.",
            code="extra_argument",
        )
    return Command(name, argument)


def wants_more(text: str) -> bool:
    """Tell whether Enter shall begin a new line: after a backslash, and inside an open `\"\"\"` block."""
    stripped = text.strip()
    if stripped.startswith('"""'):
        return len(stripped) < 6 or not stripped.endswith('"""')
    return _odd_backslashes(text)


def _odd_backslashes(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def unquote(text: str) -> str:
    """Take the `\"\"\"` off a block."""
    stripped = text.strip()
    if stripped.startswith('"""') and stripped.endswith('"""') and len(stripped) >= 6:
        return stripped[3:-3].strip("\n")
    return text


def help_text() -> str:
    """Return what `/help` shows."""
    lines = [f"  {f'/{name} {argument}'.ljust(20)} {text}" for name, (argument, text) in COMMANDS.items()]
    keys = [
        ("Enter", "Send the message."),
        ("Alt-Enter, \\ Enter", "Begin a new line."),
        ('""" … """', "Enclose a message of many lines."),
        ("Ctrl-C", "Stop the answer, or discard what is typed."),
        ("Ctrl-D", "End the chat."),
        ("//text", "Send a message that starts with a slash."),
    ]
    return "\n".join([*lines, "", *(f"  {key.ljust(20)} {text}" for key, text in keys)])
