from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecli.app import app
from edgecli.cli import run

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
name = "shop"
main = "src/worker.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
[ai]
binding = "AI"
[[vectorize]]
binding = "VECTORS"
index_name = "docs"
[[kv_namespaces]]
binding = "KV"
[[kv_namespaces]]
binding = "CACHE"
id = "0123456789abcdef"
[[d1_databases]]
binding = "DB"
database_name = "app"
[vars]
CHAT = "@cf/meta/llama-3.1-8b-instruct"
EMBED = "@cf/baai/bge-m3"
[triggers]
crons = ["*/5 * * * *"]
[edgecli]
offline = true
[edgecli.vectorize]
max_dimensions = 2000
[edgecli.models."@cf/baai/bge-m3"]
use = "@edge/all-minilm-l6-v2"
"""
WORKER = """
import subprocess, numpy, json
from helper import x
LOCAL = "@edge/smollm2-135m-instruct"
async def on_fetch(request, env, ctx):
    return await env.VECTORS.query([1], filter={"year": 1})
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / '店 100% "of" $mine'
    (root / "src" / "deep").mkdir(parents=True)
    (root / "wrangler.toml").write_text(CONFIG)
    (root / ".dev.vars").write_text("TOKEN=hunter2\n")
    (root / "src" / "worker.py").write_text(WORKER)
    (root / "src" / "helper.py").write_text("x = 1\n")
    (root / "src" / "deep" / "unused.py").write_text("")
    monkeypatch.chdir(root)
    return root


def dry_run(capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    capsys.readouterr()
    assert run(app, ["deploy", "--dry-run", "--json"]) == code
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    return json.loads(shown)


def messages(planned: dict[str, Any], check: str) -> str:
    return "\n".join(f"{each['level']}: {each['message']}" for each in planned["differences"] if each["check"] == check)


def test_a_dry_run_says_what_would_go_and_what_would_differ(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(app, ["vectorize", "create", "docs", "--dimensions=384", "--metric=cosine"])
    planned = dry_run(capsys, 1)
    assert [each["name"] for each in planned["modules"]] == ["src/worker.py", "src/deep/unused.py", "src/helper.py"]
    assert planned["bindings"] == [
        {"type": "ai", "name": "AI"},
        {"type": "vectorize", "name": "VECTORS", "index_name": "docs"},
        {"type": "kv_namespace", "name": "KV", "namespace_id": None},
        {"type": "kv_namespace", "name": "CACHE", "namespace_id": "0123456789abcdef"},
        {"type": "d1", "name": "DB", "id": None},
    ]
    assert planned["secrets"] == ["TOKEN"]
    assert planned["crons"] == ["*/5 * * * *"]
    assert "[edgecli]" in messages(planned, "configuration")
    models = messages(planned, "models")
    assert "error: Workers AI has no `@edge/smollm2-135m-instruct`" in models
    assert "warning: `@cf/baai/bge-m3` itself runs there; here `@edge/all-minilm-l6-v2` stands in" in models
    assert "vectors do not mix" in models
    indexes = messages(planned, "indexes")
    assert "error: `docs` has 384 dimensions, and the models there give others: `@cf/baai/bge-m3` 1024." in indexes
    assert "warning: Filters on `docs` see only properties with a metadata index; those here: none." in indexes
    bindings = messages(planned, "bindings")
    assert "`KV` has no id" in bindings
    assert "`DB` has no id" in bindings
    assert "CACHE" not in bindings
    imports = messages(planned, "imports")
    assert "error: `subprocess` does not work in Pyodide" in imports
    assert "warning: Pyodide must have `numpy`." in imports
    [chat, embed] = planned["prices"]
    # 500 tokens in and 200 out, a thousand times, by the price list of the catalog.
    assert chat["neurons"] == round((500 * 25608 + 200 * 75147) / 1000, 1)
    assert embed["output_tokens"] == 0


def test_an_index_too_large_for_the_cloud_is_said(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["vectorize", "create", "docs", "--dimensions=2000", "--metric=cosine"]) == 0
    assert "error: `docs` has 2000 dimensions; Cloudflare takes up to 1536" in messages(dry_run(capsys, 1), "indexes")


def test_what_is_fit_for_the_cloud_passes(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "src" / "worker.py").write_text("async def on_fetch(request, env, ctx): ...\n")
    run(app, ["vectorize", "create", "docs", "--dimensions=1024", "--metric=cosine"])
    planned = dry_run(capsys, 0)
    assert not [each for each in planned["differences"] if each["level"] == "error"]
    assert run(app, ["deploy", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "binding        env.VECTORS  vectorize, index_name docs" in shown
    assert "secret         env.TOKEN  (not sent)" in shown


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--to", "moon"], 2), (["--dry-run", "--to", "systemd"], 2)])
def test_deploying_itself_is_wranglers(
    shop: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, ["deploy", *arguments]) == code
    if not arguments:
        assert "npx wrangler deploy" in capsys.readouterr().err


def test_the_unit_is_valid_wherever_the_project_lies(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(app, ["deploy", "--to", "systemd"]) == 0
    unit = shop / "deploy" / "shop.service"
    text = unit.read_text()
    assert 'edgecli serve --config "' in text
    assert '100%% \\"of\\" $$mine/wrangler.toml"' in text
    assert "hunter2" not in text
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_containerfile_is_one(shop: Path) -> None:
    assert run(app, ["deploy", "--to", "container", "--env", ""]) == 0
    instructions = parse_containerfile((shop / "deploy" / "Containerfile").read_text())
    assert [word for word, _ in instructions if word == "FROM"] == ["FROM", "FROM"]
    found = dict(instructions)  # the last of each
    assert found["USER"] == "edge"
    assert json.loads(found["VOLUME"]) == ["/data"]
    assert json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"]) == [
        *("edgecli", "serve", "--host", "0.0.0.0", "--port", "8787")
    ]
    assert "/edge/healthz" in json.loads(found["HEALTHCHECK"].split("CMD", 1)[1])[2]
    assert any(word == "RUN" and rest.endswith('"$EDGECLI" "numpy"') for word, rest in instructions)
    for ignored in (shop / ".containerignore", shop / "deploy" / "Containerfile.dockerignore"):
        assert {".dev.vars*", ".edgecli", ".env*"} <= set(ignored.read_text().splitlines())


@pytest.mark.parametrize("to", ["systemd", "container"])
def test_an_environment_whose_name_would_be_an_instruction_is_refused(
    shop: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (shop / "wrangler.toml").open("a", encoding="utf-8") as config:
        config.write('[env."a\\nRUN touch /x"]\n')
    assert run(app, ["deploy", "--to", to, "--env", "a\nRUN touch /x"]) == 2
    assert "cannot be named in a unit" in capsys.readouterr().err
    assert not (shop / "deploy").exists()


def test_javascript_brings_its_packages(shop: Path) -> None:
    (shop / "wrangler.toml").write_text('name = "shop"\nmain = "src/index.ts"\n')
    (shop / "src" / "index.ts").write_text("export default {}")
    (shop / "package.json").write_text("{}")
    assert run(app, ["deploy", "--to", "container"]) == 0
    text = (shop / "deploy" / "Containerfile").read_text()
    assert ("RUN", "npm install --omit=dev") in parse_containerfile(text)
    assert "workers install" in text


def parse_containerfile(text: str) -> list[tuple[str, str]]:
    """Return instruction and arguments of each line, continued ones joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    known = {
        "FROM",
        "RUN",
        "ARG",
        "COPY",
        "ENV",
        "WORKDIR",
        "USER",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    found: list[tuple[str, str]] = []
    for line in joined:
        word, _, rest = line.partition(" ")
        assert word in known, line
        found.append((word, re.sub(r"\s+", " ", rest.strip())))
    return found


@pytest.mark.parametrize("to", ["systemd", "container"])
def test_files_are_not_written_over(shop: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["deploy", "--to", to, "--out", "elsewhere", "--json"]) == 0
    files = [Path(each) for each in json.loads(capsys.readouterr().out)["files"]]
    assert files[0].parent == shop / "elsewhere"
    files[0].write_text("mine")
    for path in files[1:]:
        path.unlink()
    assert run(app, ["deploy", "--to", to, "--out", "elsewhere"]) == 1
    assert files[0].read_text() == "mine"
    assert not any(path.exists() for path in files[1:])
    assert run(app, ["deploy", "--to", to, "--out", "elsewhere", "--force"]) == 0
    assert files[0].read_text() != "mine"


def test_a_project_without_a_worker_has_nothing_to_deploy(shop: Path) -> None:
    (shop / "wrangler.toml").write_text('name = "shop"\n')
    assert run(app, ["deploy", "--dry-run"]) == 4
