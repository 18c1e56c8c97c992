"""`edgecli vectorize` as a user types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_an_index_from_creation_to_deletion(edgecli: Run) -> None:
    made = edgecli("vectorize", "create", "docs-index", "--dimensions=2", "--metric=cosine", "--description", "文档")
    assert made.returncode == 0, made.stderr
    assert made.stdout == '[[vectorize]]\nbinding = "VECTORIZE"\nindex_name = "docs-index"\n'
    assert "✅ Successfully created a new Vectorize index: 'docs-index'" in made.stderr
    (index,) = json.loads(edgecli("vectorize", "list", "--json").stdout)
    assert (index["name"], index["description"]) == ("docs-index", "文档")
    shown = edgecli("vectorize", "get", "docs-index").stdout.splitlines()
    assert shown[0].split() == ["name", "dimensions", "metric", "description", "created", "modified"]
    assert shown[1].split()[:4] == ["docs-index", "2", "cosine", "文档"]
    asked = edgecli(
        "vectorize",
        "query",
        "docs-index",
        "--vector",
        "1",
        "-1e-05",
        "--filter",
        '{"n": {"$gt": 1}}',
        "--json",
    )
    assert json.loads(asked.stdout) == {"count": 0, "matches": []}
    kept = edgecli("vectorize", "delete", "docs-index")
    assert kept.returncode == 2
    assert "hint: Add --force." in kept.stderr
    gone = edgecli("vectorize", "delete", "docs-index", "-y")
    assert (gone.returncode, gone.stdout) == (0, "")
    assert "✅ Deleted index docs-index" in gone.stderr
    assert edgecli("vectorize", "info", "docs-index").returncode == 3


@pytest.mark.slow
def test_wrong_calls_exit_with_2(edgecli: Run) -> None:
    for arguments, message in [
        (["query", "ix", "--vector", "1", "--vector-id", "a"], "either --vector or --vector-id"),
        (["query", "ix"], "either --vector or --vector-id"),
        (["query", "ix", "--vector", "1", "--filter", "{"], "The filter is no JSON"),
        (["create", "ix"], "needs its dimensions"),
    ]:
        done = edgecli("vectorize", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "hint: " in done.stderr


@pytest.mark.parametrize("name", ["50%", "a%2Fb", "a?b", "a#b", "文档", "docs/info"])
@pytest.mark.slow
def test_a_name_is_taken_as_it_is_typed(edgecli: Run, name: str) -> None:
    assert edgecli("vectorize", "create", "docs", "--dimensions=2", "--metric=cosine").returncode == 0
    done = edgecli("vectorize", "get", name, "--json")
    assert done.returncode == 3
    assert f'"{name}"' in json.loads(done.stderr)["errors"][0]["message"]


def test_a_metric_that_there_is_not(edgecli: Run) -> None:
    done = edgecli("vectorize", "create", "docs-index", "--dimensions=2", "--metric=manhattan")
    assert done.returncode == 2
    assert "'cosine', 'euclidean' or 'dot-product', not 'manhattan'" in done.stderr


@pytest.mark.slow
def test_a_binding_is_written_where_asked(edgecli: Run, project: Path) -> None:
    file = project / "wrangler.toml"
    file.write_text('name = "test" # mine\n[vars]\nTAKEN = 1\n', encoding="utf-8")
    create = ["vectorize", "create", "docs-index", "--dimensions=2", "--metric=cosine"]
    for name, said in [("TAKEN", "is taken"), ("a b", "is no name for a binding")]:
        refused = edgecli(*create, "--binding", name)
        assert refused.returncode == 2
        assert said in refused.stderr
    assert json.loads(edgecli("vectorize", "list", "--json").stdout) == []
    made = edgecli(*create, "--binding", "DOCS", "--use-remote", "--json")
    assert json.loads(made.stdout)["name"] == "docs-index"
    assert file.read_text(encoding="utf-8") == (
        'name = "test" # mine\n[vars]\nTAKEN = 1\n\n'
        '[[vectorize]]\nbinding = "DOCS"\nindex_name = "docs-index"\nremote = true\n'
    )
    again = edgecli("vectorize", "create", "more", "--preset=@cf/baai/bge-m3", "--update-config")
    assert again.returncode == 2
    other = edgecli("vectorize", "create", "more", "--dimensions=2", "--metric=cosine", "--updateConfig")
    assert other.stdout == ""
    assert "`wrangler.toml` binds it as `VECTORIZE` now." in other.stderr
    assert 'binding = "VECTORIZE"\nindex_name = "more"' in file.read_text(encoding="utf-8")
    third = edgecli("vectorize", "create", "third-one", "--dimensions=2", "--metric=cosine")
    assert third.stdout == '[[vectorize]]\nbinding = "THIRD_ONE"\nindex_name = "third-one"\n'


def test_the_first_version_of_the_api_is_not_used(edgecli: Run) -> None:
    listed = edgecli("vectorize", "list", "--deprecated-v1", "--json")
    assert (listed.returncode, listed.stdout) == (0, "[]\n")
    assert "this uses v2" in listed.stderr


def test_an_index_that_is_bound_already_needs_no_binding(edgecli: Run, project: Path) -> None:
    (project / "wrangler.toml").write_text(
        'name = "test"\n[[vectorize]]\nbinding = "VECTORS"\nindex_name = "docs-index"\n', encoding="utf-8"
    )
    done = edgecli("vectorize", "create", "docs-index", "--dimensions=2", "--metric=cosine")
    assert (done.returncode, done.stdout) == (0, "")
    assert "`wrangler.toml` binds it as `VECTORS` already." in done.stderr
