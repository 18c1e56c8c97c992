from __future__ import annotations

from pathlib import Path

from edgecli.documents.formats.rst import parse
from tests.documents.words import chunks_of, document_of

SOURCE = """\
========
The Shop
========

Intro of *one* line.

Refunds
=======

Ask us. See :ref:`the form <form>`::

    literal block

    goes on

.. code-block:: python

   # Refunds
   # =======
   ask()

   wait()

.. note::
   Mind the date.

退款政策
~~~~~~~~

- first
  goes on
- second

=====  =====
Item   Days
=====  =====
Book   30
=====  =====

:class:`Shop` and ``code``
--------------------------

>>> ask()
'done'

+---+---+
| a | b |
+---+---+

The end.
"""


def test_blocks_and_headings() -> None:
    parsed = parse(SOURCE)
    assert parsed.title == "The Shop"
    blocks = [(block.kind.value, SOURCE[block.start : block.end].split("\n")[0]) for block in parsed.blocks]
    assert blocks == [
        ("heading", "========"),
        ("paragraph", "Intro of *one* line."),
        ("heading", "Refunds"),
        ("paragraph", "Ask us. See :ref:`the form <form>`::"),
        ("code", "    literal block"),
        ("code", ".. code-block:: python"),
        ("paragraph", ".. note::"),
        ("heading", "退款政策"),
        ("item", "- first"),
        ("item", "- second"),
        ("table", "=====  ====="),
        ("heading", ":class:`Shop` and ``code``"),
        ("code", ">>> ask()"),
        ("table", "+---+---+"),
        ("paragraph", "The end."),
    ]
    assert parsed.blocks[-1].path == ("The Shop", "Refunds", "退款政策", "Shop and code")
    assert SOURCE[parsed.blocks[4].start : parsed.blocks[4].end].endswith("    goes on")
    assert SOURCE[parsed.blocks[5].start : parsed.blocks[5].end].endswith("   wait()")


def test_the_levels_follow_the_order_of_the_underlines() -> None:
    source = "A\n~~~\n\nx\n\nB\n***\n\ny\n\nC\n~~~\n\nz\n"
    assert [block.path for block in parse(source).blocks if block.kind == "paragraph"] == [
        ("A",),
        ("A", "B"),
        ("C",),
    ]


def test_a_code_block_that_fits_stays_whole(tmp_path: Path) -> None:
    words = "Some words of the manual. " * 8
    source = f"Title\n=====\n\n{words}\n\n.. code:: c\n\n   int a;\n\n   int b;\n\n{words}\n"
    chunks = chunks_of(document_of(tmp_path, "a.rst", source), size=60)
    assert any("int a;\n\n   int b;" in chunk.text for chunk in chunks)
