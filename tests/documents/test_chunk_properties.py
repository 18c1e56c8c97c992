"""What holds for every document: offsets, cap, coverage, overlap."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.documents.chunk import chunk_document
from edgecli.documents.encoding import decode
from edgecli.documents.formats import code, csv, html, json, markdown, rst, text
from edgecli.documents.formats.front_matter import read_front_matter
from edgecli.documents.schema import Document
from tests.documents.words import WordCounter

PARSERS = {
    "markdown": markdown.parse,
    "text": text.parse,
    "rst": rst.parse,
    "code": code.parse,
    "csv": csv.parse,
    "json": json.parse,
    "html": html.parse,
}
MARKUP = """
# Title
## Part two
###
Title
=====
-----
~~~~~
```
```python
~~~
- item one
  - nested
1. first
| a | b |
|---|---|
| 1 | 2 |
> quoted text
    indented
---
title: x
One sentence. Another one! A third? Yes, e.g. this.
价格是多少？三十天内可以退款。他说：“好。”然后走了……
\u3000\u3000缩进的段落。
def parse(source):
    return source
class Reader:
}
{
{"a": [1, 2, {"b": "c"}],
"q, r",1,2
<p>para <b>bold</b>
<h2>Head</h2>
<ul><li>x<li>y</ul>
<dl><dt>term<dd>meaning</dl>
<pre>x
</pre>
</div>
<table><tr><td>a<td>b
.. note:: Watch out
.. code-block:: python
   print(1)
Text ends with::
!!!
...
👍 👎
e\u0301 \u200b
tab\tbed
"""
LONG = ["word " * 30, "字" * 50, "x" * 90, "-" * 90, "a\r"]
LINES = st.sampled_from([*MARKUP.split("\n"), *LONG])
SOURCES = st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=40).map("\n".join)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=120, deadline=None)
@given(source=SOURCES, size=st.integers(1, 60), overlap=st.integers(0, 30))
def test_every_document(name: str, source: str, size: int, overlap: int) -> None:
    parsed = PARSERS[name](source)
    document = Document("", parsed.text, name, "utf-8", tuple(parsed.blocks))
    if name != "html":
        assert parsed.text == source
    previous_end = 0
    for block in parsed.blocks:
        assert previous_end <= block.start < block.end <= len(parsed.text)
        previous_end = block.end
    counter = WordCounter()
    chunks = chunk_document(document, tokens=counter, chunk_tokens=size, overlap_tokens=min(overlap, size - 1))
    covered = bytearray(len(parsed.text))
    for index, chunk in enumerate(chunks):
        assert chunk.index == index
        assert parsed.text[chunk.start : chunk.end] == chunk.text == chunk.text.strip()
        assert len(counter.offsets(chunk.text)) <= size
        covered[chunk.start : chunk.end] = b"\1" * len(chunk.text)
    body = read_front_matter(source)[1] if name == "markdown" else 0
    pairs = zip(parsed.text[body:], covered[body:], strict=True)
    missed = "".join(character for character, seen in pairs if not seen)
    assert not re.search(r"[^\W_]|[\u2600-\u27bf\U0001f000-\U0001faff]", missed), missed


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    decoded = decode(data)
    assert decoded is None or isinstance(decoded[0], str)


def test_the_same_file_gives_the_same_chunks() -> None:
    source = "# A\n\n" + "Some words in a sentence. " * 50
    document = Document("", source, "markdown", "utf-8", tuple(markdown.parse(source).blocks))
    runs = [chunk_document(document, tokens=WordCounter(), chunk_tokens=40, overlap_tokens=9) for _ in range(2)]
    assert runs[0] == runs[1]
