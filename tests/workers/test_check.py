from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecli.workers.workerd.install import find

pytestmark = pytest.mark.models
Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
name = "app"
main = "worker.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
[ai]
binding = "AI"
[vars]
MODEL = "@cf/baai/bge-small-en-v1.5"
[edgecli.models."@cf/baai/bge-small-en-v1.5"]
use = "@edge/all-minilm-l6-v2"
"""
ON_FETCH = "def on_fetch(request, env, ctx): ...\n"
WORKER = "async def on_fetch(request, env, ctx):\n    return await env.AI.run(env.MODEL, {})\n"


@pytest.fixture
def check(project: Path, edgecli: Run) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    def run(
        config: str = CONFIG, worker: str = WORKER, *arguments: str, **environment: str
    ) -> tuple[int, list[dict[str, Any]]]:
        (project / "wrangler.toml").write_text(config)
        (project / "worker.py").write_text(worker)
        done = edgecli("check", "--json", *arguments, **environment)
        body = json.loads(done.stdout)
        assert body["ok"] is (done.returncode == 0)
        return done.returncode, body["findings"]

    return run


def errors(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in findings if each["level"] == "error"]


def test_what_fits_together_passes(check: Any, edgecli: Run) -> None:
    code, found = check()
    assert code == 0
    assert {each["level"] for each in found} == {"ok"}
    assert "@edge/all-minilm-l6-v2 stands in" in found[-1]["message"]
    shown = edgecli("check")
    assert shown.returncode == 0
    assert "✓ bindings       AI, MODEL" in shown.stdout
    assert shown.stderr == "✓ Ready.\n"


@pytest.mark.parametrize(
    ("worker", "check_name", "message", "line", "hint"),
    [
        ("", "code", "neither a class `Default` nor", None, "WorkerEntrypoint"),
        ("def f(:\n", "code", "syntax error", 1, None),
        ("import nowhere_to_be_found\n" + ON_FETCH, "imports", "`nowhere_to_be_found`", 1, "pip install"),
        (
            "\ndef on_fetch(r, env, c):\n    env.DB.prepare('')\n",
            "bindings",
            "`env.DB`",
            3,
            '[[d1_databases]]\nbinding = "DB"',
        ),
        ("def on_fetch(r, env, c):\n    env.X.query('')\n", "bindings", "`env.X`", 2, '[[vectorize]]\nbinding = "X"'),
        ("def on_fetch(r, env, c):\n    env.COLOUR\n", "bindings", "`env.COLOUR`", 2, 'COLOUR = "…"'),
        ("def on_fetch(r, env, c):\n    env.MODLE\n", "bindings", "`env.MODLE`", 2, "`MODEL`"),
        ("M = '@cf/no/such-model'\n" + ON_FETCH, "models", "@cf/no/such-model", 1, None),
        (
            "M = '@cf/baai/bge-m3'\n" + ON_FETCH,
            "models",
            "`@cf/baai/bge-m3` is not on this machine",
            1,
            "models pull @cf/baai/bge-m3",
        ),
    ],
)
def test_a_fault_in_the_code_has_its_place(
    check: Any, worker: str, check_name: str, message: str, line: int | None, hint: str | None
) -> None:
    code, found = check(CONFIG, worker)
    assert code == 1
    [error] = errors(found)
    assert (error["check"], error["file"], error["line"]) == (check_name, "worker.py", line)
    assert message in error["message"]
    assert (hint or "") in (error["hint"] or "")


def test_what_the_code_does_not_use_is_a_note(check: Any) -> None:
    code, found = check(CONFIG, "def on_fetch(r, env, c):\n    env.AI\n")
    assert code == 0
    assert [each["message"].split()[0] for each in found if each["level"] == "note"] == ["`MODEL`"]


def test_a_binding_that_nothing_answers_is_a_warning_where_the_code_uses_it(check: Any) -> None:
    queue = '[[queues.producers]]\nbinding = "JOBS"\nqueue = "jobs"\n'
    code, found = check(CONFIG + queue, "def on_fetch(r, env, c):\n    env.JOBS.send(env.AI)\n")
    assert code == 0
    said = [(each["message"], each["line"]) for each in found if each["level"] == "warning"]
    assert said == [("`env.JOBS` (Queue): edgecli does not answer this binding.", 2)]


def test_a_wrong_configuration_exits_with_4(check: Any) -> None:
    code, found = check('name = "A b"\nmain = "worker.py"\n')
    assert code == 4
    assert "alphanumeric and lowercase" in errors(found)[0]["message"]
    assert errors(found)[0]["line"] == 1


def test_a_missing_main_is_an_error_and_none_is_a_note(check: Any) -> None:
    code, found = check(CONFIG.replace("worker.py", "gone.py"))
    assert code == 1
    assert "`gone.py`" in errors(found)[0]["message"]
    code, found = check('name = "app"\n')
    assert code == 0


def test_required_secrets_are_set(check: Any, project: Path) -> None:
    config = CONFIG + '[secrets]\nrequired = ["TOKEN"]\n'
    worker = WORKER + "    env.TOKEN\n"
    code, found = check(config, worker)
    assert code == 1
    assert ["TOKEN" in each["message"] for each in errors(found)] == [True]
    assert check(config, worker, TOKEN="x")[0] == 0
    (project / ".dev.vars").write_text("TOKEN=x\n")
    assert check(config, worker)[0] == 0


def test_an_index_must_be_there(check: Any, edgecli: Run) -> None:
    config = CONFIG + '[[vectorize]]\nbinding = "V"\nindex_name = "docs"\n'
    worker = WORKER + "    env.V\n"
    code, found = check(config, worker)
    assert code == 1
    assert "edgecli vectorize create docs" in errors(found)[0]["hint"]
    assert edgecli("vectorize", "create", "docs", "--dimensions=3", "--metric=cosine").returncode == 0
    code, found = check(config, worker)
    assert code == 0
    assert {"docs, 3 dimensions"} <= {each["message"] for each in found}


def test_warnings_fail_only_if_asked(check: Any) -> None:
    config = CONFIG.replace('compatibility_date = "2026-03-01"\n', "")
    assert check(config)[0] == 0
    assert check(config, WORKER, "--strict")[0] == 1


def test_packages_of_javascript_are_installed(check: Any, project: Path) -> None:
    config = CONFIG.replace("worker.py", "src/index.ts").replace('compatibility_flags = ["python_workers"]\n', "")
    (project / "src").mkdir()
    (project / "src" / "index.ts").write_text(
        'import { Hono } from "hono";\nexport default { fetch: (r, env) => env.AI };'
    )
    code, found = check(config)
    assert code == 1
    assert [each["message"] == "`hono` is not in node_modules." for each in errors(found)] == [True]
    (project / "node_modules" / "hono").mkdir(parents=True)
    assert check(config)[0] == 0


def test_the_syntax_of_javascript_is_checked_where_esbuild_is(check: Any, project: Path, edgecli: Run) -> None:
    config = CONFIG.replace("worker.py", "src/index.ts").replace('compatibility_flags = ["python_workers"]\n', "")
    (project / "src").mkdir()
    (project / "src" / "index.ts").write_text("import './other';\nexport default { fetch: (r, env) => env.AI };\n")
    (project / "src" / "other.ts").write_text("// first\nconst = 5;\n")
    if find("esbuild", project) is None:
        code, found = check(config)
        assert code == 0
        assert "was not checked" in "".join(each["message"] for each in found if each["level"] == "note")
        pytest.skip("esbuild is not installed")
    code, found = check(config)
    assert code == 1
    assert [(each["file"], each["line"]) for each in errors(found)] == [("src/other.ts", 2)]
