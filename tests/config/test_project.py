"""The whole project: its bindings, the origin of each value, and odd content."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecli.config import load_project
from edgecli.config.fields import INHERITED, NOT_INHERITED, TOP_LEVEL
from edgecli.config.project import (
    AiBinding,
    BrowserBinding,
    D1Binding,
    KvBinding,
    R2Binding,
    VectorizeBinding,
)
from edgecli.config.show import effective_values
from edgecli.errors import ConfigError
from tests.config.conftest import Load

TEXT = """\
name = "app"
ai = { binding = "AI" }
compatibility_flags = [
  "a",
  "b",
]

[[vectorize]]
binding = "V"
index_name = "docs"
[[vectorize]]
binding = "W"
index_name = "文档"

[browser]
binding = "BROWSER"
[[r2_buckets]]
binding = "R"
[[kv_namespaces]]
binding = "K"
id = "1"
[[d1_databases]]
binding = "D"
database_name = "app"

[vars]
"问候" = "你好"
NESTED = { list = [1, 2], "a.b" = true }

[edgecli.rag]
top_k = 4
[edgecli.models."@cf/x"]
use = "@edge/y"

[env.staging]
vars.A = 1
[env.staging.edgecli]
rag.top_k = 6
"""


def test_bindings(load: Load) -> None:
    project = load(TEXT)
    assert project.ai == AiBinding("AI")
    assert project.vectorize == (VectorizeBinding("V", "docs"), VectorizeBinding("W", "文档"))
    assert project.browser == BrowserBinding("BROWSER")
    assert project.r2_buckets == (R2Binding("R", None),)
    assert project.kv_namespaces == (KvBinding("K", "1"),)
    assert project.d1_databases == (D1Binding("D", "app", None),)
    assert project.compatibility_flags == ("a", "b")
    assert project.vars["NESTED"] == {"list": [1, 2], "a.b": True}
    assert "edgecli" not in project.raw


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("name", 1),
        ("ai.binding", 2),
        ("compatibility_flags[1]", 5),
        ("vectorize[0].index_name", 10),
        ("vectorize[1].index_name", 13),
        ("vars.问候", 27),
        ("vars.NESTED.list[1]", 28),
        ('vars.NESTED."a.b"', 28),
        ("edgecli.rag.top_k", 31),
        ('edgecli.models."@cf/x".use', 33),
    ],
)
def test_origins_in_the_file(load: Load, key: str, line: int) -> None:
    project = load(TEXT)
    assert project.origins[key] == (project.config_path, line, "file", None)


def test_origins_in_an_environment(load: Load) -> None:
    project = load(TEXT, env="staging", environ={"EDGECLI_OFFLINE": "1"})
    assert project.name == "app-staging"
    assert project.origins["name"] == (project.config_path, 1, "file", None)
    assert project.origins["vars.A"] == (project.config_path, 36, "env:staging", None)
    assert project.origins["edgecli.rag.top_k"] == (project.config_path, 38, "env:staging", None)
    assert project.origins["edgecli.offline"] == (None, None, "environment variable", "EDGECLI_OFFLINE")
    assert project.origins["edgecli.threads"] == (None, None, "default", None)
    assert "vectorize[0].binding" not in project.origins


def test_json_and_toml_say_the_same(load: Load) -> None:
    import tomllib

    toml = load(TEXT)
    other = load(json.dumps(tomllib.loads(TEXT), ensure_ascii=False), name="wrangler.jsonc")
    for field in ("name", "ai", "vectorize", "vars", "settings", "raw", "compatibility_flags"):
        assert getattr(other, field) == getattr(toml, field)
    assert set(other.origins) == set(toml.origins)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["binding", "index_name", "bindings", "name", "remote", "x", "键"]), inner)
    ),
    max_leaves=6,
)
KEYS = sorted({*INHERITED, *NOT_INHERITED, *TOP_LEVEL} - {"env"})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    staging=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4) | VALUES,
)
def test_any_values_load_or_raise_a_config_error(tmp_path: Path, top: dict[str, Any], staging: Any) -> None:
    text = json.dumps(top | {"env": {"staging": staging}}).replace("NaN", "0").replace("-Infinity", "0")
    (tmp_path / "wrangler.json").write_text(text.replace("Infinity", "0"), encoding="utf-8")
    for env in (None, "staging", "none"):
        try:
            project = load_project(cwd=tmp_path, env=env, environ={})
        except ConfigError as error:
            assert error.code == "invalid_config"
            assert error.message.startswith("Processing wrangler.json configuration:\n  - ")
        else:
            assert all(finding.level == "warning" for finding in project.diagnostics)
            assert set(effective_values(project)) <= set(project.origins)


SETTING_KEYS = [
    "rag",
    "models",
    "server",
    "ingest",
    "threads",
    "top_k",
    "mode",
    "files",
    "use",
    "source",
    "exclude",
]
SETTING_TREES = st.recursive(
    VALUES, lambda inner: st.dictionaries(st.sampled_from(SETTING_KEYS), inner, max_size=3), max_leaves=8
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=SETTING_TREES)
def test_any_settings_load_or_raise_a_config_error(tmp_path: Path, tree: Any) -> None:
    text = json.dumps({"edgecli": tree}).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0")
    (tmp_path / "wrangler.json").write_text(text, encoding="utf-8")
    try:
        project = load_project(cwd=tmp_path, environ={})
    except ConfigError as error:
        assert error.code == "invalid_config"
    else:
        assert project.settings.rag.top_k >= 1
        assert set(effective_values(project)) == set(project.origins)


def test_importing_the_room_imports_no_parser() -> None:
    code = (
        "import sys, edgecli.config, edgecli.config.project as p\n"
        "heavy = {'pydantic', 'tomllib', 'tomli', 'json5', 'typer', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_unknown_name_of_the_room() -> None:
    import edgecli.config

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edgecli.config.nothing  # type: ignore[attr-defined]
