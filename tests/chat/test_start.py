"""How long an answer may get."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.chat.start import ANSWER_TOKENS, _longest_answer
from edgecli.config import load_project


@pytest.mark.parametrize(
    ("setting", "index", "longest"),
    [
        ("", None, ANSWER_TOKENS),
        ("generation.max_tokens = 256", None, 256),
        ("generation.max_tokens = 90", None, 90),
        ("generation.max_tokens = 90\nrag.max_tokens = 70", "docs", 70),
    ],
)
def test_what_the_project_says_counts(tmp_path: Path, setting: str, index: str | None, longest: int) -> None:
    (tmp_path / "wrangler.toml").write_text(f'name = "x"\n[edgecli]\n{setting}\n', encoding="utf-8")
    assert _longest_answer(load_project(cwd=tmp_path), index) == longest
