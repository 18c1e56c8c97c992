from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.scaffold.names import derive_project_name, is_project_name


@pytest.mark.parametrize("name", ["my-app", "a", "0", "_x", "a-", "a_b-2", "x" * 63])
def test_names_that_wrangler_takes(name: str) -> None:
    assert is_project_name(name)
    assert derive_project_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a.b", "é", "我的", "a\n", "x" * 64, "a/b"])
def test_names_that_wrangler_refuses(name: str) -> None:
    assert not is_project_name(name)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My App", "my-app"),
        ("Café Ünïon 2", "cafe-union-2"),
        ("我的应用", "my-app"),
        ("灯笼shop 2", "shop-2"),
        ("ＡＢＣ", "abc"),
        ("a.b/c", "a-b-c"),
        ("--x--", "x"),
        ("...", "my-app"),
        ("_ _", "my-app"),
        ("", "my-app"),
        ("X" * 80, "x" * 63),
    ],
)
def test_a_name_is_derived_from_any_folder(folder: str, name: str) -> None:
    assert derive_project_name(folder) == name


@given(st.text())
def test_a_derived_name_is_always_valid(folder: str) -> None:
    name = derive_project_name(folder)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9-_]*", name)
    assert len(name) <= 63
