"""What was typed in earlier chats: a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from edgecli import console


def history_path() -> Path:
    """Return `$EDGECLI_HOME/chat_history`, or the file in the user's state directory."""
    home = os.environ.get("EDGECLI_HOME")
    if home:
        return Path(home).expanduser() / "chat_history"
    import platformdirs

    return Path(platformdirs.user_state_dir("edgecli")) / "chat_history"


def open_history(path: Path) -> History:
    """Return the history of a file, made for its owner alone; if it cannot be written, warn and keep none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.close(descriptor)
        path.chmod(0o600)
    except OSError as error:
        console.warn(f"What you type is not kept for the next chat: cannot write `{path}`: {error.strerror or error}.")
        return InMemoryHistory()
    return FileHistory(str(path))
