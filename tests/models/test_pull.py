from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from edgecli.errors import LimitError, NotFoundError, StateError, UpstreamError
from edgecli.models.pull import pull
from edgecli.models.schema import InstalledModel, ModelFile, ModelSpec, PullProgress
from edgecli.models.store import Store
from tests.models.conftest import Steps, files_below, model, noise, sha256
from tests.models.file_server import FileServer

CONTENT = noise(600_000)
OTHER = noise(50_000, seed=1)


def install(spec: ModelSpec, store: Store, steps: Steps | None = None, *, offline: bool = False) -> InstalledModel:
    return pull(spec, store, offline=offline, progress=steps if steps is not None else Steps())


def test_a_model_is_installed_as_ordinary_files_with_a_manifest(server: FileServer, store: Store, steps: Steps) -> None:
    spec = model(
        ModelFile(server.add("/m.gguf", CONTENT), "m.gguf", {"m.gguf": sha256(CONTENT)}),
        ModelFile(server.add("/c.json", OTHER), "sub/c.json"),
    )
    installed = install(spec, store, steps)
    assert files_below(installed.path) == {"m.gguf": CONTENT, "sub/c.json": OTHER}
    assert installed.files == {"m.gguf": sha256(CONTENT), "sub/c.json": sha256(OTHER)}
    assert installed.size == len(CONTENT) + len(OTHER)
    assert steps.phases == ["check", "download", "verify", "download", "verify", "done"]
    assert store.get(spec) == installed
    assert store.installed() == [installed]


def test_a_model_that_is_there_costs_nothing(server: FileServer, store: Store, steps: Steps) -> None:
    spec = model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf"))
    install(spec, store)
    asked = len(server.requests)
    install(spec, store, steps, offline=True)
    assert steps.phases == ["present"]
    assert len(server.requests) == asked


def test_a_hash_mismatch_names_both_hashes_and_keeps_nothing(server: FileServer, store: Store) -> None:
    spec = model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf", {"m.gguf": sha256(OTHER)}))
    with pytest.raises(UpstreamError) as caught:
        install(spec, store)
    assert caught.value.code == "hash_mismatch"
    assert sha256(CONTENT) in caught.value.message
    assert sha256(OTHER) in caught.value.message
    assert [path for path in store.home.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.parametrize("content", [b"", b"GGUF\3\0\0\0", b"<!DOCTYPE html>" + OTHER])
def test_what_is_no_gguf_file_is_refused_and_not_kept(server: FileServer, store: Store, content: bytes) -> None:
    spec = model(ModelFile(server.add("/m.GGUF", content), "m.GGUF", {"m.GGUF": sha256(content)}))
    with pytest.raises(UpstreamError, match=rf"`m.GGUF` .* is no GGUF file: its {len(content)} bytes") as caught:
        install(spec, store)
    assert caught.value.code == "not_gguf"
    assert [path for path in store.home.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_folder_without_a_file_of_known_hash_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "a.bin").write_bytes(OTHER)
    file = ModelFile(f"file:{tmp_path}/a.bin", "a.bin", {"weights.bin": sha256(OTHER)})
    with pytest.raises(UpstreamError, match=r"gave no `weights.bin`"):
        install(model(file), store)


def test_two_models_with_one_file_fetch_and_hold_it_once(server: FileServer, store: Store, steps: Steps) -> None:
    file = ModelFile(server.add("/m.gguf", CONTENT), "m.gguf")
    first = install(model(file), store)
    second = install(model(file, id="@test/other"), store, steps)
    assert steps.phases == ["check", "present", "done"]
    assert len(server.ranges("/m.gguf")) == 1
    assert (first.path / "m.gguf").stat().st_ino == (second.path / "m.gguf").stat().st_ino
    assert store.disk_usage() < 1.2 * len(CONTENT)


def test_where_links_fail_files_are_copied(server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    installed = install(model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf")), store)
    assert files_below(installed.path) == {"m.gguf": CONTENT}


def test_a_pull_that_was_ended_goes_on(server: FileServer, store: Store) -> None:
    spec = model(ModelFile(server.add("/a", OTHER), "a"), ModelFile(server.add("/m.gguf", CONTENT), "m.gguf"))

    def stop(step: PullProgress) -> None:
        if step.file == "m.gguf" and step.done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(spec, store, offline=False, progress=stop)
    with pytest.raises(NotFoundError, match="not on this machine"):
        store.get(spec)
    install(spec, store)
    assert len(server.ranges("/a")) == 1
    assert (server.ranges("/m.gguf")[-1] or "bytes=0-") > "bytes=1"


def test_no_space_is_said_before_the_first_byte(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf"))
    full = NamedTuple("full", [("total", int), ("used", int), ("free", int)])(1, 1, 64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(
        LimitError, match=r"No space .*0\.6 MB and 67\.1 MB of reserve are needed, 67\.1 MB are free"
    ) as caught:
        install(spec, store)
    assert caught.value.code == "no_space"
    assert str(store.home) in caught.value.message
    assert caught.value.details["needed"] == len(CONTENT)
    assert server.ranges("/m.gguf") == []


def test_a_disk_that_fills_up_on_the_way_is_told_as_such(server: FileServer, store: Store) -> None:
    spec = model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf"))

    def fill(step: PullProgress) -> None:
        if step.phase == "download":
            raise OSError(28, "No space left on device")

    with pytest.raises(LimitError) as caught:
        pull(spec, store, offline=False, progress=fill)
    assert caught.value.code == "no_space"


def test_a_model_without_open_weights_says_how_to_stand_one_in(store: Store) -> None:
    with pytest.raises(NotFoundError, match="No open weights of `@test/model`") as caught:
        install(model(), store)
    assert caught.value.code == "no_open_weights"
    assert '[edgecli.models."@test/model"] use = ' in (caught.value.hint or "")


def test_offline_names_what_is_missing_and_uses_what_is_here(server: FileServer, store: Store, tmp_path: Path) -> None:
    web = ModelFile(server.add("/m.gguf", CONTENT), "m.gguf")
    with pytest.raises(UpstreamError, match=server.address) as caught:
        install(model(web), store, offline=True)
    assert caught.value.code == "offline"
    install(model(web), store)
    (tmp_path / "b").write_bytes(OTHER)
    both = model(web, ModelFile(f"file:{tmp_path}/b", "b"), id="@test/both")
    assert files_below(install(both, store, offline=True).path) == {"m.gguf": CONTENT, "b": OTHER}


def test_the_second_of_two_pulls_waits_and_finds_it_present(server: FileServer, store: Store) -> None:
    hold = threading.Event()
    spec = model(ModelFile(server.add("/m.gguf", CONTENT, hold=hold), "m.gguf"))
    first, second = Steps(), Steps()
    first_thread = threading.Thread(target=install, args=(spec, store, first))
    first_thread.start()
    while not any(step.phase == "download" for step in first):
        threading.Event().wait(0.01)
    second_thread = threading.Thread(target=install, args=(spec, store, second))
    second_thread.start()
    while not second:
        threading.Event().wait(0.01)
    hold.set()
    first_thread.join(30)
    second_thread.join(30)
    assert first.phases[-1] == "done"
    assert second.phases == ["wait", "present"]
    assert len(server.ranges("/m.gguf")) == 1


def test_a_changed_definition_is_pulled_again(server: FileServer, store: Store) -> None:
    file = ModelFile(server.add("/m.gguf", CONTENT), "m.gguf")
    install(model(file), store)
    changed = model(file, ModelFile(server.add("/b", OTHER), "b"))
    with pytest.raises(NotFoundError, match="another definition"):
        store.get(changed)
    assert files_below(install(changed, store).path) == {"m.gguf": CONTENT, "b": OTHER}
    assert len(server.ranges("/m.gguf")) == 1


@pytest.mark.parametrize("spoil", ["flip", "shorten", "delete"])
def test_a_damaged_file_is_found_and_repaired(server: FileServer, store: Store, spoil: str) -> None:
    spec = model(ModelFile(server.add("/m.gguf", CONTENT), "m.gguf"), ModelFile(server.add("/b", OTHER), "b"))
    path = install(spec, store).path / "m.gguf"
    path.chmod(0o644)
    if spoil == "delete":
        path.unlink()
    else:
        path.write_bytes(CONTENT[:-1] + b"?" if spoil == "flip" and CONTENT[-1:] != b"?" else CONTENT[:-1])
    problems = store.verify(spec)
    assert [(each.file, each.problem, each.expected) for each in problems] == [
        ("m.gguf", "missing" if spoil == "delete" else "changed", sha256(CONTENT))
    ]
    with pytest.raises(StateError, match=r"`m.gguf` is not as it was pulled"):
        store.get(spec)
    assert files_below(install(spec, store).path) == {"m.gguf": CONTENT, "b": OTHER}
    assert store.verify(spec) == []
    assert len(server.ranges("/b")) == 1
