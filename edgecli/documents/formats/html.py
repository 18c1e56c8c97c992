"""HTML and XHTML: the main content as Markdown."""

from __future__ import annotations

import re
from typing import Any

from edgecli.documents.formats.html_content import pick_content
from edgecli.documents.formats.html_writer import INLINE, MarkdownWriter
from edgecli.documents.schema import Parsed

_SITE_NAME = re.compile(r"\s+[|·•—–»-]\s+|\s*[|_｜]\s*")
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_HIDDEN = frozenset(("script", "style", "template", "title"))


def parse(source: str) -> Parsed:
    """Turn a page into Markdown: what it is about, without menus and banners.

    A page that is broken, or nested deeper than libxml2 builds trees, still gives its text.
    """
    data = source.encode("utf-8", "replace")
    root, whole = _tree(data)
    if root is None:
        return Parsed("", "", [])
    title = " ".join((root.findtext("head/title") or "").split())
    writer = MarkdownWriter()
    text = _write(writer, pick_content(root)) if whole else ""
    if not text:
        writer = MarkdownWriter()
        text = _flat(writer, data)
    return Parsed(_best_title(title, writer.first_h1), text, writer.blocks)


def _tree(data: bytes) -> tuple[Any, bool]:
    """Return the root of the page (None for an empty one), and whether all of the page is in it."""
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- a C module without stubs

    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        return None, False
    whole = all(entry.type_name != "ERR_RESOURCE_LIMIT" for entry in parser.error_log)
    return root, whole


def _write(writer: MarkdownWriter, content: Any) -> str:
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- a C module without stubs

    walker = etree.iterwalk(content, events=("start", "end"))
    for event, element in walker:
        if event == "start":
            if not writer.start(element.tag, element):
                walker.skip_subtree()
            elif text := element.text:
                writer.text(text)
        else:
            writer.end(element.tag, element)
            if element is not content and (tail := element.tail):
                writer.text(tail)
    return writer.finish()


def _flat(writer: MarkdownWriter, data: bytes) -> str:
    """Write the text of a page without building its tree: headings and paragraphs only."""
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- a C module without stubs

    parser = etree.HTMLParser(target=_FlatPage(writer), encoding="utf-8", huge_tree=True)
    parser.feed(data)
    parser.close()
    return writer.finish()


class _FlatPage:
    """Passes a parser's events on; every block that is no heading is a paragraph."""

    def __init__(self, writer: MarkdownWriter) -> None:
        self._writer = writer
        self._hidden = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag not in INLINE:
            self._writer.start(tag if tag in _HEADINGS else "p", attributes)

    def end(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag not in INLINE:
            self._writer.end(tag if tag in _HEADINGS else "p", None)

    def data(self, text: str) -> None:
        if not self._hidden:
            self._writer.text(text)

    def close(self) -> None:
        """Take the end of the page; what is written stays with the writer."""


def _best_title(title: str, heading: str) -> str:
    """Return the page's own title, without the name of the site that many pages add to it."""
    if heading and heading in title:
        return heading
    parts = [part for part in _SITE_NAME.split(title) if part]
    if heading and len(parts) > 1 and heading not in parts:
        return heading if any(part in heading for part in parts) else parts[0]
    return title or heading
