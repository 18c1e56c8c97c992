"""The line where messages and commands are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from edgecli.chat.lookup import Lookup
from edgecli.chat.slash import COMMANDS, wants_more
from edgecli.errors import EdgeError

MARK = "› "
_STYLE = Style.from_dict(
    {
        "mark": "bold ansigreen",
        "continuation": "ansibrightblack",
        "bottom-toolbar": "noreverse ansibrightblack",
        "completion-menu": "bg:default default",
        "completion-menu.completion": "bg:default default",
        "completion-menu.completion.current": "bg:default default reverse",
        "completion-menu.meta.completion": "bg:default ansibrightblack",
        "completion-menu.meta.completion.current": "bg:default ansibrightblack reverse",
    }
)


def make_prompt(history: History, lookup: Lookup, toolbar: Callable[[], str]) -> PromptSession[str]:
    """Return the prompt. It raises EOFError at Ctrl-D, and KeyboardInterrupt at Ctrl-C on an empty line."""

    def is_command() -> bool:
        return session.default_buffer.text.startswith("/")

    session: PromptSession[str] = PromptSession(
        message=[("class:mark", MARK)],
        history=history,
        multiline=True,
        prompt_continuation=_continuation,
        completer=ChatCompleter(lookup),
        complete_while_typing=Condition(is_command),
        complete_in_thread=True,
        bottom_toolbar=lambda: [("class:bottom-toolbar", toolbar())],
        key_bindings=_keys(),
        style=_STYLE,
        enable_suspend=True,
        reserve_space_for_menu=6,
    )
    return session


def _continuation(width: int, line: int, wraps: int) -> StyleAndTextTuples:
    del line
    return [("class:continuation", " " * width if wraps else "· ".rjust(width))]


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        _send_or_break(event.current_buffer)

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.append_to_history()
            buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    return keys


def _send_or_break(buffer: Buffer) -> None:
    """Send the message, unless a completion is chosen or the message goes on in a new line."""
    if buffer.complete_state and buffer.complete_state.current_completion:
        buffer.complete_state = None
    elif wants_more(buffer.text) and buffer.document.is_cursor_at_the_end:
        if buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
        buffer.insert_text("\n")
    else:
        buffer.validate_and_handle()


class ChatCompleter(Completer):
    """Complete commands, and the models, indexes and files that stand after them."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or text.startswith("//") or "\n" in text:
            return
        name, space, argument = text[1:].partition(" ")
        if not space:
            for command, (_, help_line) in COMMANDS.items():
                if command.startswith(name.lower()):
                    yield Completion(f"/{command}", start_position=-len(text), display_meta=help_line)
        elif name in ("save", "load"):
            yield from self._files.get_completions(Document(argument), complete_event)
        elif name in ("model", "index"):
            for known in self._names(name):
                if argument.lower() in known.lower():
                    yield Completion(known, start_position=-len(argument))

    def _names(self, command: str) -> list[str]:
        try:
            return list(self._lookup.models()) if command == "model" else [*self._lookup.indexes(), "off"]
        except EdgeError:
            # A menu is a convenience: the command itself reports what is wrong.
            return []


def clean(text: str) -> str:
    """Replace what is no character, as a terminal with another encoding may send it."""
    return text.encode("utf-8", "replace").decode("utf-8")
