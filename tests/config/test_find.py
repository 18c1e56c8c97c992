from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.config import find_config, load_project, load_project_or_default
from edgecli.errors import ConfigError, ExitCode


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_name_is_searched_to_the_root_before_the_next_one(tmp_path: Path) -> None:
    here = tmp_path / "a" / "b"
    toml = write(here / "wrangler.toml")
    assert find_config(here) == toml
    jsonc = write(tmp_path / "a" / "wrangler.jsonc", "{}")
    assert find_config(here) == jsonc
    json = write(tmp_path / "wrangler.json", "{}")
    assert find_config(here) == json


def test_the_nearest_of_one_name_wins(tmp_path: Path) -> None:
    write(tmp_path / "wrangler.toml")
    inner = write(tmp_path / "a" / "wrangler.toml")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert find_config(deep) == inner


def test_a_folder_of_the_name_is_no_configuration(tmp_path: Path) -> None:
    outer = write(tmp_path / "wrangler.toml")
    (tmp_path / "a" / "wrangler.toml").mkdir(parents=True)
    assert find_config(tmp_path / "a") == outer


def test_none_found_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_project(cwd=tmp_path, environ={})
    assert raised.value.code == "no_config"
    assert raised.value.exit_code == ExitCode.CONFIG
    assert str(tmp_path) in raised.value.message
    assert "edgecli init" in (raised.value.hint or "")


def test_none_found_and_none_needed_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("KEY=1")
    project = load_project_or_default(cwd=tmp_path, environ={"EDGECLI_RAG_TOP_K": "7"})
    assert (project.root, project.config_path, project.secrets) == (tmp_path, None, {})
    assert project.settings.rag.top_k == 7
    assert project.state_dir == tmp_path / ".edgecli"


def test_the_named_file_ends_the_search(tmp_path: Path) -> None:
    write(tmp_path / "wrangler.json", '{"name": "searched"}')
    write(tmp_path / "other" / "my.toml", 'name = "named"')
    project = load_project(cwd=tmp_path, config=Path("other/my.toml"), environ={})
    assert (project.name, project.root) == ("named", tmp_path / "other")


@pytest.mark.parametrize("load", [load_project, load_project_or_default])
def test_a_named_file_that_is_missing(tmp_path: Path, load: object) -> None:
    write(tmp_path / "wrangler.toml")
    with pytest.raises(ConfigError, match=r"no configuration file gone\.toml") as raised:
        load(cwd=tmp_path, config=Path("gone.toml"), environ={})  # type: ignore[operator]
    assert raised.value.code == "no_config"


def test_an_empty_file_is_a_project(tmp_path: Path) -> None:
    write(tmp_path / "wrangler.toml")
    (tmp_path / "文档").mkdir()
    project = load_project(cwd=tmp_path / "文档", environ={})
    assert (project.root, project.name, project.ai, project.diagnostics) == (tmp_path, None, None, ())
