"""The chat on a terminal: prompt, answer, prompt."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from edgecli import console
from edgecli.chat import display
from edgecli.chat.answer import Answer, events_of
from edgecli.chat.lookup import Lookup
from edgecli.chat.overflow import is_overflow, turns_to_drop
from edgecli.chat.render import AnswerView, make_console
from edgecli.chat.repl_commands import ReplCommands
from edgecli.chat.session import Session
from edgecli.chat.slash import Command, parse
from edgecli.chat.stop import Interruptible, confirm, quiet_keyboard
from edgecli.errors import EdgeError

if TYPE_CHECKING:
    from edgecli.client import Client


class Repl:
    """One chat on one terminal."""

    def __init__(self, client: Client, session: Session, lookup: Lookup) -> None:
        self._client = client
        self._session = session
        self._console = make_console()
        self._commands = ReplCommands(session, lookup, self._console)
        self._lookup = lookup

    def run(self) -> None:
        """Talk until Ctrl-D or `/exit`. Errors are shown, and the chat goes on."""
        from edgecli.chat.history import history_path, open_history
        from edgecli.chat.prompt import clean, make_prompt

        prompt = make_prompt(open_history(history_path()), self._lookup, self._toolbar)
        self._greet()
        while True:
            try:
                line = clean(prompt.prompt())
            except KeyboardInterrupt:
                console.note("Ctrl-D ends the chat.")
                continue
            except EOFError:
                return
            try:
                with quiet_keyboard():
                    if not self._handle(line):
                        return
            except EdgeError as error:
                console.error(error)
            except KeyboardInterrupt:
                console.note("Stopped.")

    def _toolbar(self) -> str:
        return display.toolbar_text(self._session, model=self._lookup.shown(self._session.model))

    def _greet(self) -> None:
        about = f"index {self._session.index}" if self._session.index else "no index"
        console.note(f"{self._lookup.shown(self._session.model)} · {about}")
        loads = "" if self._client.warm else "The first question loads the model. "
        console.note(f"{loads}/help shows the commands, Ctrl-D ends.")
        console.out()

    def _handle(self, line: str) -> bool:
        """Do what a line says; return whether the chat goes on."""
        what = parse(line)
        if what is None:
            return True
        if not isinstance(what, Command):
            self.ask(what.text)
        elif what.name in ("exit", "quit"):
            return False
        elif what.name == "retry":
            question, replaces = self._session.last_question()
            self.ask(question, replaces=replaces, seed=random.randrange(1, 2**31))
        else:
            self._commands.run(what)
        return True

    def ask(self, question: str, *, replaces: bool = False, seed: int | None = None) -> None:
        """Ask a question and show the answer.

        Where the context is full, old turns are dropped only after a yes, and that is shown.
        """
        if not replaces:
            self._session.unanswered = question
        while True:
            try:
                answer, stopped = self._answer(question, replaces=replaces, seed=seed)
                break
            except EdgeError as error:
                if not is_overflow(error) or not self._drop(error, question, replaces=replaces):
                    raise
        if answer.text.strip():
            self._session.record(answer.to_turn(stopped=stopped), replaces=replaces)
        elif not stopped:
            console.note("The model answered nothing. `/retry` asks again.")
        remarks = display.remarks(answer, limit=self._session.max_tokens)
        if stopped:
            remarks.append("■ Stopped." if answer.text.strip() else "■ Stopped before the answer began.")
        if remarks:
            console.note("\n" + "\n".join(remarks))
        console.out()

    def _answer(self, question: str, *, replaces: bool, seed: int | None) -> tuple[Answer, bool]:
        session = self._session
        request = session.request(question, replaces=replaces, seed=seed)
        answer = Answer(question, model=session.model, index=session.index)
        waiting = f"searching {session.index}" if session.index else f"waiting for {session.model}"
        console.out()
        with (
            AnswerView(self._console, waiting) as view,
            Interruptible(events_of(self._client, request)) as events,
        ):
            for event in events:
                piece = answer.take(event)
                if piece:
                    view.feed(piece)
                elif answer.sources:
                    view.wait_for(f"{session.model} reads {display.count(len(answer.sources), 'passage')}")
        if not events.stopped:
            answer.require_end()
        return answer, events.stopped

    def _drop(self, error: EdgeError, question: str, *, replaces: bool) -> bool:
        """Offer to send the oldest turns no more; return whether that was done."""
        count = turns_to_drop(self._session, error, question, replaces=replaces)
        if not count:
            return False
        console.error(error)
        turns = display.oldest(count)
        if not confirm(f"Drop {turns} from what the model reads, and ask again?", default=True):
            console.note("Nothing was dropped. `/clear` starts anew; `/save` keeps what was said.")
            return False
        self._session.drop_oldest(count)
        console.note(f"Dropped {turns}; `/save` still writes them.")
        return True
