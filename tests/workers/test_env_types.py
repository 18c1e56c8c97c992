from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgecli.app import app
from edgecli.cli import run
from edgecli.scaffold.service import create, list_templates

CONFIG = """
name = "app"
main = "src/worker.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
[ai]
binding = "AI"
[browser]
binding = "BROWSER"
[[vectorize]]
binding = "VECTORS"
index_name = "docs"
[[kv_namespaces]]
binding = "KV"
[[r2_buckets]]
binding = "BUCKET"
[[d1_databases]]
binding = "DB"
[[queues.producers]]
binding = "QUEUE"
queue = "q"
[vars]
MODEL = "it's \\"灯\\""
TOP_K = 4
LOUD = true
RATE = 0.5
LIMITS = { max = 5 }
[secrets]
required = ["TOKEN"]
"""

TYPESCRIPT = """\
/* eslint-disable */
// Written by `edgecli types`; it writes this file anew. Types of the runtime: @cloudflare/workers-types.
declare namespace Cloudflare {
	interface Env {
		KV: KVNamespace;
		DB: D1Database;
		VECTORS: VectorizeIndex;
		BUCKET: R2Bucket;
		BROWSER: BrowserRun;
		AI: Ai;
		QUEUE: Queue;
		MODEL: "it's \\"灯\\"";
		TOP_K: 4;
		LOUD: true;
		RATE: 0.5;
		LIMITS: {"max": 5};
		TOKEN: string;
	}
}
interface Env extends Cloudflare.Env {}
"""

WORKER = """
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers import Response, WorkerEntrypoint

if TYPE_CHECKING:
    from env_types import Env


class Default(WorkerEntrypoint):
    env: Env

    async def fetch(self, request: Any) -> Response:
        found = await self.env.VECTORS.query([0.1], topK=self.env.TOP_K)
        said = await self.env.AI.run(self.env.MODEL, {"prompt": "x"})
        await self.env.KV.put("k", self.env.TOKEN, expirationTtl=60)
        row = await self.env.DB.prepare("SELECT 1").first()
        wrong = self.env.MISSING
        return Response(f"{found.count} {said.response} {row} {wrong}")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    (tmp_path / ".dev.vars").write_text("TOKEN=x\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "worker.py").write_text(WORKER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_typescript_is_as_wrangler_writes_it(project: Path) -> None:
    assert run(app, ["types", "worker-configuration.d.ts"]) == 0
    assert (project / "worker-configuration.d.ts").read_text() == TYPESCRIPT


def test_modules_and_process_env_have_types_as_wrangler_writes_them(project: Path) -> None:
    config = """
    compatibility_date = "2026-03-01"
    compatibility_flags = ["nodejs_compat"]
    vars = { A = "a", B = 1 }
    rules = [{ type = "Text", globs = ["**/*.md", "a/*.md", "x/y.html"] }, { type = "ESModule", globs = ["**/*.js"] }]
    """
    (project / "wrangler.toml").write_text(config)
    assert run(app, ["types", "a.d.ts"]) == 0
    _, found, text = (project / "a.d.ts").read_text().partition("interface Env extends Cloudflare.Env {}\n")
    assert found
    assert (
        text
        == """\
type StringifyValues<EnvType extends Record<string, unknown>> = {
	[Binding in keyof EnvType]: EnvType[Binding] extends string ? EnvType[Binding] : string;
};
declare namespace NodeJS {
	interface ProcessEnv extends StringifyValues<Pick<Cloudflare.Env, "A" | "B" | "TOKEN">> {}
}
declare module "*.md" {
	const value: string;
	export default value;
}
declare module "x/y.html" {
	const value: string;
	export default value;
}
"""
    )


def test_variables_may_be_loose(project: Path) -> None:
    assert run(app, ["types", "a.d.ts", "--no-strict-vars", "--env-interface", "Mine"]) == 0
    text = (project / "a.d.ts").read_text()
    for line in ("MODEL: string;", "TOP_K: number;", "LOUD: boolean;", "LIMITS: any;", "interface Mine extends"):
        assert line in text


def test_python_types_hold_in_a_strict_checker(project: Path) -> None:
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    assert run(app, ["types"]) == 0
    stubs = "from typing import Any\nclass WorkerEntrypoint:\n    env: Any\n"
    stubs += "class Response:\n    def __init__(self, body: Any) -> None: ...\n"
    (project / "src" / "workers.pyi").write_text(stubs)
    settings = {"typeCheckingMode": "strict", "reportMissingModuleSource": False, "extraPaths": ["src"]}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run([pyright, "--outputjson", "src"], cwd=project, capture_output=True, text=True, check=False)
    found = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    assert [each["message"].splitlines()[0] for each in found if each["rule"] == "reportAttributeAccessIssue"] == [
        'Cannot access attribute "MISSING" for class "Env"'
    ]
    assert not [each for each in found if each["file"].endswith("env_types.py")]


def test_the_python_file_can_be_imported(project: Path) -> None:
    run(app, ["types"])
    done = subprocess.run(
        [sys.executable, "-c", "import env_types as t; print(*t.Env.__annotations__)"],
        cwd=project / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[:4] == ["KV", "DB", "VECTORS", "BUCKET"]


def test_check_says_what_is_out_of_date(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["types", "--check"]) == 1
    assert not (project / "src" / "env_types.py").exists()
    assert run(app, ["types"]) == 0
    assert run(app, ["types", "--check"]) == 0
    (project / "wrangler.toml").write_text(CONFIG.replace("TOP_K = 4", "TOP_K = 5"))
    capsys.readouterr()
    assert run(app, ["types", "--check"]) == 1
    shown = capsys.readouterr().err
    assert "+    TOP_K: Literal[5]" in shown
    assert "`src/env_types.py` is out of date" in shown


def test_json_lists_the_members(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["types", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["language"] == "python"
    assert {"name": "TOKEN", "kind": "secret"} in body["members"]
    assert body["text"] == (project / "src" / "env_types.py").read_text()


@pytest.mark.parametrize(
    "line",
    ["durable_objects = {bindings = [{}]}", 'queues = {producers = [{queue = "q"}, 5]}', 'queues = {producers = "x"}'],
)
def test_what_only_wrangler_checks_is_left_out(project: Path, line: str) -> None:
    (project / "wrangler.toml").write_text(f'name = "x"\n{line}\n')
    assert run(app, ["types", "x.d.ts"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"), [(["x.txt"], 2), (["--env-interface", "a b"], 2), (["none/env_types.py"], 1)]
)
def test_wrong_calls_are_refused(project: Path, arguments: list[str], code: int) -> None:
    assert run(app, ["types", *arguments]) == code


def test_types_in_templates_are_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = 0
    for template in list_templates():
        if "worker-configuration.d.ts" in template.sources:
            monkeypatch.chdir(create(template, tmp_path / template.name, "app").path)
            assert run(app, ["types", "--check"]) == 0
            checked += 1
    assert checked == 1
