"""The real wrangler: deployment, secrets, and the stores."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workers.deployed.deployer import Deployer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workerd_home")]

CONFIG = """
name = "hey"
main = "src/index.ts"
compatibility_date = "2026-03-01"
rules = [{type = "Text", globs = ["**/*.md"], fallthrough = true}]
[vars]
GREETING = "你好"
[[kv_namespaces]]
binding = "KV"
id = "KV-ID"
[[d1_databases]]
binding = "DB"
database_name = "app"
database_id = "D1-ID"
[[r2_buckets]]
binding = "BUCKET"
bucket_name = "bucket"
[triggers]
crons = ["*/5 * * * *"]
"""
CODE = """
import text from "./page.md";
interface Env { GREETING: string; KV: any; DB: any; BUCKET: any; SECRET?: string }
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const rows = (await env.DB.prepare("SELECT a FROM t ORDER BY a").all()).results.map((row: any) => row.a);
    const object = await env.BUCKET.get("dir/o");
    return Response.json([text, env.GREETING, env.SECRET, await env.KV.get("k"), rows, await object.text()]);
  },
};
"""
Wrangler = Callable[..., str]


@pytest.fixture
def run(cloud: Deployer, wrangler: Path, tmp_path: Path) -> Wrangler:
    """Run wrangler in a project of its own, with what `edgecli workers env` says."""
    variables = json.loads(cloud.server.command("workers", "env", "--json").stdout)
    environment = os.environ | variables | {"NO_COLOR": "1", "CI": "1", "HOME": str(tmp_path)}

    def run(*arguments: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [str(wrangler), *arguments],
            cwd=tmp_path,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    return run


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def test_a_worker_is_deployed_with_stores_that_wrangler_fills(run: Wrangler, cloud: Deployer, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "page.md").write_text("文")
    (tmp_path / "src" / "index.ts").write_text(CODE)
    (tmp_path / "wrangler.toml").write_text('name = "hey"\n')
    kv = found(r'id = "(\w+)"', run("kv", "namespace", "create", "NOTES"))
    d1 = found(r'database_id = "([\w-]+)"', run("d1", "create", "app"))
    (tmp_path / "wrangler.toml").write_text(CONFIG.replace("KV-ID", kv).replace("D1-ID", d1))

    assert "Deployed hey triggers" in run("deploy")
    run("secret", "put", "SECRET", stdin="geheim")
    run("kv", "key", "put", "k", "值 1", "--binding", "KV", "--remote", "--metadata", '{"a": 1}')
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_t.sql").write_text("CREATE TABLE t (a);\nCREATE INDEX i ON t (a);")
    run("d1", "migrations", "apply", "app", "--remote")
    assert "No migrations to apply" in run("d1", "migrations", "apply", "app", "--remote")
    run("d1", "execute", "app", "--remote", "--command", "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)")
    (tmp_path / "rows.sql").write_text("INSERT INTO t VALUES (3);\n-- end\nINSERT INTO t VALUES (4);")
    assert "Executed 2 queries" in run("d1", "execute", "app", "--remote", "--file", "rows.sql", "-y")
    (tmp_path / "o").write_text("objekt")
    run("r2", "object", "put", "bucket/dir/o", "--file", "o", "--remote")
    assert cloud.fetch("hey").json() == ["文", "你好", "geheim", "值 1", [1, 2, 3, 4], "objekt"]

    assert run("deploy")
    assert cloud.fetch("hey").json()[2] == "geheim"
    (tmp_path / "secrets.json").write_text('{"A": "1", "SECRET": "neu"}')
    run("secret", "bulk", "secrets.json")
    assert cloud.fetch("hey").json()[2] == "neu"
    run("secret", "delete", "A")
    assert json.loads(run("secret", "list")) == [{"name": "SECRET", "type": "secret_text"}]
    assert "100%" in run("deployments", "list")
    assert "Version ID" in run("versions", "list")
    uploaded = found(r"Version ID: (\S+)", run("versions", "upload", "--message", "zwei"))
    run("versions", "deploy", f"{uploaded}@100%", "-y")
    assert cloud.call("GET", "hey/deployments")["deployments"][0]["versions"][0]["version_id"] == uploaded
    run("versions", "upload")
    assert "Secret edit failed" in run("secret", "put", "SECRET", stdin="lost", fails=True)
    run("versions", "secret", "put", "SECRET", stdin="später")
    made = found(r"Created version (\S+)", run("versions", "secret", "put", "B", stdin="b"))
    assert "SECRET" in run("versions", "secret", "list", "--latest-version")
    run("versions", "deploy", f"{made}@100%", "-y")
    assert cloud.fetch("hey").json()[:3] == ["文", "你好", "später"]
    made = found(r"Created version (\S+)", run("versions", "secret", "delete", "B"))
    run("versions", "deploy", f"{made}@100%", "-y")
    assert json.loads(run("secret", "list")) == [{"name": "SECRET", "type": "secret_text"}]
    assert cloud.fetch("hey").json()[2] == "später"
    assert "edgecli tail hey" in run("tail", fails=True)

    (tmp_path / "src" / "page.md").write_text("")
    (tmp_path / "src" / "index.ts").write_text("const x: string = null as any;\nx.trim();\nexport default {};\n")
    refused = run("deploy", fails=True)
    assert "10021" in refused and "(index.js:" in refused
    assert cloud.fetch("hey").status_code == 200
    run("delete")
    assert cloud.fetch("hey").status_code == 404


def test_the_stores_commands(run: Wrangler, tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "hey"\n')
    kv = found(r'id = "(\w+)"', run("kv", "namespace", "create", "MORE"))
    assert {each["id"]: each["title"] for each in json.loads(run("kv", "namespace", "list"))}[kv] == "MORE"
    here = ("--namespace-id", kv, "--remote")
    (tmp_path / "pairs.json").write_text('[{"key": "a/b", "value": "1"}, {"key": "c", "value": "2"}]')
    run("kv", "bulk", "put", "pairs.json", *here)
    run("kv", "key", "put", "d", "3", *here, "--ttl", "100")
    assert run("kv", "key", "get", "a/b", *here, "--text").strip() == "1"
    assert [each["name"] for each in json.loads(run("kv", "key", "list", *here))] == ["a/b", "c", "d"]
    (tmp_path / "keys.json").write_text('["a/b", "c"]')
    assert '"a/b": "1"' in run("kv", "bulk", "get", "keys.json", *here)
    run("kv", "bulk", "delete", "keys.json", *here, "--force")
    run("kv", "key", "delete", "d", *here)
    assert json.loads(run("kv", "key", "list", *here)) == []
    run("kv", "namespace", "delete", "--namespace-id", kv, "-y")
    assert "already exists" in run("d1", "create", "twice") + run("d1", "create", "twice", fails=True)
    assert "twice" in run("d1", "list")
    assert "no such table: none" in run(
        "d1", "execute", "twice", "--remote", "--command", "SELECT * FROM none", fails=True
    )
    run("d1", "delete", "twice", "-y")
    run("r2", "bucket", "create", "made")
    assert "made" in run("r2", "bucket", "list")
    (tmp_path / "o").write_bytes(b"objekt")
    run("r2", "object", "put", "made/o", "--file", "o", "--remote")
    assert "10008" in run("r2", "bucket", "delete", "made", fails=True)
    assert "objekt" in run("r2", "object", "get", "made/o", "--pipe", "--remote")
    run("r2", "object", "delete", "made/o", "--remote")
    run("r2", "bucket", "delete", "made")


def test_a_worker_in_python_and_one_that_cannot_be_here(run: Wrangler, cloud: Deployer, tmp_path: Path) -> None:
    head = 'name = "snake"\nmain = "entry.py"\ncompatibility_date = "2026-03-01"\n'
    (tmp_path / "wrangler.toml").write_text(head + 'compatibility_flags = ["python_workers"]\n')
    (tmp_path / "lib.py").write_text("WORD = '蛇'\n")
    (tmp_path / "entry.py").write_text(
        "from lib import WORD\nfrom workers import Response, WorkerEntrypoint\n\nclass Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n        return Response(WORD)\n"
    )
    run("deploy")
    assert cloud.fetch("snake").text == "蛇"
    (tmp_path / "entry.py").write_text("import os\n\nprint(undefined)\n")
    refused = run("deploy", fails=True)
    assert "entry.py:3" in refused and "undefined" in refused
    assert cloud.fetch("snake").text == "蛇"
    run("delete", "--force")
    (tmp_path / "index.js").write_text("export default {}; export class Room {}")
    (tmp_path / "wrangler.toml").write_text(
        head.replace("entry.py", "index.js")
        + '[[durable_objects.bindings]]\nname = "ROOM"\nclass_name = "Room"\n'
        + '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Room"]\n'
    )
    assert "`ROOM` of type `durable_object_namespace`" in run("deploy", fails=True)
