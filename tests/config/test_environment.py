"""What an environment inherits, what it must repeat, and what is said about it."""

from __future__ import annotations

import pytest

from edgecli.config.project import AiBinding, VectorizeBinding
from edgecli.errors import ConfigError
from tests.config.conftest import Findings, Load

TEXT = """\
name = "app"
main = "src/index.js"
compatibility_date = "2026-03-01"
compatibility_flags = ["a"]
[ai]
binding = "AI"
[[vectorize]]
binding = "V"
index_name = "docs"
[vars]
A = 1
"问候" = "你好"
[edgecli]
offline = true
[edgecli.rag]
top_k = 3
mode = "vector"
[edgecli.models."@cf/x"]
use = "@edge/one"

[env.staging]
main = "src/staging.js"
[env.staging.edgecli.rag]
top_k = 9
[env.staging.edgecli.models."@cf/x"]
use = "@edge/two"

[env.whole]
name = "own-name"
compatibility_flags = []
ai = { binding = "MODELS" }
vectorize = [{ binding = "V", index_name = "docs-whole" }]
vars = { A = 2, "问候" = "再见" }

[env.partial]
vectorize = [{ binding = "W", index_name = "other" }]
vars = { A = 2 }
ai = { binding = "AI" }
"""


def test_the_top_level_without_an_environment(load: Load) -> None:
    project = load(TEXT)
    assert (project.env, project.name, project.main) == (None, "app", "src/index.js")
    assert project.vectorize == (VectorizeBinding("V", "docs"),)
    assert project.vars == {"A": 1, "问候": "你好"}
    assert project.diagnostics == ()


def test_inherited_and_not_inherited(load: Load) -> None:
    project = load(TEXT, env="staging")
    assert (project.env, project.name, project.main) == ("staging", "app-staging", "src/staging.js")
    assert project.compatibility_date == "2026-03-01"
    assert project.compatibility_flags == ("a",)
    assert (project.ai, project.vectorize, project.vars) == (None, (), {})
    assert "env" not in project.raw


def test_an_environment_that_repeats_everything_has_no_warnings(load: Load) -> None:
    project = load(TEXT, env="whole")
    assert (project.name, project.compatibility_flags, project.ai) == ("own-name", (), AiBinding("MODELS"))
    assert project.vectorize == (VectorizeBinding("V", "docs-whole"),)
    assert project.vars == {"A": 2, "问候": "再见"}
    assert project.diagnostics == ()


def test_edgecli_is_inherited_key_by_key_and_models_whole(load: Load) -> None:
    settings = load(TEXT, env="staging").settings
    assert (settings.offline, settings.rag.top_k, settings.rag.mode) == (True, 9, "vector")
    assert settings.models == {"@cf/x": {"use": "@edge/two"}}
    assert load(TEXT).settings.rag.top_k == 3


def test_missing_keys_are_warned_about(findings: Findings) -> None:
    found = findings(TEXT, env="staging")
    assert [(finding.level, finding.message.splitlines()[0], finding.section) for finding in found] == [
        ("warning", f'"{key}" exists at the top level, but not on "env.staging".', SECTION)
        for key in ("vars", "vectorize", "ai")
    ]
    assert found[0].message.splitlines()[1:] == [
        'This is not what you probably want, since "vars" is not inherited by environments.',
        'Please add "vars" to "env.staging".',
    ]


SECTION = '"env.staging" environment configuration'


def test_missing_entries_are_warned_about(findings: Findings) -> None:
    messages = [finding.message for finding in findings(TEXT, env="partial")]
    assert messages == [
        'The following vars exist at the top level, but not on "env.partial.vars".\n'
        'This is probably not what you want, since "vars" configuration is not inherited by environments.\n'
        'Please add these vars to "env.partial.vars":\n'
        "- 问候",
        'There is a vectorize binding with name "V" at the top level, but not on "env.partial".\n'
        'This is not what you probably want, since "vectorize" configuration is not inherited by '
        "environments.\n"
        'Please add a binding for "V" to "env.partial.vectorize.bindings".',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[env.s.ai]", 'binding should have a string "binding" field.'),
        ("[env.s]\nvectorize = 5", 'The field "env.s.vectorize" should be an array but got 5.'),
        (
            "[[env.s.vectorize]]\nbinding = 'V'",
            '"env.s.vectorize[0]" bindings must have an "index_name" field but got {"binding":"V"}.',
        ),
        ("[env.s.vars]\nD = 2026-01-01", 'The field "env.s.vars.D" is a TOML date, which is not supported. '),
        ("[env.s]\nminify = 5", 'Expected "minify" to be of type boolean but got 5.'),
        ("[env]\ns = 5", 'Expected "env.s" to be of type object but got 5.'),
        (
            "[env.s.edgecli.rag]\ntop_k = 0",
            'Expected "env.s.edgecli.rag.top_k" to be between 1 and 100 but got 0.',
        ),
        ("[env.s]\nedgecli = 5", 'Expected "env.s.edgecli" to be of type object but got 5.'),
    ],
)
def test_errors_inside_carry_the_prefix(findings: Findings, text: str, message: str) -> None:
    (finding,) = findings(text, env="s")
    assert finding.level == "error"
    assert finding.message.startswith(message)
    assert finding.key.startswith("env.s")


def test_only_the_chosen_environment_is_checked(findings: Findings) -> None:
    assert findings("[env.bad]\nai = 5\n[env.good]", env="good") == []


@pytest.mark.parametrize("key", ["dev = {}", "foo = 1", "env = {}"])
def test_keys_that_belong_elsewhere(findings: Findings, key: str) -> None:
    (finding,) = findings(f"[env.s]\n{key}", env="s")
    name = key.split()[0]
    assert finding.message == f'Unexpected fields found in env.s field: "{name}"'
    assert finding.level == "warning"


def test_unknown_environment_among_known_ones(findings: Findings) -> None:
    (finding,) = findings('[env.staging]\n[env."生产"]', env="stagin")
    assert finding.level == "error"
    assert finding.message.startswith('No environment found in configuration with name "stagin".\n')
    assert 'The available configured environment names are: ["staging","生产"]' in finding.message
    assert finding.hint == "Did you mean `staging`?"


def test_unknown_environment_without_any(load: Load) -> None:
    project = load("name = 'a'\n[vars]\nA = 1", env="staging")
    (finding,) = project.diagnostics
    assert finding.level == "warning"
    assert finding.message.startswith('No environment found in configuration with name "staging".\n')
    assert "[env.staging]" in finding.message
    assert (project.name, project.vars) == ("a-staging", {"A": 1})


def test_the_environment_variable_and_the_empty_name(load: Load) -> None:
    chosen = {"CLOUDFLARE_ENV": "whole"}
    assert load(TEXT, environ=chosen).env == "whole"
    assert load(TEXT, env="partial", environ=chosen).env == "partial"
    assert load(TEXT, env="", environ=chosen).env is None


def test_names_of_an_environment_are_compared_among_themselves(load: Load) -> None:
    text = "[ai]\nbinding = 'X'\n[env.s]\nvars = { X = 1 }"
    assert load(text, env="s").vars == {"X": 1}
    with pytest.raises(ConfigError, match="X assigned to AI and Environment Variable bindings"):
        load(text + "\nai = { binding = 'X' }", env="s")


def test_null_in_json_is_a_value_and_a_wrong_one(findings: Findings) -> None:
    (finding,) = findings('{"main": "a.js",\n"env": {"s": {"main": null}}}', env="s", name="wrangler.json")
    assert finding.message == 'Expected "main" to be of type string but got null.'
    assert (finding.key, finding.line) == ("env.s.main", 2)
