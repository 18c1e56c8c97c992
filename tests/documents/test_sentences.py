from __future__ import annotations

from itertools import pairwise

import pytest

from edgecli.documents.sentences import sentence_ends


def sentences(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise([0, *sentence_ends(text, 0, len(text))])]


@pytest.mark.parametrize(
    "expected",
    [
        ["It costs 3.14 euros.", "Is that much?", "Yes!", "Version 2.0.1 is out."],
        ["Ask Dr. Smith, e.g. by mail.", "He lives in the U.S. of A."],
        ["J. R. R. Tolkien wrote it.", "Open edge.db now."],
        ['She said "Stop."', "Then she left.", "(It was late.)", "Good."],
        ["Wait... what is that?", "Nothing."],
        ["Well … maybe … 20 of them …", "Yes."],
        ["First line\nof a sentence.", "Second one."],
    ],
)
def test_latin(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["你好。", "价格是3.5元；", "真的吗？", "当然！"],
        ["他说：“可以退货。”", "然后走了……", "再见。"],
        ["「分かりました。」", "彼は帰った。"],
        ["（见附录。）", "完。"],
        ["Use SQLite.", "数据库很小。", "It is fast."],
    ],
)
def test_cjk_without_spaces(expected: list[str]) -> None:
    assert sentences("".join(expected).replace("SQLite.", "SQLite. ")) == expected


def test_only_the_given_part_is_looked_at() -> None:
    text = "One. Two. Three. Four."
    assert sentence_ends(text, 5, 16) == [10, 16]
