"""Wrangler's findings, with its words, and our place and hint for each."""

from __future__ import annotations

import pytest

from edgecli.config.diagnostics import as_json
from edgecli.errors import ConfigError
from tests.config.conftest import Findings, Load

ERRORS = [
    (
        "name = 5",
        'Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got 5.',
    ),
    (
        'name = "A b"',
        'Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got "A b".',
    ),
    ("main = 5", 'Expected "main" to be of type string but got 5.'),
    ("workers_dev = 'yes'", 'Expected "workers_dev" to be of type boolean but got "yes".'),
    ("keep_vars = 1", 'Expected "keep_vars" to be of type boolean but got 1.'),
    (
        'compatibility_date = "soon"',
        '"compatibility_date" field should be a valid ISO-8601 date (YYYY-MM-DD), but got "soon".',
    ),
    (
        'compatibility_date = "2026-02-30"',
        '"compatibility_date" field should be a valid ISO-8601 date (YYYY-MM-DD), but got "2026-02-30".',
    ),
    (
        'compatibility_date = "2026–03–01"',
        '"compatibility_date" field should use ISO-8601 accepted hyphens (-) '
        "rather than en-dashes (–) or em-dashes (—).",
    ),
    (
        "compatibility_date = 2026-03-01",
        'Expected "compatibility_date" to be of type string but got "2026-03-01".',
    ),
    ('compatibility_flags = "a"', 'Expected "compatibility_flags" to be of type string array but got "a".'),
    ("compatibility_flags = [1]", 'Expected "compatibility_flags" to be of type string array but got [1].'),
    (
        'compliance_region = "eu"',
        'Expected "compliance_region" field to be one of ["public","fedramp_high"] but got "eu".',
    ),
    (
        '[vectorize]\nbinding = "V"',
        'The field "vectorize" should be an array but got {"binding":"V"}.',
    ),
    ('vectorize = ["x"]', '"vectorize" bindings should be objects, but got "x"'),
    (
        '[[vectorize]]\nindex_name = "d"',
        '"vectorize[0]" bindings should have a string "binding" field but got {"index_name":"d"}.',
    ),
    (
        '[[vectorize]]\nbinding = "向量"',
        '"vectorize[0]" bindings must have an "index_name" field but got {"binding":"向量"}.',
    ),
    (
        '[[vectorize]]\nbinding = "V"\nindex_name = "d"\nremote = "no"',
        '"vectorize[0]" should, optionally, have a boolean "remote" field but got '
        '{"binding":"V","index_name":"d","remote":"no"}.',
    ),
    (
        '[[ai_search]]\nbinding = "S"',
        '"ai_search[0]" bindings must have an "instance_name" field but got {"binding":"S"}.',
    ),
    (
        '[[ai_search_namespaces]]\nbinding = "S"',
        '"ai_search_namespaces[0]" bindings must have a "namespace" field but got {"binding":"S"}.',
    ),
    ('ai = "AI"', 'The field "ai" should be an object but got "AI".'),
    ('[[ai]]\nbinding = "AI"', 'The field "ai" should be an object but got [{"binding":"AI"}].'),
    ("[ai]", 'binding should have a string "binding" field.'),
    ("browser = true", 'The field "browser" should be an object but got true.'),
    (
        '[[r2_buckets]]\nbinding = "B"\nbucket_name = "X"',
        'r2_buckets[0].bucket_name="X" is invalid. Bucket names must begin and end with an alphanumeric '
        "character, only contain lowercase letters, numbers, and hyphens, "
        "and be between 3 and 63 characters long.",
    ),
    (
        '[[kv_namespaces]]\nbinding = "K"\nid = ""',
        '"kv_namespaces[0]" bindings should, optionally, have a string "id" field but got {"binding":"K","id":""}.',
    ),
    (
        '[[d1_databases]]\nbinding = "D"\ndatabase_name = 5',
        '"d1_databases[0]" bindings should, optionally, have a string "database_name" field but got '
        '{"binding":"D","database_name":5}.',
    ),
    ("vars = 5", 'The field "vars" should be an object but got 5.'),
    (
        "[vars]\nD = 2026-03-01",
        'The field "vars.D" is a TOML date, which is not supported. '
        'Please use a string instead, e.g. D = "2025-12-19".',
    ),
    ('secrets = ["A"]', 'The field "secrets" should be an object but got ["A"].'),
    ("secrets = { required = 5 }", 'Expected "secrets.required" to be an array of strings but got 5'),
    ("dev = 5", 'Expected "dev" to be of type object but got 5.'),
    ("[dev]\nport = '1'", 'Expected "dev.port" to be of type number but got "1".'),
    ("env = 5", 'Expected "env" to be of type object but got 5.'),
    (
        "legacy_env = true",
        'The "legacy_env" field is no longer supported, so please remove it from your configuration file.',
    ),
    ('main = "src/worker.py"', "The `python_workers` compatibility flag is required to use Python."),
    ("queues = []", 'The field "queues" should be an object but got [].'),
]

WARNINGS = [
    ("foo = 1\nbar = 2", 'Unexpected fields found in top-level field: "foo","bar"'),
    (
        "[[vectorize]]\nbinding = 'V'\nindex_name = 'd'\nx = 1",
        'Unexpected fields found in vectorize[0] field: "x"',
    ),
    ("[dev]\nprot = 1", 'Unexpected fields found in dev field: "prot"'),
    ("[browser]\nbinding = 'B'\nx = 1", 'Unexpected fields found in browser field: "x"'),
    ("[[kv_namespaces]]\nbinding = 'K'\ndatabase_name = 'd'", None),
    ("[edgecli.rag]\ntopk = 1", 'Unexpected fields found in edgecli.rag field: "topk"'),
    ("[edgecli]\nrga = 1", 'Unexpected fields found in edgecli field: "rga"'),
    ("[secrets]\noptional = []", 'Unexpected fields found in secrets field: "optional"'),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors(findings: Findings, text: str, message: str) -> None:
    (finding,) = findings(text)
    assert (finding.level, finding.message) == ("error", message)
    assert finding.file == "wrangler.toml"
    assert finding.line


@pytest.mark.parametrize(("text", "message"), WARNINGS)
def test_warnings(findings: Findings, text: str, message: str | None) -> None:
    (finding,) = findings(text)
    expected = message or 'Unexpected fields found in kv_namespaces[0] field: "database_name"'
    assert (finding.level, finding.message) == ("warning", expected)
    assert finding.line


@pytest.mark.parametrize(
    "text",
    [
        "[ai]\nbinding = 'AI'\nstaging = true\nwhatever = 1",
        "[edgecli.rag]\ntop_k = 3",
        "'$schema' = 'x'",
        "name = ''",
        "[[workflows]]\nbinding = 'W'\nname = 'w'\nclass_name = 'C'\nlimits = { steps = 5 }",
        "[[send_email]]\nname = 'MAIL'",
        "[[queues.producers]]\nbinding = 'Q'\nqueue = 'q'",
        "[[r2_buckets]]\nbinding = 'B'",
        "compatibility_date = '2026-03-01T00:00:00Z'",
        "[vars]\nQ = [1, { a = true }]\n'你好' = '世界'",
    ],
)
def test_what_wrangler_accepts_is_accepted(findings: Findings, text: str) -> None:
    assert findings(text) == []


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "[ai]\nbinding = 'X'\n[[kv_namespaces]]\nbinding = 'X'",
            ["X assigned to AI and KV Namespace bindings."],
        ),
        (
            "[[vectorize]]\nbinding = 'X'\nindex_name = 'a'\n[[vectorize]]\nbinding = 'X'\nindex_name = 'b'",
            ["X assigned to multiple Vectorize Index bindings."],
        ),
        (
            "[vars]\nX = 1\n[ai]\nbinding = 'X'\n[secrets]\nrequired = ['X']\n"
            "[durable_objects]\nbindings = [{ name = 'X', class_name = 'C' }]\n"
            "[[queues.producers]]\nbinding = 'X'\nqueue = 'q'",
            ["X assigned to Environment Variable, AI, Secret, Durable Object, and Queue bindings."],
        ),
    ],
)
def test_names_are_taken_once(findings: Findings, text: str, messages: list[str]) -> None:
    closing = (
        "Bindings must have unique names, so that they can all be referenced in the worker.\n"
        "Please change your bindings to have unique names."
    )
    found = [finding.message for finding in findings(text) if finding.level == "error"]
    assert found == [*messages, closing]


@pytest.mark.parametrize(
    ("text", "line", "key", "hint"),
    [
        ("nmae = 'x'", 1, "nmae", "`nmae`: did you mean `name`?"),
        ("\n\n[[vectorise]]\nbinding = 'V'", 3, "vectorise", "`vectorise`: did you mean `vectorize`?"),
        (
            "[[vectorize]]\nbinding = 'V'\nindex = 'd'",
            1,
            "vectorize[0]",
            "Rename `index` to `index_name`.",
        ),
        ("[vectorize]\nbinding = 'V'", 1, "vectorize", "Write [[vectorize]] instead of [vectorize]."),
        ("ai = 'AI'", 1, "ai", 'Write a table with binding = "AI".'),
        ("[ai]", 1, "ai", 'Add binding = "AI".'),
        ("[ai]\nbinding = 1", 1, "ai", "Put the value of `binding` in quotes."),
        ("name = '我的 App'", 1, "name", 'For example name = "app".'),
        (
            "[edgecli.rag]\ntop_k = 5\nmode = 'hybird'",
            3,
            "edgecli.rag.mode",
            "Did you mean `hybrid`?",
        ),
        (
            "compatibility_date = 2026-03-01",
            1,
            "compatibility_date",
            'Put it in quotes: compatibility_date = "2026-03-01".',
        ),
        ("main = 'w.py'", 1, "main", 'Add compatibility_flags = ["python_workers"].'),
    ],
)
def test_place_and_hint(findings: Findings, text: str, line: int, key: str, hint: str) -> None:
    finding = findings(text)[0]
    assert (finding.line, finding.key, finding.hint) == (line, key, hint)


def test_hints_are_in_the_syntax_of_the_file(findings: Findings) -> None:
    found = findings('{"vectorize": {"binding": "V"},\n "ai": {}}', name="wrangler.jsonc")
    assert [(finding.line, finding.hint) for finding in found] == [
        (1, "Put the object between [ and ]."),
        (2, 'Add "binding": "AI".'),
    ]


def test_all_errors_come_at_once_as_wranglers_tree(load: Load) -> None:
    text = """\
name = 5
[[vectorize]]
binding = "V"
index = "docs"
[env.staging]
name = "B"
ai = "AI"
"""
    with pytest.raises(ConfigError) as raised:
        load(text, env="staging")
    assert (
        raised.value.message
        == """\
Processing wrangler.toml configuration:
  - Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got 5.
        at wrangler.toml:1: name
        hint: For example name = "my-app".
  - "vectorize[0]" bindings must have an "index_name" field but got {"binding":"V","index":"docs"}.
        at wrangler.toml:2: vectorize[0]
        hint: Rename `index` to `index_name`.
  - "env.staging" environment configuration
    - Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got "B".
          at wrangler.toml:6: env.staging.name
          hint: For example name = "b".
    - The field "env.staging.ai" should be an object but got "AI".
          at wrangler.toml:7: env.staging.ai
          hint: Write a table with binding = "AI"."""
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1.0, "b": [True, None]}, '{"a":1,"b":[true,null]}'),
        (float("nan"), "null"),
        (0.5, "0.5"),
        ("问", '"问"'),
        ("x" * 400, '"' + "x" * 299 + "…"),
    ],
)
def test_values_are_written_as_javascript_writes_them(value: object, text: str) -> None:
    assert as_json(value) == text
