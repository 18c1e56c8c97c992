"""Recognise the lines of source code that define something, in many languages, by their looks."""

from __future__ import annotations

import re

_LONGEST_LINE = 200

_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|override|inline|virtual"
    r"|sealed|partial|readonly|open|data|case|suspend|unsafe|extern|const|constexpr|mut|local|declare|required"
    r"|pub(?:\([^)]*\))?|implicit|operator|native|synchronized|func(?=\s+init)|typedef)\s+)*"
)
_KEYWORD = re.compile(
    rf"\s*{_MODIFIERS}(?:def|defp|defmodule|defmacro|defprotocol|class|enum\s+class|func|fun|fn|function\*?|sub"
    r"|interface|struct|enum|union|trait|impl(?:<[^>]*>)?|module|namespace|package(?=\s+\w+\s*[{;]?\s*$)|object"
    r"|protocol|extension|actor|record|type|macro_rules!|message|service|rpc|input|schema|contract)\s+"
    r"(?:\([^)]*\)\s*)?(?P<name>[^\W\d][\w.:$'?!/-]*)"
    # What may follow a name, so that prose in a docstring ("type of the ...") defines nothing.
    r"(?=\s*(?:$|[^\w\s\"',.]|(?:extends|implements|with|where|for|is|do|of|struct|interface|func|map|u?int\d*|string"
    r"|returns|throws|derives)\b))"
)
_LISP = re.compile(
    r"\s*\((?:defn-?|defmacro|defmethod|defprotocol|defrecord|deftype|ns|define)\s+\(?(?P<name>[^\s()]+)"
)
_SQL = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?(?:(?:temp|temporary|unique|virtual|materialized)\s+)*"
    r"(?:table|view|index|trigger|function|procedure|schema|type)\s+(?:if\s+not\s+exists\s+)?(?P<name>[\w.\"`\[\]]+)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"\s*(?:export\s+)?(?:const|let|var|local)?\s*(?P<name>[\w.$]+)\s*(?::[^=]+)?(?:=|<-)\s*"
    r"(?:async\s+)?(?:function\b|(?:\([^()]*\)|\w+)\s*(?::[^=]+)?=>|class\b)"
)
_SHELL = re.compile(r"(?P<name>[\w:.-]+)\s*\(\)\s*[{(]?\s*$")
_BLOCK = re.compile(r"(?P<name>(?:resource|data|variable|output|provider|module|locals|terraform)\b[^={]*?)\s*\{")
_TABLE_KEY = re.compile(r"\[{1,2}(?P<name>[^\[\]]+)\]{1,2}\s*(?:[#;].*)?$")
_YAML_KEY = re.compile(r"(?P<name>[^\W\d][\w./-]*):(?:\s*[|>&#].*)?\s*$")
_C_FUNCTION = re.compile(
    r"(?P<indent>\s*)(?:template\s*<[^>]*>\s*)?(?:[\w:<>,~*&\[\]@.?]+\s+)+[*&]*(?P<name>~?[A-Za-z_][\w:~]*)\s*\([^;={}]*"
    r"(?:\)\s*(?:const|noexcept|override|final|throws\s+[\w., ]+)*\s*(?:->\s*[\w:<>&* ]+)?\s*\{?\s*\}?|,)\s*$"
)
_METHOD = re.compile(
    r"\s+(?:(?:async|static|get|set)\s+)*(?P<name>#?[A-Za-z_$][\w$]*)\s*\([^()]*\)\s*(?::[^{]+)?\{\s*$"
)
_NO_NAMES_WORDS = """
    if for while switch catch return else do new throw assert with elif case when unless until foreach
    of the that to an using lock sizeof typeof await yield delete in is as not and or where try finally
    except default defer go raise echo print puts goto import from use lambda then end
"""
_NO_NAMES = frozenset(_NO_NAMES_WORDS.split())
_PATTERNS = (_KEYWORD, _LISP, _SQL, _ASSIGNED, _SHELL, _BLOCK, _TABLE_KEY, _YAML_KEY, _C_FUNCTION, _METHOD)

LEADS = re.compile(r"\s*(?:@|#\[|//|/\*|\*|#(?!include|define|if|endif|pragma)|--|;;|%%|template\s*<)")
"""A decorator, an attribute or a comment: it belongs to the definition under it."""


def defined_name(line: str) -> str | None:
    """Return the name that this line defines, or None where it defines nothing."""
    if not line or len(line) > _LONGEST_LINE or LEADS.match(line):
        return None
    for pattern in _PATTERNS:
        found = pattern.match(line)
        if found and found["name"].split()[0] not in _NO_NAMES and line.split(None, 1)[0] not in _NO_NAMES:
            return " ".join(found["name"].split()).strip('"`:')
    return None
