from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.documents.formats.html import parse
from edgecli.documents.schema import BlockKind
from tests.documents.words import chunks_of, document_of

MENU = "".join(f'<li><a href="/{n}">Page {n}</a>' for n in range(8))
PAGE = f"""<!DOCTYPE html><html><head><title>Refunds - The Shop</title>
<style>p {{ color: red }}</style><script>var hidden = "script text";</script></head>
<body class="has-sidebar">
<div id="cookie-banner">We use cookies. <button>Accept</button></div>
<header><a href="/">The Shop</a></header>
<nav><ul>{MENU}</ul></nav>
<div class="container has-sidebar"><div class="sidebar"><ul>{MENU}</ul></div>
<main>
<h1>Refunds<a class="headerlink" href="#refunds">¶</a></h1>
<p>You may ask for a <b>full</b> refund &amp; a <a href="/x">new
one</a>.<br>Within 30&nbsp;days.</p>
<h2>How to ask</h2>
<ol start="3"><li>Write to us.<ul><li>by mail<li>by <code>fax</code></ul><li><p>Wait.</p><p>Please.</p></ol>
<table><tr><th>Item<th>Days</tr><tr><td>Book | Map<td>30</tr><tr><td colspan=2>Food</tr></table>
<pre class="language-python"><code>def ask():
    return "&lt;refund&gt;"
</code></pre>
<dl><dt>Refund<dd>Money back.<dt>Return<dd>Goods back.</dl>
<blockquote><p>Fair.</p></blockquote>
<aside>Buy more!</aside><aside class="admonition">Mind the date.</aside>
<p>10<sup>6</sup> customers <img src="a.png" alt="smile"></p>
</main></div>
<footer>Imprint</footer></body></html>"""

EXPECTED = """# Refunds

You may ask for a full refund & a new one.
Within 30 days.

## How to ask

3. Write to us.
  - by mail
  - by fax
4. Wait.
  Please.

| Item | Days |
| --- | --- |
| Book \\| Map | 30 |
| Food |  |

```python
def ask():
    return "<refund>"
```

Refund
: Money back.
Return
: Goods back.

> Fair.

Mind the date.

10^6 customers smile"""


def test_a_page_as_markdown() -> None:
    parsed = parse(PAGE)
    assert parsed.text == EXPECTED
    assert parsed.title == "Refunds"


def test_blocks_lie_where_their_text_is() -> None:
    parsed = parse(PAGE)
    assert "\n\n".join(parsed.text[block.start : block.end] for block in parsed.blocks).split() == EXPECTED.split()
    table = next(block for block in parsed.blocks if block.kind is BlockKind.TABLE)
    assert parsed.text[table.start : table.end].startswith("| Item")
    assert table.path == ("Refunds", "How to ask")


def test_a_chinese_page_in_gbk(tmp_path: Path) -> None:
    page = (
        '<html><head><meta http-equiv="Content-Type" content="text/html; charset=gb2312">'
        "<title>退款政策_商店</title></head><body>"
        "<div class=nav><a href=1>首页</a> <a href=2>产品</a></div><h1>退款政策</h1>"
        "<p>自购买之日起三十天内\n可以申请退款，\n请联系客服。</p><p>邮费由客户承担。</p></body></html>"
    )
    document = document_of(tmp_path, "a.html", page.encode("gbk"))
    assert document.text == "# 退款政策\n\n自购买之日起三十天内可以申请退款，请联系客服。\n\n邮费由客户承担。"
    assert (document.title, document.encoding, document.format) == ("退款政策", "gb18030", "html")
    (chunk,) = chunks_of(document)
    assert chunk.heading == "退款政策"


def test_menus_without_a_name_go_by_their_links() -> None:
    page = f"<body><div><div><ul>{MENU}</ul></div><p>{'Words of the text. ' * 20}</p></div></body>"
    assert parse(page).text == ("Words of the text. " * 20).strip()


def test_a_page_of_links_keeps_them() -> None:
    text = parse(f"<body><h1>Index</h1><ul>{MENU}</ul></body>").text
    assert text.startswith("# Index\n\n- Page 0\n- Page 1")


def test_a_misleading_class_does_not_lose_the_page() -> None:
    page = "<body><div class='sidebar-layout menu'><h1>All of it</h1><p>The whole text.</p></div></body>"
    assert parse(page).text == "# All of it\n\nThe whole text."


@pytest.mark.parametrize("wrapper", ["main", "article", "div role=main", "div id=content"])
def test_marked_content_wins(wrapper: str) -> None:
    name = wrapper.split()[0]
    page = f"<body><p>Before.</p><{wrapper}><p>{'The content. ' * 9}</p></{name}><p>After.</p></body>"
    assert parse(page).text == ("The content. " * 9).strip()


def test_several_articles_are_all_content() -> None:
    articles = "".join(f"<article><h2>Post {n}</h2><p>Text of post {n}.</p></article>" for n in range(3))
    text = parse(f"<body><section>{articles}</section></body>").text
    assert all(f"Text of post {n}." in text for n in range(3))


def test_layout_tables_are_no_tables() -> None:
    page = "<table><tr><td>Menu<td><h1>Title</h1><p>Text.</p><table><tr><th>a<th>b<tr><td>1<td>2</table></table>"
    assert parse(page).text == "Menu\n\n# Title\n\nText.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_spans_of_a_table() -> None:
    page = (
        "<table><tr><th rowspan=2>Item<th colspan=2>Price<th></tr><tr><th>net<th>gross<th></tr>"
        "<tr><td>Tea<td>3<td>4<td></tr><tr></tr></table>"
    )
    assert parse(page).text.split("\n") == [
        "| Item | Price |  |",
        "| --- | --- | --- |",
        "|  | net | gross |",
        "| Tea | 3 | 4 |",
    ]


def test_a_table_of_ten_thousand_columns_does_not_fill_the_memory() -> None:
    text = parse(f"<table><tr>{'<td>wide' * 10_000}</tr>{'<tr><td>high' * 10_000}</table>").text
    assert (text.count("wide"), text.count("high")) == (10_000, 10_000)


def test_a_box_around_a_note_is_no_table() -> None:
    page = "<table><tr><td rowspan=2><img src=note.png><td>Note</tr><tr><td>Mind the date.</table>"
    assert parse(page).text == "Note\n\nMind the date."


def test_an_example_in_two_languages() -> None:
    page = "<pre><code class='language-js'>import a;</code><code class='language-cjs'>require(a);</code></pre>"
    assert parse(page).text == "```js\nimport a;\n\nrequire(a);\n```"


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("no tags & no body", "no tags & no body"),
        ("<p>one<p>two</p></div></b>three", "one\n\ntwo\n\nthree"),
        ("<h2><div>Title</div> <span>of it</span></h2>text", "## Title of it\n\ntext"),
        ("<h2>Title<ul><li>one<li>two</ul>", "## Title\n\n- one\n- two"),
        ("<b><i>crossed</b> tags</i> and <unknown>names</unknown>", "crossed tags and\n\nnames"),
        ("<p>&lt;&copy;&#20320;&#x597d;&unknown;", "<©你好&unknown;"),
        ("<?xml version='1.0' encoding='gbk'?><html><body>你好</body></html>", "你好"),
        ("<pre>a\n\n  b ``` c</pre>", "````\na\n\n  b ``` c\n````"),
    ],
)
def test_broken_pages_give_their_text(broken: str, expected: str) -> None:
    assert parse(broken).text == expected


@pytest.mark.parametrize("tag", ["div", "b", "ul", "blockquote", "table", "pre", "h1"])
def test_ten_thousand_levels(tag: str) -> None:
    parsed = parse(f"<title>Deep</title><p>before</p>{f'<{tag}>' * 10_000}deepest{f'</{tag}>' * 10_000}<p>after</p>")
    assert [word for word in ("before", "deepest", "after") if word in parsed.text] == [
        "before",
        "deepest",
        "after",
    ]
    assert parsed.title == "Deep"


def test_scripts_stay_out_of_a_deep_page() -> None:
    parsed = parse(f"<script>hidden()</script>{'<div>' * 5_000}<h2>Title</h2>text")
    assert parsed.text == "## Title\n\ntext"


def test_titles() -> None:
    assert parse("<title>Syntax of SELECT</title><h1>1. Overview</h1><p>x").title == "Syntax of SELECT"
    assert parse("<title>Refunds | Shop | Example</title><h1>Refunds</h1><p>x").title == "Refunds"
    assert parse("<h1>Only a heading</h1><p>x").title == "Only a heading"
    assert parse("<svg><title>icon</title></svg><p>x").title == ""
