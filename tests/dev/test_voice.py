"""What a session writes to a person."""

from __future__ import annotations

import pytest

from edgecli.dev.voice import Screen


def test_models_stand_below_each_other_and_lines_break_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Screen, "width", 40)
    rows = [
        ["@edge/a", "llama_cpp", "cpu", "8192", "483.1 MiB", "0/8 slots", "29 min"],
        ["@edge/b", "onnx", "", "", "", "idle", ""],
    ]

    headings = ("model", "engine", "device", "context", "memory", "busy", "stays")
    Screen(level="debug").models(rows, headings)

    assert capsys.readouterr().err.splitlines() == [
        "@edge/a",
        "  engine llama_cpp · device cpu ·",
        "  context 8192 · memory 483.1 MiB ·",
        "  busy 0/8 slots · stays 29 min",
        "@edge/b",
        "  engine onnx · idle",
    ]
