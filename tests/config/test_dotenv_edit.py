from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecli.config.dotenv import parse_dotenv
from edgecli.config.dotenv_edit import delete_variable, set_variable
from edgecli.errors import ConfigError, NotFoundError

FILE = b"# secrets \xe5\xaf\x86\r\n\r\nexport A = 'one'  # first\r\nB=\"two\r\nlines\"\r\nnot an assignment\r\nA: three"


def values(path: Path) -> dict[str, str]:
    return {name: each.value for name, each in parse_dotenv(path.read_bytes().decode()).items()}


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text("ab'\"`$\\{}#=\n\r 密🔑", min_size=1)


@given(texts, texts, st.sampled_from(["", "# comment\n", "\ufeffOLD=1\r\n", "X='a\nb'", 'Q="un"closed\n', "KEY=old\n"]))
@example("it's", 'say "hi"', "")
@example("a\\nb", "tail\\", "")
@example("-----BEGIN KEY-----\nabc$x\n-----END KEY-----\n", "${HOME}", "")
@example("'", "x\\'", "")
def test_what_is_written_is_read_back(first: str, second: str, before: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".dev.vars"
        path.write_bytes(before.encode())
        expected = values(path)
        for name, value in (("KEY", first), ("OTHER", second), ("KEY", second)):
            content = path.read_bytes()
            try:
                set_variable(path, name, value)
                expected[name] = value
            except ConfigError as error:
                assert error.code == "cannot_edit"
                assert {"`", "\\", "\r"} & set(value)
                assert path.read_bytes() == content
            assert values(path) == expected


def test_all_else_stays_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / ".dev.vars"
    path.write_bytes(FILE)
    assert set_variable(path, "B", "2")
    assert path.read_bytes() == FILE.replace(b'"two\r\nlines"', b"2")
    assert not set_variable(path, "C", "a 'b'")
    assert path.read_bytes() == FILE.replace(b'"two\r\nlines"', b"2") + b"\r\nC=\"a 'b'\"\r\n"


def test_the_assignment_that_counts_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".dev.vars"
    path.write_bytes(FILE)
    set_variable(path, "A", "four")
    assert path.read_bytes() == FILE.replace(b"A: three", b"A=four")


def test_all_assignments_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / ".dev.vars"
    path.write_bytes(b"\xef\xbb\xbf" + FILE)
    delete_variable(path, "A")
    assert path.read_bytes() == b"\xef\xbb\xbf" + FILE.replace(b"export A = 'one'  # first\r\n", b"").replace(
        b"A: three", b""
    )
    assert list(values(path)) == ["B"]
    with pytest.raises(NotFoundError):
        delete_variable(path, "A")


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / ".dev.vars"
    path.write_text("A=1\n")
    path.chmod(0o644)
    set_variable(path, "B", "2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".dev.vars").symlink_to("real")
    set_variable(tmp_path / ".dev.vars", "A", "2")
    assert (tmp_path / ".dev.vars").is_symlink()
    assert (tmp_path / "real").read_text() == "A=2\n"


def test_a_file_that_is_not_utf_8_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".dev.vars"
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError) as caught:
        set_variable(path, "B", "2")
    assert caught.value.code == "unreadable_dotenv"
    assert path.read_bytes() == b"A=\xff\n"
    assert [each.name for each in tmp_path.iterdir()] == [".dev.vars"]
