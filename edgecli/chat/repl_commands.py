"""What the commands of the chat do on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgecli import console
from edgecli.chat import display
from edgecli.chat.lookup import Lookup
from edgecli.chat.markdown import ChatMarkdown
from edgecli.chat.session import Session
from edgecli.chat.slash import Command, help_text
from edgecli.chat.stop import confirm
from edgecli.errors import EdgeError
from edgecli.plain import printable


class ReplCommands:
    """The commands that change or show a session."""

    def __init__(self, session: Session, lookup: Lookup, screen: Console) -> None:
        self._session = session
        self._lookup = lookup
        self._screen = screen

    def run(self, command: Command) -> None:
        """Do one command. Raises EdgeError."""
        actions = {
            "model": self._model,
            "system": self._system,
            "index": self._index,
            "clear": self._clear,
            "save": self._save,
            "load": self._load,
            "tokens": self._tokens,
            "sources": self._sources,
            "help": self._help,
        }
        actions[command.name](command.argument)

    def _model(self, name: str) -> None:
        if not name:
            self._list_models()
            return
        model = self._lookup.find_model(name)
        self._session.model = name
        console.success(f"The model is {model.shown} from here on.")
        if not model.installed:
            console.warn(f"It is not on this machine yet: `edgecli models pull {name}` brings it.")

    def _list_models(self) -> None:
        console.note(f"The model is {self._lookup.shown(self._session.model)}. `/model ID` takes another:")
        models = list(self._lookup.models(fresh=True).values())
        for model in models:
            if model.installed:
                about = f"  {model.context:,} tokens" if model.context else ""
                console.out(f"  {model.shown}{about}")
        others = sum(not model.installed for model in models)
        if others:
            console.note(f"{display.count(others, 'other')} can be pulled: `edgecli models list`.")

    def _system(self, text: str) -> None:
        if text.lower() == "off":
            self._session.system = None
            console.success("There is no system prompt of yours any more.")
        elif text:
            self._session.system = text
            console.success("The system prompt is set; it holds from the next question on.")
        else:
            console.out(self._session.system or "There is no system prompt of yours.")

    def _index(self, name: str) -> None:
        if name.lower() == "off":
            self._session.index = None
            console.success("The model answers without an index from here on.")
        elif name:
            self._session.index = self._lookup.find_index(name)
            console.success(f"Answers come from the index {self._session.index} from here on.")
        else:
            current = self._session.index
            console.note(f"The index is {current}." if current else "There is no index.")
            for known in self._lookup.indexes(fresh=True):
                console.out(f"  {known}")

    def _clear(self, _: str) -> None:
        self._session.clear()
        console.success("The conversation is forgotten.")

    def _save(self, name: str) -> None:
        from edgecli.chat.transcript import save

        path = Path(name).expanduser()
        replace = path.is_file() and confirm(f"`{path}` exists. Replace it?", default=False)
        if path.is_file() and not replace:
            console.note("Nothing was written.")
            return
        save(self._session, path, replace=replace)
        console.success(f"Wrote {display.count(len(self._session.turns), 'turn')} to {path}.")

    def _load(self, name: str) -> None:
        from edgecli.chat.transcript import load

        path = Path(name).expanduser()
        loaded = load(path)
        if self._session.turns and not confirm("Replace the present conversation?", default=False):
            console.note("Nothing was loaded.")
            return
        self._take_settings(loaded)
        self._session.turns = loaded.turns
        self._session.forgotten = loaded.forgotten
        self._session.unanswered = loaded.unanswered
        console.success(f"Loaded {display.count(len(loaded.turns), 'turn')} from {path}.")
        if loaded.turns:
            last = loaded.turns[-1]
            console.note(f"› {last.question}")
            self._screen.print(ChatMarkdown(printable(last.answer)))

    def _take_settings(self, loaded: Session) -> None:
        self._session.system = loaded.system
        try:
            if loaded.model:
                self._session.model = self._lookup.find_model(loaded.model).id
            self._session.index = self._lookup.find_index(loaded.index) if loaded.index else None
        except EdgeError as error:
            console.warn(f"{error.message} The conversation goes on with what is set now.")

    def _tokens(self, _: str) -> None:
        console.out(display.tokens_text(self._session, self._lookup.context(self._session.model)))

    def _sources(self, _: str) -> None:
        console.out(display.sources_text(self._session))

    def _help(self, _: str) -> None:
        console.out(help_text())
