"""`wrangler.example.toml` names every setting, with its default and its line of help, and is valid."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgecli.config import load_project
from edgecli.config.model_entries import MODEL_FIELDS
from edgecli.config.settings import Setting, Settings, all_settings

EXAMPLE = Path(__file__).parents[2] / "wrangler.example.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")


def commented_out(text: str) -> str:
    """Return the example with what stands in its comments as TOML taken out of them."""
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)


def test_it_loads_without_a_word() -> None:
    project = load_project(cwd=EXAMPLE.parent, config=EXAMPLE, environ={})
    assert project.diagnostics == ()
    without_models = {field: getattr(project.settings, field) for field in Settings.__dataclass_fields__}
    defaults = {field: getattr(Settings(), field) for field in Settings.__dataclass_fields__}
    assert without_models | {"models": {}} == defaults


def test_its_environment_loads_too(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text(commented_out(TEXT), encoding="utf-8")
    project = load_project(cwd=tmp_path, env="staging", environ={"OPENAI_KEY": "k"})
    assert project.settings.rag.top_k == 10
    assert [finding.message for finding in project.diagnostics if "env.staging" not in finding.message] == []


@pytest.mark.parametrize("setting", all_settings(), ids=lambda setting: setting.key)
def test_each_setting_has_its_default_and_its_help(setting: Setting) -> None:
    table: Any = tomllib.loads(TEXT)["edgecli"]
    for part in setting.path:
        table = table[part]
    written = tuple(table) if isinstance(table, list) else table
    assert (written, type(written)) == (setting.default, type(setting.default))
    header = "[" + ".".join(("edgecli", *setting.path[:-1])) + "]\n"
    section = TEXT[TEXT.index(header) :].split("\n[", 1)[0]
    assert f"# {setting.help}\n{setting.path[-1]} = " in section


def test_each_field_of_a_model_is_shown() -> None:
    models = tomllib.loads(TEXT)["edgecli"]["models"]
    assert {field for entry in models.values() for field in entry} == set(MODEL_FIELDS)
    files = [file for entry in models.values() for file in entry.get("files", [])]
    assert {field for file in files for field in file} == {"source", "name", "sha256", "size"}


def test_the_documented_variables_exist() -> None:
    named = set(re.findall(r"EDGECLI_[A-Z_]+[A-Z]", TEXT))
    assert named == {"EDGECLI_RAG_TOP_K", "EDGECLI_OFFLINE"}
    assert named <= {setting.variable for setting in all_settings()}
