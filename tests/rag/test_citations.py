from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.rag.citations import SentenceStream, Statement, judge, read_markers
from edgecli.rag.evidence import Evidence

SOURCES = [
    (
        "Refunds > Refund window",
        "## Refund window\n\nYou can ask for a refund within **30 days of delivery**. "
        "Opened items are refunded at 80%.",
    ),
    (
        "Shipping",
        "Orders ship within two working days from our warehouse in Bergen.\n- Express: 9.50 EUR\n- Slow: free",
    ),
    ("退款政策", "收到商品后30天内可以申请退款。退款会在5个工作日内到账。"),
    ("Damage", "Tell us within 14 days of delivery, with a photo, and we send a new lamp or a refund."),
]


def check(sentence: str, sources: Sequence[tuple[str, str]] = SOURCES, question: str = "") -> Statement:
    text, claimed = read_markers(sentence)
    evidence = Evidence(sources, understands_cjk=False)
    evidence.ask(question, None, None)
    return judge(text, claimed, evidence.support(text, None), sources=len(sources))


@pytest.mark.parametrize(
    ("sentence", "kind", "cited"),
    [
        ("You can ask for a refund within 30 days of delivery [1].", "supported", (1,)),
        ("You can ask for a refund within 30 days of delivery.", "supported", (1,)),
        ("You can ask for a refund within 30 days of delivery [2].", "supported", (1,)),
        ("You can ask for a refund within 30 days of delivery [7].", "supported", (1,)),
        ("You can ask for a refund within 90 days of delivery [1].", "contradicted", ()),
        # Another sentence names 14 days; the one that speaks of asking says 30.
        ("You can ask for a refund within 14 days of delivery [4].", "contradicted", ()),
        ("You cannot ask for a refund within 30 days of delivery [1].", "contradicted", ()),
        ("Express shipping costs 9.50 EUR [2].", "supported", (2,)),
        ("Orders ship within two working days [2].", "supported", (2,)),
        ("Our founder was born in Paris [1].", "unsupported", ()),
        ("收到商品后30天内可以申请退款【3】。", "supported", (3,)),
        ("收到商品后60天内可以申请退款。", "contradicted", ()),
        ("Sure, here it is:", "empty", ()),
        ("Shall I look for something else entirely?", "empty", ()),
    ],
)
def test_a_citation_is_kept_only_where_the_source_says_so(sentence: str, kind: str, cited: tuple[int, ...]) -> None:
    statement = check(sentence)
    assert (statement.kind, statement.cited) == (kind, cited)


def test_a_statement_in_a_script_that_no_source_has_keeps_only_citations_that_point_somewhere() -> None:
    english = SOURCES[:2]
    asked = "退款有期限吗？"
    assert check("三十天内可以申请退款 [1][9]。", english, asked).kind == "unverified"
    assert check("三十天内可以申请退款 [1][9]。", english, asked).cited == (1,)
    assert check("三十天内可以申请退款。", english, asked).kind == "unsupported"
    assert check("三十天内可以申请退款 [1]。", english, "How long?").kind == "unsupported"


def test_markers_stand_before_the_stop() -> None:
    assert check("Orders ship within two working days.\n").marked() == "Orders ship within two working days [2].\n"


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("How many days do I have to ask for a refund?", [(1, "You can ask for a refund within 30 days of delivery.")]),
        ("退款多久到账？", [(3, "退款会在5个工作日内到账。")]),
        ("What does express cost?", [(2, "Express: 9.50 EUR")]),
        ("Who painted the ceiling?", []),
    ],
)
def test_the_sources_speak_for_themselves(question: str, quote: list[tuple[int, str]]) -> None:
    evidence = Evidence(SOURCES, understands_cjk=False)
    evidence.ask(question, None, None)
    assert evidence.quotes(count=1) == quote


def test_a_true_statement_that_does_not_answer_is_not_taken() -> None:
    evidence = Evidence(SOURCES, understands_cjk=False)
    evidence.ask("When can I ask for a refund?", None, None)
    assert evidence.support("You can ask for a refund within 30 days of delivery.", None).sources == (1,)
    assert evidence.support("Orders ship within two working days from our warehouse in Bergen.", None).sources == ()


def test_a_table_row_is_quoted_as_text() -> None:
    table = "| What | How long |\n| --- | --- |\n| Lamps | **2 years** |"
    evidence = Evidence([("Warranty", table)], understands_cjk=True)
    evidence.ask("how long are lamps covered", None, None)
    assert evidence.quotes(count=1) == [(1, "Lamps · 2 years")]


def test_a_stream_is_cut_into_sentences() -> None:
    stream = SentenceStream()
    text = "It takes 3.5 days [1]. See the FAQ. 可以退款。请联系我们！\n1. First item\n2. Second"
    cut = [sentence for start in range(0, len(text), 3) for sentence in stream.push(text[start : start + 3])]
    cut += stream.finish()
    assert "".join(cut) == text
    assert "It takes 3.5 days [1]. " in cut
    assert "可以退款。" in cut


@given(st.text(alphabet="ab .!?。！？[1]\n", max_size=60), st.integers(1, 7))
def test_no_text_is_lost_or_changed(text: str, size: int) -> None:
    stream = SentenceStream()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert "".join([s for piece in pieces for s in stream.push(piece)] + list(stream.finish())) == text


def test_a_marker_after_the_stop_belongs_to_its_sentence() -> None:
    stream = SentenceStream()
    cut = [*stream.push("Ask within 30 days. [1] It is free. [2] Bye now"), *stream.finish()]
    assert cut[0].strip() == "Ask within 30 days. [1]"
    assert cut[1].strip() == "It is free. [2]"
