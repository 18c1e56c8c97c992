from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.rag.citations import SentenceStream, Statement, judge, read_markers
from edgecli.rag.evidence import Evidence, Passage

SOURCES = [
    Passage(
        "Refunds > Refund window",
        "## Refund window\n\nYou can ask for a refund within **30 days of delivery**. "
        "Opened items are refunded at 80%.",
    ),
    Passage(
        "Shipping",
        "Orders ship within two working days from our warehouse in Bergen.\n- Express: 9.50 EUR\n- Slow: free",
    ),
    Passage("退款政策", "收到商品后30天内可以申请退款。退款会在5个工作日内到账。"),
    Passage("Damage", "Tell us within 14 days of delivery, with a photo, and we send a new lamp or a refund."),
]


def check(sentence: str, sources: Sequence[Passage] = SOURCES, question: str = "") -> Statement:
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
    evidence = Evidence([Passage("Warranty", table)], understands_cjk=True)
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


def test_a_wrapped_line_is_no_end_of_a_sentence() -> None:
    stream = SentenceStream()
    assert [*stream.push("The day of delivery is\nday zero.\nAsk soon\n- Now\n\nthen"), *stream.finish()] == [
        "The day of delivery is\nday zero.\n",
        "Ask soon\n",
        "- Now\n\n",
        "then",
    ]


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


LAMPS = Passage(
    "退款政策 > 点过的油灯",
    "## 点过的油灯\n\n点过一两次的 Beacon 和 Fjord 油灯可以退货，但只能换成**商店余额**，不能退现金。",
    "docs/zh/退款政策.md",
)
STEPS = Passage(
    "退款政策 > 如何申请退款", "1. 登录账户，打开**订单**。\n2. 选择订单，点击**退货**。", "docs/zh/退款政策.md"
)
NOT_RETURNED = Passage(
    "退款政策 > 不能退款的商品", "## 不能退款的商品\n\n- 礼品卡\n- 已拆封的灯油和灯芯", "docs/zh/退款政策.md"
)
NO_REASON = Passage("退款期限", "您可以在**签收之日起 30 天内**申请退款，不需要说明理由。", "docs/zh/退款政策.md")
LIT = Passage(
    "Opened items > Oil lamps",
    "A Beacon that has been lit can be returned for **store credit**, not for money.\n\n"
    "We keep a restocking fee of 15 percent when\n\n"
    "- the box is missing,\n- the lantern shows scratches, soot or water marks, or\n- a cable is missing.",
    "docs/opened-items.md",
)


@pytest.mark.parametrize(
    ("statement", "source", "kind"),
    [
        # A negation moved to the other clause, with and without a misspelt word.
        ("你可以选择点过的油灯，不能换成商店余频。", LAMPS, "contradicted"),
        ("点过的油灯不能换成商店余额。", LAMPS, "contradicted"),
        ("点过的油灯可以退现金。", LAMPS, "contradicted"),
        ("点过的油灯不能退货。", LAMPS, "contradicted"),
        ("点过的油灯可以退货，但不能退现金。", LAMPS, "supported"),
        ("点过的油灯只能换成商店余额。", LAMPS, "supported"),
        ("您可以在签收之日起30天内申请退款。", NO_REASON, "supported"),
        ("您可以在签收之日起30天内申请退款，需要说明理由。", NO_REASON, "contradicted"),
        # What a heading denies, it denies of the items below.
        ("礼品卡可以退款。", NOT_RETURNED, "contradicted"),
        ("礼品卡不能退款。", NOT_RETURNED, "supported"),
        ("1. 登录账户，打拍订单。", STEPS, "unsupported"),
        ("1. 登录账户，打开订单。", STEPS, "supported"),
        ("2. 选择订单，点击**申请退款**。", STEPS, "unsupported"),
        ("A lit Beacon can be returned for money.", LIT, "contradicted"),
        ("A lit Beacon can be returned for store credit.", LIT, "supported"),
        ("A lit Beacon cannot be returned for store credit.", LIT, "contradicted"),
        # The number of a list is no fact; the line above a list belongs to its items.
        ("3. The restocking fee is 15 percent when a cable is missing.", LIT, "supported"),
    ],
)
def test_what_is_denied_is_compared_word_by_word(statement: str, source: Passage, kind: str) -> None:
    assert check(statement, [source]).kind == kind


@pytest.mark.parametrize(
    "line",
    [
        "# 退款政策 [1]",
        "退款政策.md › 退款政策 [1]",
        "1. docs/opened-items.md › Opened items > Oil lamps [2]",
        "Question: 什么是点过的油灯？",
        "Sources:",
        "油灯可以退货吗",
    ],
)
def test_a_piece_of_the_prompt_is_no_statement(line: str) -> None:
    assert check(line, [LAMPS, LIT], "油灯可以退货吗？").kind == "echo"


@pytest.mark.parametrize(
    ("question", "source", "quote"),
    [
        (
            "Is there a fee for soot on a lantern?",
            LIT,
            "We keep a restocking fee of 15 percent when the lantern shows scratches, soot or water marks",
        ),
        (
            "When do you keep a restocking fee?",
            LIT,
            "We keep a restocking fee of 15 percent when the box is missing; "
            "the lantern shows scratches, soot or water marks; a cable is missing.",
        ),
        ("灯油可以退款吗？", NOT_RETURNED, "不能退款的商品：已拆封的灯油和灯芯"),
        ("礼品卡可以退吗", NOT_RETURNED, "不能退款的商品：礼品卡"),
    ],
)
def test_an_item_is_quoted_with_what_introduces_its_list(question: str, source: Passage, quote: str) -> None:
    evidence = Evidence([source], understands_cjk=False)
    evidence.ask(question, None, None)
    assert evidence.quotes() == [(1, quote)]


def test_a_heading_does_not_make_every_line_below_it_an_answer() -> None:
    steps = Passage("如何申请退款", "1. 登录账户，打开订单。\n2. 打印标签，在10天内交给快递网点。")
    evidence = Evidence([steps, NO_REASON], understands_cjk=False)
    evidence.ask("我有多少天可以申请退款？", None, None)
    assert evidence.support("打印标签，在10天内交给快递网点。", None).sources == ()
    assert [number for number, _ in evidence.quotes()] == [2]
    evidence.ask("怎么申请退款？", None, None)
    assert evidence.support("打印标签，在10天内交给快递网点。", None).sources == (1,)


def test_what_differs_from_the_usual_is_quoted_after_the_usual() -> None:
    text = (
        "You can ask within 30 days.\n\nOrders placed in December have a longer window for a return, until 31 January."
    )
    evidence = Evidence([Passage("How long you have", text)], understands_cjk=False)
    evidence.ask("What is your return window?", None, None)
    assert [quote for _, quote in evidence.quotes()] == text.split("\n\n")
    assert evidence.support("You can ask within 30 days.", None).sources == (1,)
