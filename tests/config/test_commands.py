"""`edgecli config`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLOUDFLARE_ENV", raising=False)
    return tmp_path


def test_check_of_a_good_file(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.toml").write_text("[env.生产]\n".replace("生产", '"生产"'), encoding="utf-8")
    done = edgecli("config", "check", "--env", "生产")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"✓ {folder / 'wrangler.toml'} is valid for the environment `生产`.\n"


def test_check_shows_warnings_and_succeeds(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.toml").write_text("\nnmae = 'x'", encoding="utf-8")
    done = edgecli("config", "check")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(
        'warning: Unexpected fields found in top-level field: "nmae"\n'
        "    at wrangler.toml:2: nmae\n"
        "    hint: `nmae`: did you mean `name`?\n"
    )
    body = json.loads(edgecli("config", "check", "--json").stdout)
    assert (body["ok"], body["config"], body["env"]) == (True, str(folder / "wrangler.toml"), None)
    assert [(finding["level"], finding["line"]) for finding in body["diagnostics"]] == [("warning", 2)]


def test_check_of_a_wrong_file(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.toml").write_text("name = 5\nfoo = 1\n[edgecli.rag]\ntop_k = 0", encoding="utf-8")
    done = edgecli("config", "check")
    assert (done.returncode, done.stdout) == (4, "")
    warning, error = (
        done.stderr.index("warning: Unexpected"),
        done.stderr.index("error: Processing wrangler.toml"),
    )
    assert warning < error
    assert "at wrangler.toml:4: edgecli.rag.top_k" in done.stderr
    failed = edgecli("config", "check", "--json")
    body = json.loads(failed.stdout)
    assert (failed.returncode, failed.stderr, body["ok"]) == (4, "", False)
    assert body["config"] == str(folder / "wrangler.toml")
    assert [finding["key"] for finding in body["diagnostics"]] == ["name", "foo", "edgecli.rag.top_k"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('engine = "llama_cpp"', "`task` is missing"),
        ('task = "Text Generation"', "`engine` is missing"),
        ('use = "@my/none"', "No such model @my/none"),
    ],
)
def test_check_of_a_model_that_cannot_be(edgecli: Run, folder: Path, entry: str, said: str) -> None:
    (folder / "wrangler.toml").write_text(f'[edgecli.models."@my/model"]\n{entry}\n', encoding="utf-8")
    done = edgecli("config", "check")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f'error: [edgecli.models."@my/model"] in wrangler.toml: {said}')
    (finding,) = json.loads(edgecli("config", "check", "--json").stdout)["diagnostics"]
    assert said in finding["message"]


def test_check_of_a_broken_file(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.jsonc").write_text('{"name" 1}', encoding="utf-8")
    done = edgecli("config", "check")
    assert done.returncode == 4
    assert done.stderr.startswith("error: wrangler.jsonc:1:9: Expecting ':' delimiter.\n    {\"name\" 1}\n")
    (finding,) = json.loads(edgecli("config", "check", "--json").stdout)["diagnostics"]
    assert (finding["file"], finding["line"], finding["column"]) == ("wrangler.jsonc", 1, 9)


def test_check_without_a_file(edgecli: Run) -> None:
    done = edgecli("config", "check", "--json")
    body = json.loads(done.stdout)
    assert (done.returncode, body["ok"], body["config"]) == (4, False, None)
    assert "No configuration found" in body["diagnostics"][0]["message"]


def test_show_tells_where_each_value_comes_from(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.toml").write_text("[vars]\n'问候' = '你好'\n[env.s.edgecli.rag]\ntop_k = 9", encoding="utf-8")
    (folder / ".dev.vars").write_text("TOKEN=very-secret", encoding="utf-8")
    done = edgecli("config", "show", "--origin", EDGECLI_OFFLINE="1", EDGECLI_SERVER_TOKEN="also-secret")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in done.stdout.splitlines()}
    assert rows["vars.问候"] == ['"你好"', "wrangler.toml:2"]
    assert rows["edgecli.rag.top_k"] == ["5", "default"]
    assert rows["edgecli.offline"] == ["true", "environment variable EDGECLI_OFFLINE"]
    assert rows["secrets.TOKEN"] == ['"(hidden)"', ".dev.vars:1"]
    assert rows["edgecli.server.token"][0] == '"(hidden)"'
    assert "very-secret" not in done.stdout + done.stderr
    assert "also-secret" not in done.stdout + done.stderr
    staging = edgecli("config", "show", "--origin", "-e", "s").stdout.splitlines()
    (row,) = [line for line in staging if line.startswith("edgecli.rag.top_k ")]
    assert row.split(maxsplit=1)[1].split(maxsplit=1) == ["9", "wrangler.toml:4 [env:s]"]


def test_show_as_json(edgecli: Run, folder: Path) -> None:
    (folder / "wrangler.toml").write_text(
        "name = 'x'\n[define]\nD = 2026-01-01\nN = nan\n[vars]\nTOKEN = 'plain'\n", encoding="utf-8"
    )
    (folder / ".dev.vars").write_text("TOKEN=very-secret", encoding="utf-8")
    body = json.loads(edgecli("config", "show", "--json", "--origin").stdout)
    assert (body["config"], body["root"], body["env"]) == (str(folder / "wrangler.toml"), str(folder), None)
    assert (body["values"]["name"], body["values"]["edgecli.rag.mode"]) == ("x", "hybrid")
    assert (body["values"]["define.D"], body["values"]["define.N"]) == ("2026-01-01", "nan")
    assert (body["values"]["secrets.TOKEN"], "vars.TOKEN" in body["values"]) == ("(hidden)", False)
    assert body["origins"]["name"] == {
        "file": str(folder / "wrangler.toml"),
        "line": 1,
        "kind": "file",
        "variable": None,
    }
    assert set(body["origins"]) == set(body["values"])


def test_show_without_a_file_shows_the_defaults(edgecli: Run) -> None:
    body = json.loads(edgecli("config", "show", "--json").stdout)
    assert (body["config"], body["values"]["edgecli.rag.top_k"]) == (None, 5)


def test_a_variable_with_a_typing_error_is_named(edgecli: Run, tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    near = edgecli("config", "check", "--cwd", str(tmp_path), EDGECLI_RAG_TOPK="3", EDGECLI_TEST_HOME="/tmp")
    assert near.returncode == 0
    assert near.stderr.count("is no setting") == 1
    assert "EDGECLI_RAG_TOPK is no setting, and has no effect." in near.stderr
    assert "hint: Did you mean `EDGECLI_RAG_TOP_K`?" in near.stderr


def test_the_file_is_called_as_it_was_given(edgecli: Run, tmp_path: Path) -> None:
    for given, said in ((tmp_path, "is a directory"), (tmp_path / "no.toml", "There is no configuration file")):
        done = edgecli("config", "check", "--config", str(given))
        assert done.returncode == 4
        assert said in done.stderr and str(given) in done.stderr and ".." not in done.stderr
