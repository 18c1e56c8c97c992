from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.config.dotenv import expand, parse_dotenv
from edgecli.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A = spaced out  ", {"A": "spaced out"}),
        ("export A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\N{ZERO WIDTH NO-BREAK SPACE}A=1", {"A": "1"}),
        ("# A=1\n  # B=2\n\nC=3", {"C": "3"}),
        ("A=1 # comment", {"A": "1"}),
        ("A=1#2", {"A": "1"}),
        ('A="1 # 2" # comment', {"A": "1 # 2"}),
        ("A=''\nB=\nC=\"\"", {"A": "", "B": "", "C": ""}),
        ("A='it\\n'", {"A": "it\\n"}),
        ('A="one\\ntwo"', {"A": "one\ntwo"}),
        ('A="say \\"hi\\""', {"A": 'say "hi"'}),
        ("A=`both ' and \"`", {"A": "both ' and \""}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("A='-----BEGIN\nX=Y\n-----END'\nB=1", {"A": "-----BEGIN\nX=Y\n-----END", "B": "1"}),
        ('A="never closed\nB=2', {"A": '"never closed', "B": "2"}),
        ('A="x"y\nB=2', {"A": '"x"y', "B": "2"}),
        ("A: 1", {"A": "1"}),
        ("A:1", {}),
        ("nonsense\nA=1\n=2\n", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("a.b-c_d=1", {"a.b-c_d": "1"}),
        ("密钥=秘密", {"密钥": "秘密"}),
        ("URL=http://h:1/?a=b&c=d", {"URL": "http://h:1/?a=b&c=d"}),
    ],
)
def test_syntax(text: str, values: dict[str, str]) -> None:
    assert {name: variable.value for name, variable in parse_dotenv(text).items()} == values


def test_quotes_that_never_close_do_not_take_for_ever() -> None:
    text = "A=\"\\\"\nB='\\'\n" * 30_000
    assert parse_dotenv(text)["A"].value == '"\\"'


def test_lines_are_known_across_values_of_several_lines() -> None:
    found = parse_dotenv('# one\nA="x\ny\nz"\nB=1\n\nC=2')
    assert {name: variable.line for name, variable in found.items()} == {"A": 2, "B": 5, "C": 7}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB=${A}2", {"A": "1", "B": "12"}),
        ("B=$A-x\nA=1", {"B": "1-x", "A": "1"}),
        ("B=${A:-你好}", {"B": "你好"}),
        ("A=\nB=${A:-d}", {"A": "", "B": "d"}),
        ("B=${NONE}", {"B": ""}),
        ("B=\\$A\nA=1", {"B": "$A", "A": "1"}),
        ("B='$A'\nA=1", {"B": "$A", "A": "1"}),
        ('B="$A"\nA=1', {"B": "1", "A": "1"}),
        ("A=$B\nB=$A", {"A": "", "B": ""}),
        ("B=${OUTSIDE}", {"B": "out"}),
        ("OUTSIDE=file", {"OUTSIDE": "out"}),
        ("PRICE=5$", {"PRICE": "5$"}),
    ],
)
def test_expansion(text: str, values: dict[str, str]) -> None:
    assert expand(parse_dotenv(text), {"OUTSIDE": "out"}, ".env") == values


def test_expansion_has_an_end() -> None:
    lines = ["A0=" + "x" * 1000, *(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 40))]
    with pytest.raises(ConfigError, match=r"\.env:\d+: `A\d+` expands to more than 1048576 characters"):
        expand(parse_dotenv("\n".join(lines)), {}, ".env")


@settings(max_examples=100, deadline=None)
@given(value=st.text(max_size=30).filter(lambda text: not set(text) & set('\\"\r\n')))
def test_a_value_in_double_quotes_comes_back(value: str) -> None:
    assert parse_dotenv(f'A="{value}"\nB=1')["A"].value == value


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="A=B\"'` \n\r#$\\{}:é你\t-", max_size=60))
def test_any_text_is_read(text: str) -> None:
    variables = parse_dotenv(text)
    assert all(1 <= variable.line <= text.count("\n") + text.count("\r") + 1 for variable in variables.values())
    assert set(expand(variables, {}, ".env")) == set(variables)
