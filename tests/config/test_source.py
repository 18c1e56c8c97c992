"""Files that cannot be read or parsed: always a ConfigError that says where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecli.config import load_project
from edgecli.config.source import MAX_BYTES
from edgecli.errors import ConfigError
from tests.config.conftest import Load


def fails(folder: Path, raw: bytes, name: str = "wrangler.toml") -> ConfigError:
    (folder / name).write_bytes(raw)
    with pytest.raises(ConfigError) as raised:
        load_project(cwd=folder, config=Path(name), environ={})
    return raised.value


def test_broken_toml_shows_the_line_and_a_caret(tmp_path: Path) -> None:
    error = fails(tmp_path, b'name = "x"\nmain = src/worker.py\n')
    assert error.message == ("wrangler.toml:2:8: Invalid value.\n    main = src/worker.py\n           ^")
    assert error.hint == 'Text stands in quotes: key = "value".'
    assert (error.code, error.details["line"], error.details["column"]) == ("invalid_syntax", 2, 8)


def test_the_caret_stands_below_wide_characters(tmp_path: Path) -> None:
    error = fails(tmp_path, "问候 = 1".encode())
    line, caret = error.message.splitlines()[1:]
    assert line == "    问候 = 1"
    assert caret == "    ^"
    error = fails(tmp_path, '"问候" = 你'.encode())
    assert error.message.splitlines()[2] == "    " + " " * len('"xxxx" = ') + "^"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"name": "x",\n  "main" "y"}', "wrangler.jsonc:2:10: Expecting ':' delimiter."),
        ('{"name": "x"', "wrangler.jsonc:1:13: Expecting ',' delimiter."),
        ("{\n/* never", "wrangler.jsonc:2:1: This comment is never closed."),
        ("", "wrangler.jsonc:1:1: The file is empty."),
        ("[1]", "wrangler.jsonc:1:1: The file holds no object."),
        ("{'name': 1}", "wrangler.jsonc:1:2: Expecting property name enclosed in double quotes."),
        ('{"a": NaN}', "wrangler.jsonc:1:1: `NaN` is no JSON value."),
    ],
)
def test_broken_json(tmp_path: Path, text: str, place: str) -> None:
    error = fails(tmp_path, text.encode(), "wrangler.jsonc")
    assert error.message.splitlines()[0] == place
    assert error.code == "invalid_syntax"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'name = "caf\xe9"', "wrangler.toml:1: byte 0xe9 is not UTF-8."),
        (b"# ok\n# ok\n\x80", "wrangler.toml:3: byte 0x80 is not UTF-8."),
        ('name = "x"'.encode("utf-16"), "wrangler.toml is written in UTF-16 LE."),
        ('name = "x"'.encode("utf-32"), "wrangler.toml is written in UTF-32 LE."),
        (b"#" * (MAX_BYTES + 1), "wrangler.toml is larger than 10 MB."),
    ],
)
def test_bytes_that_are_no_configuration(tmp_path: Path, raw: bytes, message: str) -> None:
    error = fails(tmp_path, raw)
    assert error.message == message
    assert error.code == "unreadable_config"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a = " + b"[" * 5000, "wrangler.toml"),
        (b"a." * 5000 + b"a = 1", "wrangler.toml"),
        (b"[" * 100_000, "wrangler.json"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "wrangler.json"),
        (b"a = " + b"9" * 5000, "wrangler.toml"),
        (b'{"a": ' + b"9" * 5000 + b"}", "wrangler.json"),
        (b'{"a": "\\ud800"}', "wrangler.json"),
    ],
)
def test_absurd_values(tmp_path: Path, raw: bytes, name: str) -> None:
    assert fails(tmp_path, raw, name).code == "invalid_syntax"


@pytest.mark.parametrize("text", ['{"a": "' + '\\"' * 500_000, '{"a": 1' + "/*" * 500_000, "," * 1_000_000])
def test_what_never_ends_is_refused_at_once(tmp_path: Path, text: str) -> None:
    assert fails(tmp_path, text.encode(), "wrangler.json").code == "invalid_syntax"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_bytes(b"\xef\xbb\xbfname = 'x'\r\n")
    assert load_project(cwd=tmp_path, environ={}).name == "x"


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    with pytest.raises(ConfigError, match="conf is a directory"):
        load_project(cwd=tmp_path, config=Path("conf"), environ={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").touch(mode=0o000)
    with pytest.raises(ConfigError, match=r"Cannot read wrangler\.toml: Permission denied"):
        load_project(cwd=tmp_path, environ={})


def test_json_takes_comments_and_trailing_commas(load: Load) -> None:
    text = """{
      // a line, with "quotes" and /* a block */
      "name": "x", /* a block
      over two lines, // with a line */
      "vars": { "URL": "http://host//path", "A": "/* no comment */", "B": ",]", },
    }"""
    for name in ("wrangler.json", "wrangler.jsonc"):
        project = load(text, name=name)
        assert project.name == "x"
        assert project.vars == {"URL": "http://host//path", "A": "/* no comment */", "B": ",]"}


INVALID = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@INVALID
@given(raw=st.binary(max_size=200), name=st.sampled_from(["wrangler.toml", "wrangler.jsonc"]))
def test_any_bytes_load_or_raise_a_config_error(tmp_path: Path, raw: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(raw)
    try:
        load_project(cwd=tmp_path, config=Path(name), environ={})
    except ConfigError as error:
        assert error.message


SYMBOLS = [
    "[",
    "]",
    "[[",
    "]]",
    ".",
    '"k"',
    "'",
    '"',
    "=",
    " ",
    "\n",
    "#",
    "{",
    "}",
    ",",
    "\\",
    '"""',
    "\r\n",
]
WORDS = ["a", "1", "问", "ai", "vectorize", "edgecli", "env", "name", "true", "1979-05-27", "1e999", "nan"]
TOML_PIECES = st.lists(st.sampled_from([*SYMBOLS, *WORDS]), max_size=40).map("".join)


@INVALID
@given(text=TOML_PIECES, name=st.sampled_from(["wrangler.toml", "wrangler.jsonc"]))
def test_any_pieces_load_or_raise_a_config_error(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    try:
        load_project(cwd=tmp_path, config=Path(name), env="env", environ={})
    except ConfigError as error:
        assert error.message
