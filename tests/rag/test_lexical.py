import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.rag.lexical import held_content, identifiers, lone_word, match_expression, segment, terms


def find(documents: list[str], question: str) -> list[int]:
    """Search with SQLite's own FTS5, as the store does, best first."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE fts USING fts5(body, tokenize = 'porter unicode61 remove_diacritics 2')")
    for number, text in enumerate(documents):
        connection.execute("INSERT INTO fts (rowid, body) VALUES (?, ?)", (number, segment(text)))
    expression = match_expression(question)
    if expression is None:
        return []
    rows = connection.execute("SELECT rowid FROM fts WHERE fts MATCH ? ORDER BY bm25(fts)", (expression,))
    return [row for (row,) in rows]


DOCUMENTS = [
    "收到商品后三十天内可以申请退款。",
    "我们使用顺丰速运配送，通常两到三天送达。",
    "Refunds are paid within five working days.",
    "The function sqlite3_prepare_v2() compiles a statement.",
    "人工智能の設計について",
    "환불은 30일 이내에 가능합니다",
]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("怎么申请退款？", 0),
        ("退", 0),
        ("款", 0),
        ("达", 1),
        ("配送要几天", 1),
        ("how do refunds work", 2),
        ("refunding", 2),
        ("sqlite3_prepare_v2", 3),
        ("ＳＱＬＩＴＥ３_prepare", 3),
        ("設計", 4),
        ("환불", 5),
    ],
)
def test_each_script_is_found(question: str, best: int) -> None:
    assert find(DOCUMENTS, question)[0] == best


def test_stop_words_are_left_out_unless_they_are_all() -> None:
    assert terms("How do I get a refund?") == ["refund"]
    assert terms("what is it") == ["what", "is", "it"]


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("退货期限是多少天?", ["退货", "货期", "期限"]),
        ("我有多少天可以申请退款?", ["申请", "请退", "退款"]),
        ("灯油可以退款吗？", ["灯油", "退款"]),
        ("有效期是多久", ["有效", "效期"]),
        ("怎么退", ["退"]),
        ("什么是什么", ["什么", "么是", "是什"]),
        ("有料の設計は", ["有料", "料の", "の設", "設計", "計は"]),
    ],
)
def test_chinese_question_words_make_no_pairs(question: str, content: list[str]) -> None:
    assert terms(question) == content


def test_pairs_that_only_span_two_words_need_not_be_held() -> None:
    assert held_content("周末发货吗", "周六不发货") == (2, 4)
    assert held_content("谁赢得了世界杯", "世界各地的用户") == (2, 5)
    assert held_content("灯油可以退款吗", "退款政策", common=["退款"]) == (0, 2)
    assert held_content("可以退款吗", "退款政策", common=["退款"]) == (2, 2)


def test_names_that_somebody_made_up() -> None:
    assert identifiers("is zq200x like NL-900，or sqlite3_open_v2()？") == ["zq200x", "NL-900", "sqlite3_open_v2"]
    assert identifiers("a well-known 30 days on example.com, e.g. 3.5") == []
    assert (lone_word("Zeppelin?"), lone_word("退款"), lone_word("two words")) == ("zeppelin", "退款", None)


@pytest.mark.parametrize("question", ["", "  ", "!!!", "？？", "-- ;"])
def test_a_question_without_words_has_no_expression(question: str) -> None:
    assert match_expression(question) is None


@given(st.text())
def test_no_question_is_read_as_search_syntax(question: str) -> None:
    assert isinstance(find(["AND OR NOT NEAR some text 一些文字"], question), list)


@given(st.text(alphabet="退款政策运输 abc", min_size=1, max_size=20))
def test_a_text_with_words_finds_itself(text: str) -> None:
    if match_expression(text) is not None:
        assert find(["zzz", text], text) == [1]
