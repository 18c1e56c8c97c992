import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.rag.citations import Passages, SentenceStream

SOURCES = [
    "Refund window\nYou can ask for a refund within 30 days of delivery. Opened items are refunded at 80%.",
    "Shipping\nOrders ship within two working days from our warehouse in Bergen.",
    "退款政策\n收到商品后30天内可以申请退款。",
]


@pytest.fixture
def passages() -> Passages:
    return Passages(SOURCES)


@pytest.mark.parametrize(
    ("sentence", "cited"),
    [
        ("You can ask for a refund within 30 days of delivery [1].", (1,)),
        ("You can ask for a refund within 30 days of delivery.", (1,)),
        ("You can ask for a refund within 30 days of delivery [2].", (1,)),
        ("You can ask for a refund within 30 days of delivery [7].", (1,)),
        ("You can ask for a refund within 90 days of delivery [1].", ()),
        ("Orders ship within two working days [2].", (2,)),
        ("Our founder was born in Paris [1].", ()),
        ("收到商品后30天内可以申请退款【3】。", (3,)),
        ("收到商品后60天内可以申请退款。", ()),
    ],
)
def test_a_citation_is_kept_only_where_the_source_says_so(
    passages: Passages, sentence: str, cited: tuple[int, ...]
) -> None:
    statement = passages.check(sentence)
    assert statement.cited == cited
    assert "[7]" not in statement.marked()


def test_markers_stand_before_the_stop(passages: Passages) -> None:
    marked = passages.check("Orders ship within two working days.\n").marked()
    assert marked == "Orders ship within two working days [2].\n"


def test_openings_and_questions_need_no_support(passages: Passages) -> None:
    assert not passages.check("Sure:").substantive
    assert not passages.check("Shall I look for something else entirely?").substantive
    assert passages.check("The moon is made of cheese.").substantive


def test_a_stream_is_cut_into_sentences() -> None:
    stream = SentenceStream()
    text = "It takes 3.5 days [1]. See e.g. the FAQ. 可以退款。请联系我们！\n1. First item\n2. Second"
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
