"""What `edgecli ai run` reads from stdin."""

from __future__ import annotations

import io
import sys

import pytest

from edgecli.ai.given import read_stdin
from edgecli.errors import UsageError


def test_a_prompt_that_is_not_utf8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("退款".encode("gb18030"))))
    with pytest.raises(UsageError, match="stdin") as caught:
        read_stdin()
    assert caught.value.code == "bad_encoding"
    assert "iconv" in (caught.value.hint or "")
