"""Markdown as a terminal shows it: rich's renderer with the manners of a chat.

Headings stand at the left, the model's own line ends are kept, Chinese wraps where it may, code can be copied
without decoration, and HTML is shown as it was written, since a model may well be asked about HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, Paragraph, TableElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.theme import Theme

from edgecli.chat.wrap import wrap

CODE_COLOURS = "ansi_dark"
"""The terminal's own colours, so that code is legible on any background."""

THEME = Theme(
    {
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold dim",
        "markdown.code": "cyan",
        "markdown.block_quote": "dim",
        "markdown.item.bullet": "dim",
        "markdown.item.number": "dim",
        "markdown.hr": "dim",
        "markdown.link": "underline",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)


def parser() -> MarkdownIt:
    """Return the parser of answers."""
    return MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _Paragraph(Paragraph):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from wrap(self.text, options.max_width)


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from wrap(self.text, options.max_width)


class _CodeBlock(CodeBlock):
    nested = False

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _CodeBlock:
        block = cls((token.info or "").partition(" ")[0] or "text", markdown.code_theme)
        block.nested = token.level > 0
        return block

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        if self.nested:
            yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default")
            return
        # The terminal folds a long line, and not we: so it can be copied as one.
        syntax = Syntax(code, self.lexer_name, theme=self.theme, background_color="default")
        edge = console.get_style("dim")
        name = f" {self.lexer_name} " if self.lexer_name != "text" else ""
        yield Segment(f"──{name}".ljust(options.max_width, "─") + "\n", edge)
        for line in syntax.highlight(code).split("\n"):
            line.rstrip()
            yield from line.render(console)
            yield Segment.line()
        yield Segment("─" * options.max_width + "\n", edge)


class _Table(TableElement):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, style="markdown.table.border", show_edge=False)
        if self.header is not None and self.header.row is not None:
            for cell in self.header.row.cells:
                heading = cell.content.copy()
                heading.stylize("markdown.table.header")
                table.add_column(heading, overflow="fold")
        for row in self.body.rows if self.body is not None else []:
            table.add_row(*(cell.content for cell in row.cells))
        yield table


class ChatMarkdown(Markdown):
    """An answer, or a part of one, ready to print."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = Markdown.elements | {
        "paragraph_open": _Paragraph,
        "heading_open": _Heading,
        "fence": _CodeBlock,
        "code_block": _CodeBlock,
        "table_open": _Table,
    }
    inlines: ClassVar[set[str]] = Markdown.inlines | {"link"}

    def __init__(self, markup: str) -> None:
        super().__init__("", code_theme=CODE_COLOURS, hyperlinks=False)
        self.markup = markup
        self.parsed = parser().parse(markup)

    def _flatten_tokens(self, tokens: Iterable[Token]) -> Iterable[Token]:
        link, inside = "", ""
        for token in super()._flatten_tokens(tokens):
            if token.type == "link_open":
                link, inside = str(token.attrs.get("href", "")), ""
                yield Token("link", "link", 1)
            elif token.type == "link_close":
                yield Token("link", "link", -1)
                if link not in (inside, f"mailto:{inside}"):
                    yield Token("text", "", 0, content=f" ({link})")
            elif token.type == "softbreak":
                yield Token("hardbreak", "br", 0)
            else:
                inside += token.content
                yield token
