"""Where sentences end, in Latin and in CJK text."""

from __future__ import annotations

import re

# A run of stops with the quotes and brackets that close after it. Possessive, and each run is looked at
# once: a megabyte of full stops takes linear time.
_STOP = re.compile(
    r"(?P<latin>[.!?]++)[\"'”’»)\]]*+"
    r"|(?P<cjk>[。！？；｡…‥]++)[”’」』）】》〉〕\"')\]]*+"
)
_ABBREVIATIONS_WORDS = """
    mr mrs ms dr prof sr jr st vs etc e.g i.e eg ie cf al fig figs no nos vol pp p ch sec eq ref refs
    approx inc ltd co corp dept est max resp viz ed eds rev jan feb mar apr jun jul aug sep sept oct nov
    dec u.s u.k a.m p.m z.b bzw usw ca bspw nr
"""
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_WORDS.split())
_LAST_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|\.)*$")


def sentence_ends(text: str, start: int, end: int) -> list[int]:
    """Return the offsets at which the sentences of `text[start:end]` end, spaces after them included.

    Ascending; the last one is `end`. A full stop inside a number, a name (`edge.db`) or an abbreviation ends
    nothing; `。！？；…` end a sentence with no space after them. A single line break is a space.
    """
    ends: list[int] = []
    for stop in _STOP.finditer(text, start, end):
        position = stop.end()
        following = _skip_spaces(text, position, end)
        if following >= end:
            break
        if stop["cjk"] is None:
            if following == position and not _is_cjk(text[position]):
                continue
            if text[following].islower() or (stop["latin"] == "." and _abbreviated(text, start, stop.start())):
                continue
        elif following > position and _goes_on(stop["cjk"], text[following]):
            continue
        ends.append(following)
    ends.append(end)
    return ends


def _goes_on(stop: str, character: str) -> bool:
    """Tell a pause in a Latin sentence ("well … maybe") from the end of a sentence."""
    if stop.strip("…‥"):
        return character.islower()
    return not (character.isupper() or _is_cjk(character))


def _skip_spaces(text: str, position: int, end: int) -> int:
    while position < end and text[position].isspace():
        position += 1
    return position


def _is_cjk(character: str) -> bool:
    """Tell Chinese characters, kana, hangul and full-width forms: no space separates their sentences."""
    return "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" or "\uff00" <= character <= "\uffef"


def _abbreviated(text: str, start: int, stop: int) -> bool:
    word = _LAST_WORD.search(text, max(start, stop - 12), stop)
    if word is None:
        return False
    found = word[0].lower()
    return found in _ABBREVIATIONS or (len(found) == 1 and word[0].isupper())
