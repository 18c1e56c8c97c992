"""Find out how the bytes of a text are encoded, and decode them."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})["']""", re.IGNORECASE)
_COOKIE = re.compile(rb"^[ \t]*#.{0,80}?coding[:=][ \t]*([-\w.]{2,40})", re.MULTILINE)
_HEAD = 4096
# What pages call an encoding is often its smaller parent; browsers decode these names by the larger one too.
_LARGER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
}
# Without a short list a detector finds exotic code pages in short texts.
_CANDIDATES = ["gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp1252", "cp1251"]
_SAMPLE = 32 * 1024
_DAMAGED = 0.01
"""Share of characters; a UTF-8 text with fewer broken ones is a damaged UTF-8 text, not another encoding."""
# Letters, digits, marks and spaces of the scripts that UTF-16 files without a mark are met in.
_COMMON = re.compile(
    r"[\t\n\r -~\u00a0-\u017f\u0370-\u03ff\u0400-\u04ff\u2010-\u2027"
    r"\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]+"
)
_MOSTLY = 0.97
"""Share of characters of a text that are common ones."""


def decode(data: bytes, *, markup: bool = False) -> tuple[str, str] | None:
    """Return the text and the encoding's Python name, None where the bytes are no text.

    In order: a byte order mark, UTF-16 by its zero bytes, valid UTF-8, what the file declares (`markup`: its
    meta charset or XML declaration) if the bytes agree, and else the likeliest of the East Asian encodings,
    windows-1251 and windows-1252. The mark is no part of the text.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    if b"\0" in data:
        return _utf16(data)
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    return _damaged_utf8(data) or _declared(data, markup) or _likeliest(data)


def _damaged_utf8(data: bytes) -> tuple[str, str] | None:
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = sum(character > "\x7f" for character in text) - broken
    return (text, "utf-8") if broken <= len(text) * _DAMAGED and broken * 4 < sound else None


def _utf16(data: bytes) -> tuple[str, str] | None:
    """Decode UTF-16 without a mark, where one order of its bytes gives almost only common characters.

    Two bytes of ASCII read as one Chinese character, so a binary file with words in it could pass too. Bytes
    that are mostly ASCII must therefore be Latin text, with its zero bytes all on one side.
    """
    even, odd = data[::2].count(0), data[1::2].count(0)
    letters = data.replace(b"\0", b"")
    mostly_ascii = sum(byte < 0x80 for byte in letters) > len(letters) * 0.9
    if len(data) % 2 or (mostly_ascii and not max(even, odd) * 4 > len(data) > min(even, odd) * 40):
        return None
    best, best_share = None, _MOSTLY
    for name in ("utf-16-le", "utf-16-be"):
        text = data.decode(name, "replace")
        share = sum(len(run) for run in _COMMON.findall(text)) / len(text)
        if share > best_share:
            best, best_share = (text, name), share
    return best


def _declared(data: bytes, markup: bool) -> tuple[str, str] | None:
    head = data[:_HEAD]
    found = (_META.search(head) or _XML.match(head)) if markup else _COOKIE.search(b"\n".join(head.split(b"\n")[:2]))
    if not found:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
    except (LookupError, UnicodeDecodeError):
        return None
    name = _LARGER.get(name, name)
    try:
        return data.decode(name), name
    except (UnicodeDecodeError, LookupError, TypeError, AttributeError):
        # Wrongly declared, or the name of a codec that is no text encoding.
        return None


def _likeliest(data: bytes) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    # Lines of ASCII say nothing about the encoding, and there are many of them in source code.
    telling = b"\n".join(line for line in data[: 8 * _SAMPLE].split(b"\n") if not line.isascii())
    sample = telling[:_SAMPLE].rpartition(b"\n")[0] if len(telling) > _SAMPLE else telling
    best = from_bytes(sample or telling[:_SAMPLE], cp_isolation=_CANDIDATES).best()
    name = best.encoding if best else "cp1252"
    return data.decode(name, "replace"), name
