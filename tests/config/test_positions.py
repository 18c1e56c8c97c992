"""Each key is found on the line where it is written, in both syntaxes."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.config.jsonc import load_jsonc
from edgecli.config.keypath import KeyPath, show_path
from edgecli.config.toml_positions import toml_positions

TOML = """\
a.b."c d" = 1
list = [ 1, [2,
  # no end ]
  3], {k = "}]", "问" = 2} ]
text = '''x
]'''
quotes = \"\"\"a "quoted\"\"\"\"
[t]   # a table
'k' = 1979-05-27 07:32:00
[[v]]
i = 1
[v.sub]
q = 1
[[v]]
i = 2
[[v.w]]
z = 1
[v.w.x]
"你好".y = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("a", "b", "c d"), 1),
        (("list", 0), 2),
        (("list", 1, 0), 2),
        (("list", 1, 1), 4),
        (("list", 2, "问"), 4),
        (("text",), 5),
        (("quotes",), 7),
        (("t",), 8),
        (("t", "k"), 9),
        (("v", 0), 10),
        (("v", 0, "i"), 11),
        (("v", 0, "sub"), 12),
        (("v", 0, "sub", "q"), 13),
        (("v", 1), 14),
        (("v", 1, "i"), 15),
        (("v", 1, "w", 0, "z"), 17),
        (("v", 1, "w", 0, "x"), 18),
        (("v", 1, "w", 0, "x", "你好", "y"), 19),
    ],
)
def test_toml(path: KeyPath, line: int) -> None:
    assert TOML.count("\n", 0, toml_positions(TOML)[path]) + 1 == line


def every_path(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [below for key, entry in pairs for below in [(*path, key), *every_path(entry, (*path, key))]]


def test_toml_finds_exactly_the_keys_that_are_there() -> None:
    assert set(toml_positions(TOML)) == set(every_path(tomllib.loads(TOML)))


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
KEYS = st.text(max_size=6) | st.sampled_from(["", "a.b", "[", '"', "//", "/*", ",]", "键"])
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(tree=TREES, indent=st.sampled_from([None, 2]))
def test_json_finds_exactly_the_keys_that_are_there(tree: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    value, offsets = load_jsonc(text)
    assert value == tree
    assert set(offsets) == set(every_path(tree))
    for path, offset in offsets.items():
        if isinstance(path[-1], str):
            assert text.startswith(json.dumps(path[-1], ensure_ascii=False), offset)


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n# ]\n".join(map(as_toml, value)) + "]"
    return json.dumps(value) if value is not None else "''"


@settings(max_examples=80, deadline=None)
@given(tree=TREES)
def test_generated_toml_finds_exactly_the_keys_that_are_there(tree: dict[str, Any]) -> None:
    text = "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in tree.items())
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # JSON escapes that TOML does not know
        return
    offsets = toml_positions(text)
    assert set(offsets) == set(every_path(value))
    assert all(text[offset] not in " \n,#" for offset in offsets.values())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("vectorize", 0, "index_name"), "vectorize[0].index_name"),
        (("vars", "问候"), "vars.问候"),
        (("edgecli", "models", "@cf/a/b", "use"), 'edgecli.models."@cf/a/b".use'),
        (("a", 'b"c'), 'a."b\\"c"'),
        ((), ""),
    ],
)
def test_paths_are_written_as_users_write_them(path: KeyPath, text: str) -> None:
    assert show_path(path) == text
