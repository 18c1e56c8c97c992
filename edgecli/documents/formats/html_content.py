"""Find the main content of an HTML page: away with menus, banners and other furniture."""

from __future__ import annotations

import re
from typing import Any

Element = Any
"""An `lxml.etree._Element`; the library has no public name for it."""

_NO_TEXT_WORDS = """
    script style noscript template svg canvas iframe object embed video audio map button select input
    textarea datalist option dialog link meta frame applet rt rp
"""
_NO_TEXT = _NO_TEXT_WORDS.split()
_LOOKS_WORDS = """
    span b i em strong font tt u small big s strike code samp kbd var cite abbr acronym q time mark ins dfn label
    bdi bdo nobr wbr data
"""
_LOOKS = _LOOKS_WORDS.split()
_HIDDEN_SPANS = (
    "//span[@hidden or @aria-hidden='true' or contains(@class, 'edit') or contains(@class, 'hidden')"
    " or contains(@class, 'sr-only') or contains(@class, 'noprint')]"
)
_FURNITURE_TAGS = frozenset(("nav", "footer", "aside", "header", "menu"))
_FURNITURE_ROLES_WORDS = """
    navigation banner contentinfo complementary search menu menubar dialog alertdialog toolbar
"""
_FURNITURE_ROLES = frozenset(_FURNITURE_ROLES_WORDS.split())
_CONTAINERS_WORDS = """
    div section ul ol table form p a aside header footer nav td menu center dl
"""
_CONTAINERS = frozenset(_CONTAINERS_WORDS.split())
_FURNITURE_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navheader|navfooter|navigation|navlinks|menu|menubar|mainmenu|submenu|searchmenu|sidebar|sidenav"
    r"|sphinxsidebar|breadcrumbs?|masthead|cookies?|cookiebar|gdpr|consent|toc|table-of-contents|tableofcontents"
    r"|share|sharing|social|advert|adverts|advertisement|ads|promo|newsletter|subscribe|popup|modal|pagination|pager"
    r"|prev-next|related|skip-?link|skip-to-content|skip|headerlink|header-anchor|anchor-link|editsection|edit-link"
    r"|nosearch|noindex|no-print|noprint|noexcerpt|sr-only|visually-hidden)(?=$|[\s_-])"
    r"|(?:^|\s)(?:header|site-header|footer|site-footer|page-footer|topbar|top-bar|banner|cookie-banner)(?=$|\s)"
)
_CALLOUT = re.compile(r"note|tip|warning|caution|admonition|callout|important|info|danger|example")
_CONTENT_PLACES = (
    "//main | //*[@role='main']",
    "//article",
    "//*[@id='content' or @id='main-content' or @id='mw-content-text' or @id='main' or @id='bodyContent']",
    "//*[contains(concat(' ', normalize-space(@class), ' '), ' markdown-body ')"
    " or contains(concat(' ', normalize-space(@class), ' '), ' post-content ')"
    " or contains(concat(' ', normalize-space(@class), ' '), ' entry-content ')"
    " or contains(concat(' ', normalize-space(@class), ' '), ' article-content ')]",
)
_MOST = 0.5
"""Share of the page's text. What holds more than that is no furniture, whatever it is called."""
_ENOUGH = 0.3
"""Share of the page's text that a marked content area must hold to be believed."""
_MANY_LINKS = 4
_LINK_DENSITY = 0.85
_SHORT_LINK = 40
"""Characters; the links of a menu are shorter on average."""


def pick_content(root: Element) -> Element:
    """Return the element that holds the main content, its furniture removed from the tree.

    Falls back to the whole body where nothing is marked or where too little would be left.
    """
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- a C module without stubs

    etree.strip_elements(root, *_NO_TEXT, with_tail=False)
    for span in root.xpath(_HIDDEN_SPANS):
        _remove(span)
    for pre in root.iter("pre"):
        codes = pre.findall("code")
        if codes and codes[0].get("class"):
            pre.set("class", codes[0].get("class"))
        for code in codes[1:]:
            # Often the same example in two languages, shown one at a time.
            code.text = "\n\n" + (code.text or "")
    # They are most of a page's elements, and only their text matters from here on.
    etree.strip_tags(root, *_LOOKS)
    body = root.find("body")
    body = root if body is None else body
    sizes, _ = _measure(body)
    total = sizes[body]
    content = _marked_content(body, sizes, total)
    _remove_furniture(content, sizes, total)
    if content is body:
        _remove_link_lists(content)
    return content


def _measure(body: Element) -> tuple[dict[Element, int], dict[Element, int]]:
    """Return the characters of text in each element, and those of them that are links."""
    sizes: dict[Element, int] = {}
    links: dict[Element, int] = {}
    for element in reversed(list(body.iter())):
        text, tail = element.text, element.tail
        size = sizes.get(element, 0) + (len(text) if text and not text.isspace() else 0)
        sizes[element] = size
        linked = size if element.tag == "a" else links.get(element, 0)
        links[element] = linked
        parent = element.getparent()
        if parent is not None and element is not body:
            tail_size = len(tail) if tail and not tail.isspace() else 0
            sizes[parent] = sizes.get(parent, 0) + size + tail_size
            links[parent] = links.get(parent, 0) + linked
    return sizes, links


def _marked_content(body: Element, sizes: dict[Element, int], total: int) -> Element:
    for place in _CONTENT_PLACES:
        found = [element for element in body.xpath(place) if element in sizes]
        if not found:
            continue
        largest = max(found, key=sizes.__getitem__)
        parent = largest.getparent()
        siblings = [element for element in found if element.getparent() is parent]
        if sum(sizes[element] for element in siblings) >= total * _ENOUGH:
            return largest if len(siblings) == 1 or parent is None else parent
    return body


def _remove_furniture(content: Element, sizes: dict[Element, int], total: int) -> None:
    for element in list(content.iter(*_CONTAINERS)):
        if element is content or not _is_furniture(element, content):
            continue
        if sizes.get(element, 0) > total * _MOST or _holds_content(element):
            continue
        _remove(element)


def _is_furniture(element: Element, content: Element) -> bool:
    attributes = element.attrib
    tag = element.tag
    if tag in _FURNITURE_TAGS:
        named = attributes.get("class", "")
        inside = content.tag in ("main", "article") or any(True for _ in element.iterancestors("article", "main"))
        if tag == "aside":
            return not _CALLOUT.search(named)
        return not (tag == "header" and inside)
    if not attributes:
        return False
    if attributes.get("role") in _FURNITURE_ROLES or attributes.get("aria-hidden") == "true":
        return True
    if "hidden" in attributes or "data-nosnippet" in attributes:
        return True
    names = f"{attributes.get('class', '')} {attributes.get('id', '')}"
    return names != " " and _FURNITURE_NAME.search(names.strip().lower()) is not None


def _holds_content(element: Element) -> bool:
    return next(element.iter("h1", "main", "article"), None) is not None


def _remove_link_lists(content: Element) -> None:
    """Remove lists and boxes that are nothing but short links, unless the page is one."""
    sizes, links = _measure(content)
    menus = [
        element
        for element in content.iter("ul", "ol", "div", "table")
        if element is not content
        and links[element] > sizes[element] * _LINK_DENSITY
        and _has_menu_links(element, links[element])
    ]
    inside = {inner for menu in menus for inner in menu.iterdescendants("ul", "ol", "div", "table")}
    outermost = [menu for menu in menus if menu not in inside]
    if sum(sizes[menu] for menu in outermost) <= sizes[content] * (1 - _MOST):
        for menu in outermost:
            _remove(menu)


def _has_menu_links(element: Element, linked: int) -> bool:
    count = sum(1 for _ in element.iter("a"))
    return count >= _MANY_LINKS and linked / count < _SHORT_LINK


def _remove(element: Element) -> None:
    """Take the element out of the tree and leave the text after it."""
    parent = element.getparent()
    if parent is None:
        return
    tail = element.tail
    if tail:
        before = element.getprevious()
        if before is None:
            parent.text = (parent.text or "") + tail
        else:
            before.tail = (before.tail or "") + tail
    parent.remove(element)
