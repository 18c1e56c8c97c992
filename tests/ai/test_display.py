"""How answers look as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edgecli.ai.display import Timer, follow_answer
from edgecli.errors import EngineError


def test_an_answer_that_breaks_off_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield {"response": "Once upon"}
        raise EngineError("gone")

    with pytest.raises(EngineError):
        follow_answer(events(), Timer(), as_json=False)
    assert capsys.readouterr().out == "Once upon\n"
