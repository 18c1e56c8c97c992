"""A text of SQL in its statements."""

from __future__ import annotations

import pytest

from edgecli.d1.statements import split

TRIGGER = "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = ';'; DELETE FROM c; END;"


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT ';''' ; ", ["SELECT 1;", " SELECT ';''' ;"]),
        ("-- a; b\nSELECT 1 /* ; */; -- end", ["-- a; b\nSELECT 1 /* ; */;"]),
        ('SELECT "a;b", `c;d`, [e;f]; ;;', ['SELECT "a;b", `c;d`, [e;f];']),
        (f"{TRIGGER} SELECT 1", [TRIGGER, " SELECT 1"]),
        (f"/* x; */ {TRIGGER}", [f"/* x; */ {TRIGGER}"]),
        ("-- nothing\n/* at all */ ;", []),
        ("SELECT 'never ends; SELECT 2", ["SELECT 'never ends; SELECT 2"]),  # SQLite reads it as one token too
        ("SELECT 1; [" * 30_000, ["SELECT 1;", f" [{'SELECT 1; [' * 29_999}"]),
        (f"{TRIGGER[:-4]}{';' * 30_000} END; SELECT 1", [f"{TRIGGER[:-4]}{';' * 30_000} END;", " SELECT 1"]),
        ("", []),
    ],
)
def test_statements_end_at_their_own_semicolons(sql: str, statements: list[str]) -> None:
    assert split(sql) == statements
