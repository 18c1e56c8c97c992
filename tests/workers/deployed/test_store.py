"""Deployed Workers on the disk."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecli.errors import NotFoundError, StateError, UsageError
from edgecli.workers.deployed.store import DeployedStore
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.spec import Binding
from tests.workers.deployed.forms import ESM, form
from tests.workers.deployed.test_upload import read

CODE = "export default {}"


def upload(modules: dict[str, tuple[str, bytes | str]] | None = None, **metadata: Any) -> Upload:
    return asyncio.run(read(form(modules or {"index.js": (ESM, CODE)}, **metadata)))


def text(name: str, value: str) -> dict[str, str]:
    return {"type": "plain_text", "name": name, "text": value}


@pytest.fixture
def store(tmp_path: Path) -> DeployedStore:
    return DeployedStore(tmp_path / "workers")


def test_what_was_published_is_found_again(store: DeployedStore) -> None:
    bindings = [
        text("A", "值"),
        {"type": "json", "name": "J", "json": {"n": [1]}},
        {"type": "kv_namespace", "name": "KV", "namespace_id": "0123"},
        {"type": "ai", "name": "AI"},
        {"type": "secret_text", "name": "S", "text": "geheim"},
    ]
    kinds: dict[str, tuple[str, bytes | str]] = {"src/index.js": (ESM, CODE), "a.md": ("text/plain", "文")}
    store.publish(store.draft("one", upload(kinds, bindings=bindings)))
    (held,) = DeployedStore(store.directory).list()
    spec = store.spec(held)
    assert (spec.name, spec.language, spec.bundled) == ("one", "javascript", True)
    assert spec.main.read_text() == CODE
    assert spec.modules == {"src/index.js": ESM, "a.md": "text/plain"}
    assert spec.bindings == (Binding("KV", "kv", "0123"), Binding("AI", "ai"))
    assert (spec.vars, spec.secrets) == ({"A": "值", "J": {"n": [1]}}, {"S": "geheim"})
    record = store.directory / "one" / "worker.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert "geheim" not in str(held.bindings)


def test_a_later_version_replaces_the_modules_and_keeps_the_secrets(store: DeployedStore) -> None:
    first = store.draft("one", upload(bindings=[{"type": "secret_text", "name": "S", "text": "1"}, text("A", "1")]))
    store.publish(first)
    kept = upload({"other.js": (ESM, CODE)}, bindings=[{"type": "inherit", "name": "A"}])
    second = store.draft("one", kept, first)
    assert store.get("one").version == first.version, "a draft does not hold yet"
    store.publish(second)
    held = store.get("one")
    assert (held.created_on, held.secrets, held.bindings) == (first.created_on, {"S": "1"}, [text("A", "1")])
    assert held.number == 2
    assert [path.name for path in store.directory.rglob("*.js")] == ["other.js"]


def test_secrets_are_left_behind_where_wrangler_names_those_that_stay(store: DeployedStore) -> None:
    secrets = [{"type": "secret_text", "name": name, "text": name.lower()} for name in ("A", "B", "C")]
    first = store.draft("one", upload(bindings=secrets))
    changed = [{"type": "inherit", "name": "A"}, {"type": "secret_text", "name": "B", "text": "new"}]
    assert store.draft("one", upload(bindings=changed), first).secrets == {"A": "a", "B": "new", "C": "c"}
    left = upload(bindings=changed, keep_bindings=["secret_key"])
    assert store.draft("one", left, first).secrets == {"A": "a", "B": "new"}


def test_bindings_are_kept_where_wrangler_wants_it(store: DeployedStore) -> None:
    first = store.draft("one", upload(bindings=[text("A", "1"), text("B", "1"), {"type": "ai", "name": "AI"}]))
    kept = store.draft("one", upload(bindings=[text("A", "2")], keep_bindings=["plain_text", "json"]), first)
    assert kept.bindings == [text("A", "2"), text("B", "1")]
    assert store.draft("one", upload(bindings=[text("A", "2")]), first).bindings == [text("A", "2")]
    assert store.draft("one", upload(bindings=[{"type": "inherit", "name": "NEVER"}]), first).bindings == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a.b", "x" * 64, "é", "a\n", ".hidden"])
def test_a_name_is_checked_before_it_becomes_a_folder(store: DeployedStore, name: str) -> None:
    for call in (store.find, store.get, store.delete, lambda name: store.draft(name, upload())):
        with pytest.raises(UsageError) as caught:
            call(name)
        assert caught.value.code == "bad_name"
    assert not store.directory.exists()


def test_a_name_is_not_looked_for_elsewhere(store: DeployedStore) -> None:
    with pytest.raises(NotFoundError) as caught:
        store.get("none")
    assert caught.value.cf_code == 10007


@pytest.mark.parametrize("names", [("a", "a/b.js"), ("a/b.js", "a"), ("x" * 300,), ("a" * 200 + "/" + "b" * 256,)])
def test_modules_that_cannot_be_files_leave_nothing(store: DeployedStore, names: tuple[str, ...]) -> None:
    store.publish(store.draft("one", upload()))
    before = sorted(store.directory.rglob("*"))
    modules: dict[str, tuple[str, bytes | str]] = {name: (ESM, CODE) for name in ("index.js", *names)}
    with pytest.raises(UsageError) as caught:
        store.draft("one", upload(modules))
    assert caught.value.code == "bad_upload"
    assert sorted(store.directory.rglob("*")) == before


def test_a_draft_that_is_thrown_away_leaves_others(store: DeployedStore) -> None:
    first, second = store.draft("one", upload()), store.draft("one", upload())
    store.discard(first)
    assert store.spec(second).main.exists()
    store.publish(second)
    third, fourth = store.draft("one", upload()), store.draft("one", upload())
    store.publish(third, waiting=[fourth.version])
    assert store.spec(fourth).main.exists() and not store.spec(second).main.exists()
    store.discard(fourth)
    assert store.get("one").version == third.version
    store.delete("one")
    assert list(store.directory.iterdir()) == []


def test_a_damaged_record_is_named(store: DeployedStore) -> None:
    store.publish(store.draft("one", upload()))
    for damage in ("{", '{"name": "one"}', "[]"):
        (store.directory / "one" / "worker.json").write_text(damage)
        with pytest.raises(StateError, match="worker"):
            store.list()


KILLED = """
import os, signal, sys
from pathlib import Path
from edgecli.workers.deployed.store import DeployedStore
from tests.workers.deployed.test_store import upload, text
store = DeployedStore(Path(sys.argv[1]))
draft = store.draft("one", upload(bindings=[text("A", "2")]))
if sys.argv[2] == "publish":
    import edgecli.workers.deployed.store as module
    module.shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    store.publish(draft)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("when", "holds"), [("draft", "1"), ("publish", "2")])
def test_a_process_that_is_killed_leaves_the_old_worker_or_the_new_one(
    store: DeployedStore, when: str, holds: str
) -> None:
    store.publish(store.draft("one", upload(bindings=[text("A", "1")])))
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.directory), when], env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
    held = store.get("one")
    assert (held.bindings, store.spec(held).main.read_text()) == ([text("A", holds)], CODE)
    store.publish(store.draft("one", upload()))
    assert len([path for path in (store.directory / "one").iterdir() if path.is_dir()]) == 1, "what was left is gone"
