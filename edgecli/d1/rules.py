"""What SQL may do: what a Worker writes may be anything, and it must not leave its own database.

D1's limits are https://developers.cloudflare.com/d1/platform/limits/.
"""

from __future__ import annotations

import sqlite3

MAX_RESULT = 32 << 20
"""Bytes of one answer's rows, as JSON has about."""

LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LENGTH: 2_000_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}

# https://developers.cloudflare.com/d1/sql-api/sql-statements/#compatible-pragma-statements
_PRAGMA_NAMES = """
    case_sensitive_like defer_foreign_keys foreign_key_check foreign_key_list function_list ignore_check_constraints
    index_info index_list index_xinfo integrity_check legacy_alter_table optimize quick_check recursive_triggers
    reverse_unordered_selects table_info table_list table_xinfo
"""
_PRAGMAS = frozenset(_PRAGMA_NAMES.split())
_READ_ONLY_PRAGMAS = frozenset(
    ("data_version", "foreign_keys", "page_count", "page_size", "schema_version", "user_version")
)
_MODULES = frozenset(("fts5", "fts5vocab", "json_each", "json_tree"))
_FUNCTIONS = frozenset(("load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"))
_REFUSED = frozenset(
    (
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
    )
)


def authorize(action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None) -> int:
    """SQLite's authorizer: refuse other files, transactions of the caller's own, extensions and most pragmas."""
    del schema, trigger
    allowed = action not in _REFUSED
    if action == sqlite3.SQLITE_PRAGMA:
        name = (first or "").lower()
        allowed = name in _PRAGMAS or (name in _READ_ONLY_PRAGMAS and second is None)
    elif action in {sqlite3.SQLITE_CREATE_VTABLE, sqlite3.SQLITE_DROP_VTABLE}:
        allowed = (second or "").lower() in _MODULES
    elif action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() not in _FUNCTIONS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
