from __future__ import annotations

import dataclasses

import pytest

from edgecli.config import Settings
from edgecli.config.settings import all_settings
from edgecli.errors import ConfigError
from tests.config.conftest import Findings, Load


def test_the_table_of_settings() -> None:
    keys = [setting.key for setting in all_settings()]
    assert len(keys) == len(set(keys)) == 46
    assert "edgecli.generation_model" in keys
    assert "edgecli.vectorize.dot_product_sign" in keys
    assert all(setting.help.endswith(".") for setting in all_settings())
    variables = [setting.variable for setting in all_settings()]
    assert len(variables) == len(set(variables))


def test_the_table_and_the_classes_are_one() -> None:
    settings = dataclasses.asdict(Settings())
    for setting in all_settings():
        value = settings
        for part in setting.path:
            value = value[part]
        assert value == setting.default


def test_every_kind_of_value(load: Load) -> None:
    settings = load(
        """
        [edgecli]
        generation_model = "@cf/千问"
        threads = 4
        [edgecli.generation]
        temperature = 1
        [edgecli.ingest]
        exclude = ["草稿/**", "*.bak"]
        gitignore = false
        """
    ).settings
    assert settings.generation_model == "@cf/千问"
    assert settings.threads == 4
    assert settings.generation.temperature == 1.0
    assert isinstance(settings.generation.temperature, float)
    assert settings.ingest.exclude == ("草稿/**", "*.bak")
    assert settings.ingest.gitignore is False
    assert settings.ingest.chunk_tokens == 200


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("offline = 1", 'Expected "edgecli.offline" to be of type boolean but got 1.'),
        ("threads = true", 'Expected "edgecli.threads" to be of type integer but got true.'),
        ("threads = 1.5", 'Expected "edgecli.threads" to be of type integer but got 1.5.'),
        ("generation_model = ' '", 'Expected "edgecli.generation_model" to be a name but got " ".'),
        ('state_dir = "a\\u0000"', 'Expected "edgecli.state_dir" to be a name but got "a\\u0000".'),
        ("rag = 5", 'Expected "edgecli.rag" to be of type object but got 5.'),
        (
            "rag.mode = 5",
            'Expected "edgecli.rag.mode" field to be one of ["hybrid","vector","keyword"] but got 5.',
        ),
        ("rag.top_k = 101", 'Expected "edgecli.rag.top_k" to be between 1 and 100 but got 101.'),
        (
            "generation.temperature = nan",
            'Expected "edgecli.generation.temperature" to be between 0 and 5 but got null.',
        ),
        ("ingest.exclude = 'a'", 'Expected "edgecli.ingest.exclude" to be of type string array but got "a".'),
        ("server.port = 70000", 'Expected "edgecli.server.port" to be between 0 and 65535 but got 70000.'),
        (
            "ingest.chunk_overlap = 200",
            'Expected "edgecli.ingest.chunk_overlap" to be less than chunk_tokens (200) but got 200.',
        ),
        ("models = 5", 'Expected "edgecli.models" to be of type object but got 5.'),
    ],
)
def test_wrong_values(findings: Findings, line: str, message: str) -> None:
    (finding,) = findings("[edgecli]\n" + line)
    assert (finding.level, finding.message, finding.line) == ("error", message, 2)


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("EDGECLI_GENERATION_MODEL", "@cf/x", "generation_model", "@cf/x"),
        ("EDGECLI_OFFLINE", "1", "offline", True),
        ("EDGECLI_OFFLINE", "Off", "offline", False),
        ("EDGECLI_RAG_TOP_K", " 8 ", "rag.top_k", 8),
        ("EDGECLI_GENERATION_TEMPERATURE", "1", "generation.temperature", 1.0),
        ("EDGECLI_INGEST_EXCLUDE", "a, b/**,", "ingest.exclude", ("a", "b/**")),
        ("EDGECLI_RAG_TOP_K", "", "rag.top_k", 2),
    ],
)
def test_environment_variables_override(load: Load, variable: str, text: str, path: str, value: object) -> None:
    file = "[edgecli]\noffline = true\nrag.top_k = 2\n[env.s.edgecli.rag]\ntop_k = 3"
    found: object = load(file, environ={variable: text}).settings
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("EDGECLI_RAG_TOP_K", "五", 'Expected "EDGECLI_RAG_TOP_K" to be of type integer but got "五".'),
        ("EDGECLI_RAG_TOP_K", "0", 'Expected "EDGECLI_RAG_TOP_K" to be between 1 and 100 but got 0.'),
        ("EDGECLI_OFFLINE", "maybe", 'Expected "EDGECLI_OFFLINE" to be of type boolean but got "maybe".'),
        (
            "EDGECLI_RAG_MODE",
            "keywords",
            'Expected "EDGECLI_RAG_MODE" field to be one of ["hybrid","vector","keyword"] but got "keywords".',
        ),
    ],
)
def test_wrong_environment_variables(load: Load, variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load("", environ={variable: text})
    assert message in raised.value.message
    assert f"at environment variable {variable}: edgecli." in raised.value.message


def test_the_state_folder(load: Load) -> None:
    project = load("[edgecli]\nstate_dir = 'state/状态'")
    assert project.state_dir == project.root / "state" / "状态"
    assert load("[edgecli]\nstate_dir = '/var/edge'").state_dir.as_posix() == "/var/edge"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("context = '4k'", '.context" to be a positive integer but got "4k".'),
        ("context = 0", '.context" to be a positive integer but got 0.'),
        ("pooling = 'max'", '.pooling" field to be one of ["mean","cls"] but got "max".'),
        ("capabilities = 'tools'", '.capabilities" to be of type string array but got "tools".'),
        ("files = 'a.gguf'", '.files" to be of type array but got "a.gguf".'),
        ("files = ['a.gguf']", '.files[0]" to be of type object but got "a.gguf".'),
        ("files = [{ name = 'a' }]", '.files[0].source" is a required field.'),
        ("files = [{ source = 'a', size = -1 }]", '.files[0].size" to be a positive integer but got -1.'),
        ("files = [{ source = 'a', sha256 = 'ff' }]", " to be a SHA-256 of 64 hexadecimal digits"),
        ("use = 5", '.use" to be of type string but got 5.'),
        ("use = '@cf/qwen'", " names the model itself."),
        ("use = '@cf/y'\nengine = 'x'", "it is a stand-in or a definition, not both."),
        ("source = 'file:a'\nfiles = []", 'has both "source" and "files".'),
    ],
)
def test_wrong_model_entries(findings: Findings, entry: str, message: str) -> None:
    (finding,) = findings(f'[edgecli.models."@cf/qwen"]\n{entry}')
    assert finding.level == "error"
    assert message in finding.message
    assert finding.key.startswith('edgecli.models."@cf/qwen"')


def test_model_entries_are_kept_as_written(load: Load) -> None:
    digits = "ab" * 32
    entry = {
        "task": "Text Embeddings",
        "engine": "embedding",
        "files": [{"source": "hf:a/b/", "name": "m/", "sha256": {"x.json": digits}, "size": 5}],
        "dimensions": 384,
        "query_prefix": "查询：",
    }
    text = f"""[edgecli.models."@local/模型"]
task = "Text Embeddings"
engine = "embedding"
files = [{{ source = "hf:a/b/", name = "m/", sha256 = {{ "x.json" = "{digits}" }}, size = 5 }}]
dimensions = 384
query_prefix = "查询："
"""
    assert load(text).settings.models == {"@local/模型": entry}


def test_an_unknown_key_of_a_model_is_a_warning(load: Load) -> None:
    (finding,) = load('[edgecli.models."@cf/x"]\nlicense = "MIT"').diagnostics
    assert finding.message == 'Unexpected fields found in edgecli.models."@cf/x" field: "license"'
    assert finding.hint == "`license`: did you mean `licence`?"
