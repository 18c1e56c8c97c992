"""A binding is written into a configuration, and the rest of the file stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.config import load_project
from edgecli.config.edit import add_binding
from edgecli.errors import ConfigError

NEW = {"binding": "DOCS", "index_name": "docs"}


def edited(folder: Path, name: str, text: str, env: str | None = None, **more: object) -> str:
    file = folder / name
    file.write_bytes(text.encode())
    add_binding(file, "vectorize", NEW | more, env)
    project = load_project(cwd=folder, env=env)
    assert ("DOCS", "docs") in project.vectorize
    return file.read_bytes().decode()


def test_toml_gets_a_table_at_its_end(tmp_path: Path) -> None:
    text = 'name = "a"  # my Worker\n\n[vars]\nX = 1\n'
    table = '[[vectorize]]\nbinding = "DOCS"\nindex_name = "docs"\n'
    assert edited(tmp_path, "wrangler.toml", text) == f"{text}\n{table}"
    assert edited(tmp_path, "wrangler.toml", "") == table
    assert edited(tmp_path, "wrangler.toml", 'name = "a"') == f'name = "a"\n\n{table}'


def test_toml_gets_a_table_behind_the_others(tmp_path: Path) -> None:
    first = '# The old one.\n[[vectorize]]\nbinding = "OLD"\nindex_name = "old"  # keep\n'
    rest = "\n# Variables.\n[vars]\nX = 1 # one\n"
    new = '\n[[vectorize]]\nbinding = "DOCS"\nindex_name = "docs"\nremote = true\n'
    assert edited(tmp_path, "wrangler.toml", first + rest, remote=True) == first + new + rest
    assert edited(tmp_path, "wrangler.toml", first, remote=True) == first + new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("vectorize = []", 'vectorize = [{ binding = "DOCS", index_name = "docs" }]'),
        (
            'vectorize = [\n  { binding = "O", index_name = "o]d" }, # o\n]',
            'vectorize = [\n  { binding = "O", index_name = "o]d" }, { binding = "DOCS", index_name = "docs" }, # o\n]',
        ),
    ],
)
def test_toml_gets_an_item_in_a_list(tmp_path: Path, before: str, after: str) -> None:
    assert edited(tmp_path, "wrangler.toml", f'name = "a"\n{before}\n') == f'name = "a"\n{after}\n'


def test_toml_of_an_environment(tmp_path: Path) -> None:
    text = 'name = "a"\n[env.staging.vars]\nX = 1\n'
    changed = edited(tmp_path, "wrangler.toml", text, env="staging")
    assert changed == f'{text}\n[[env.staging.vectorize]]\nbinding = "DOCS"\nindex_name = "docs"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{\n\t// mine\n\t"name": "a" // last\n}\n',
            '{\n\t// mine\n\t"name": "a", // last\n\t"vectorize": [\n\t\t{\n\t\t\t"binding": "DOCS",\n'
            '\t\t\t"index_name": "docs"\n\t\t}\n\t]\n}\n',
        ),
        (
            '{\n  "name": "a",\n  "vectorize": [\n    { "binding": "OLD", "index_name": "o]d" }, /* old */\n  ],\n}\n',
            '{\n  "name": "a",\n  "vectorize": [\n    { "binding": "OLD", "index_name": "o]d" }, /* old */\n'
            '    {\n      "binding": "DOCS",\n      "index_name": "docs"\n    }\n  ],\n}\n',
        ),
        (
            '{\n  "vectorize": [],\n  "name": "a"\n}\n',
            '{\n  "vectorize": [\n    {\n      "binding": "DOCS",\n      "index_name": "docs"\n    }\n  ],\n'
            '  "name": "a"\n}\n',
        ),
        (
            "{}",
            '{\n  "vectorize": [\n    {\n      "binding": "DOCS",\n      "index_name": "docs"\n    }\n  ]\n}',
        ),
    ],
)
def test_json_with_comments(tmp_path: Path, before: str, after: str) -> None:
    assert edited(tmp_path, "wrangler.jsonc", before) == after


def test_json_of_an_environment(tmp_path: Path) -> None:
    before = '{\n  "name": "a",\n  "env": {\n    // for tests\n    "staging": { "vars": { "X": "}" } }\n  }\n}\n'
    changed = edited(tmp_path, "wrangler.jsonc", before, env="staging")
    assert "// for tests" in changed
    assert '"vars": { "X": "}" },\n      "vectorize": [\n' in changed


def test_line_ends_and_marks_stay(tmp_path: Path) -> None:
    changed = edited(tmp_path, "wrangler.toml", '\ufeffname = "a"\r\n')
    assert changed == '\ufeffname = "a"\r\n\r\n[[vectorize]]\r\nbinding = "DOCS"\r\nindex_name = "docs"\r\n'


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("", encoding="utf-8")
    (tmp_path / "real.toml").chmod(0o640)
    (tmp_path / "wrangler.toml").symlink_to("real.toml")
    add_binding(tmp_path / "wrangler.toml", "vectorize", NEW, None)
    assert (tmp_path / "wrangler.toml").is_symlink()
    assert "DOCS" in (tmp_path / "real.toml").read_text(encoding="utf-8")
    assert (tmp_path / "real.toml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wrangler.toml", 'env = { staging = { name = "b" } }\n'),
        ("wrangler.toml", "env.staging.vectorize = 1\n"),
        ("wrangler.jsonc", '{ "env": { "staging": { "vectorize": null } } }'),
    ],
)
def test_what_cannot_be_added_to_stays(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"env\.staging\.vectorize") as caught:
        add_binding(tmp_path / name, "vectorize", NEW, "staging")
    assert "DOCS" in (caught.value.hint or "")
    assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert [each.name for each in tmp_path.iterdir()] == [name]
