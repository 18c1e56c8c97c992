"""The file of what was typed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from prompt_toolkit.history import FileHistory, InMemoryHistory

from edgecli.chat.history import history_path, open_history
from edgecli.chat.prompt import clean


def test_the_file_lies_in_edgecli_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path))
    assert history_path() == tmp_path / "chat_history"
    monkeypatch.delenv("EDGECLI_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert history_path().name == "chat_history" and "edgecli" in str(history_path())


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chat_history"
    assert isinstance(open_history(path), FileHistory)
    path.chmod(0o644)
    history = open_history(path)
    history.append_string("多行\ntext")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(open_history(path).load_history_strings()) == ["多行\ntext"]


def test_without_a_place_to_write_the_chat_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert isinstance(open_history(tmp_path / "file" / "chat_history"), InMemoryHistory)
    assert "is not kept for the next chat" in capsys.readouterr().err


def test_bytes_that_are_no_text_become_text() -> None:
    typed = os.fsdecode(b"caf\xe9")
    assert clean(typed) == "caf?"
