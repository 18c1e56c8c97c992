from __future__ import annotations

from pathlib import Path

from edgecli.documents.formats.pdf import parse
from tests.documents.pdf_files import pdf_of
from tests.documents.words import chunks_of, document_of


def test_lines_become_paragraphs() -> None:
    lines = [
        "Our shop takes goods back within thirty days of the pur-",
        "chase. The customer pays the postage for every parcel that",
        "comes back.",
        "The next paragraph starts here and goes on for quite a while,",
        "as paragraphs do.",
        "- a first point",
        "- a second point",
    ]
    assert parse(pdf_of([lines]), "a.pdf").text.split("\n\n") == [
        "Our shop takes goods back within thirty days of the purchase. The customer pays the postage "
        "for every parcel that comes back.",
        "The next paragraph starts here and goes on for quite a while, as paragraphs do.",
        "- a first point\n- a second point",
    ]


def test_chinese_lines_are_joined_without_spaces() -> None:
    parsed = parse(pdf_of([["自购买之日起三十天内可以申请退", "款，请联系客服。邮费由客户承担。"]]), "a.pdf")
    assert parsed.text == "自购买之日起三十天内可以申请退款，请联系客服。邮费由客户承担。"


def test_what_stands_on_every_page_goes() -> None:
    pages = [
        ["The Shop, annual report 2025", f"Text of page {name} is here.", "Draft", f"- {number} -"]
        for number, name in enumerate(["one", "two", "three", "four"], start=1)
    ]
    text = parse(pdf_of(pages), "a.pdf").text
    assert text.split("\n\n") == [f"Text of page {name} is here." for name in ("one", "two", "three", "four")]


def test_running_heads_of_chapters_go() -> None:
    pages = [
        [
            f"Chapter {1 + number // 3}: {['Tea', 'Milk'][number // 3]} {number + 7}",
            f"Text {'abcdef'[number]} here.",
        ]
        for number in range(6)
    ]
    assert parse(pdf_of(pages), "a.pdf").text.split("\n\n") == [f"Text {letter} here." for letter in "abcdef"]


def test_numbered_headings_need_no_bookmarks(tmp_path: Path) -> None:
    lines = ["1.2 Naming things", "Names are short. They cost 2.50 each.", "1.2.1 中文名称", "名称应当简短。"]
    document = document_of(tmp_path, "a.pdf", pdf_of([lines]))
    assert [block.path for block in document.blocks if block.kind == "paragraph"] == [
        ("1.2 Naming things",),
        ("1.2 Naming things", "1.2.1 中文名称"),
    ]


def test_the_dots_of_a_table_of_contents_go() -> None:
    lines = ["Contents", "1.1 Tea . . . . . . . . . . 3", "1.2 Milk ............ 14"]
    assert parse(pdf_of([lines]), "a.pdf").text.split("\n\n") == ["Contents", "1.1 Tea … 3\n1.2 Milk … 14"]


def test_numbers_that_are_text_stay() -> None:
    text = parse(pdf_of([["Sales", "2024", "2025", "grew."]]), "a.pdf").text
    assert "2024" in text
    assert "2025" in text


def test_bookmarks_become_headings_and_chunks_know_their_page(tmp_path: Path) -> None:
    data = pdf_of(
        [
            ["Refunds", "The customer pays the postage of every parcel that is sent", "back. " * 20],
            ["2.1 How to ask", "Write to us by mail or by fax and say what you bought and", "when. " * 20],
            ["退款政策", "三十天内可以退款。" * 6],
        ],
        title="Policies",
        bookmarks=[("Refunds", 0), ("How to ask", 1), ("退款 政策", 2)],
    )
    document = document_of(tmp_path, "a.pdf", data)
    assert document.title == "Policies"
    chunks = chunks_of(document, size=70)
    assert [(chunk.heading, chunk.page) for chunk in chunks] == [
        ("Refunds", 1),
        ("How to ask", 2),
        ("退款 政策", 3),
    ]
    assert chunks[0].text.startswith("# Refunds\n\nThe customer")


def test_the_first_line_is_the_title_where_none_is_set(tmp_path: Path) -> None:
    assert document_of(tmp_path, "a.pdf", pdf_of([["Annual report."]])).title == "Annual report."
