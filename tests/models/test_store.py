from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgecli.errors import NotFoundError, StateError
from edgecli.models.durable import digest
from edgecli.models.pull import pull
from edgecli.models.schema import ModelFile, ModelSpec
from edgecli.models.store import Store, default_home
from tests.models.conftest import Steps, files_below, model, noise

SHARED, OWN = noise(40_000), noise(30_000, seed=1)


@pytest.fixture
def pair(tmp_path: Path, store: Store) -> tuple[ModelSpec, ModelSpec]:
    """Two installed models that share a file."""
    (tmp_path / "shared").write_bytes(SHARED)
    (tmp_path / "own").write_bytes(OWN)
    shared = ModelFile(f"file:{tmp_path}/shared", "shared.bin")
    specs = (model(shared), model(shared, ModelFile(f"file:{tmp_path}/own", "own.bin"), id="@test/Other"))
    for spec in specs:
        pull(spec, store, offline=True, progress=Steps())
    return specs


def test_removing_a_model_leaves_what_others_hold(store: Store, pair: tuple[ModelSpec, ModelSpec]) -> None:
    kept, removed = pair
    freed = store.remove(removed)
    assert len(OWN) <= freed < len(OWN) + len(SHARED)
    assert [each.id for each in store.installed()] == [kept.id]
    assert store.verify(kept) == []
    store.remove(kept)
    assert not list(store.blobs.iterdir())


def test_removing_what_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(NotFoundError, match="`@test/model` is not on this machine") as caught:
        store.remove(model(ModelFile("file:/nowhere", "x")))
    assert caught.value.code == "model_not_pulled"


def test_removing_deletes_an_unfinished_download(store: Store) -> None:
    file = ModelFile("https://models.example/m.gguf", "m.gguf")
    store.partial(file).mkdir(parents=True)
    (store.partial(file) / "file.partial").write_bytes(OWN)
    assert store.remove(model(file)) == len(OWN)
    assert not store.partial(file).exists()


def test_what_another_pull_is_at_is_not_removed(store: Store) -> None:
    from edgecli.models.store import file_key

    file = ModelFile("https://models.example/m.gguf", "m.gguf")
    store.partial(file).mkdir(parents=True)
    with store.lock("source", file_key(file)):
        store.remove(model(file))
    assert store.partial(file).exists()


def test_a_model_that_is_being_pulled_is_not_removed(
    store: Store, pair: tuple[ModelSpec, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgecli.models import store as module
    from edgecli.models.names import folder_name

    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    with (
        store.lock("model", folder_name(pair[0].id)),
        pytest.raises(StateError, match="is being pulled") as caught,
    ):
        store.remove(pair[0])
    assert caught.value.code == "model_busy"
    assert store.verify(pair[0]) == []


def test_files_of_a_pull_that_did_not_end_stay_for_a_week(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(SHARED)
    (tmp_path / "b").write_bytes(OWN)
    unfinished, other = ModelFile(f"file:{tmp_path}/a", "a"), ModelFile(f"file:{tmp_path}/b", "b")

    def stop(step: object) -> None:
        if store.recorded(unfinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(model(unfinished, other), store, offline=True, progress=stop)
    for _ in range(2):
        spec = model(other, id="@test/other")
        pull(spec, store, offline=True, progress=Steps())
        store.remove(spec)
        if record := store.recorded(unfinished):
            assert record["files"]["a"]["size"] == len(SHARED)
            past = time.time() - 8 * 24 * 3600
            for path in store.home.glob("sources/*.json"):
                os.utime(path, (past, past))
    assert not list(store.blobs.iterdir())


def test_a_manifest_that_is_no_json_means_not_pulled(store: Store, pair: tuple[ModelSpec, ModelSpec]) -> None:
    (store.folder(pair[0]) / ".edgecli-model.json").write_text('{"id": ')
    with pytest.raises(NotFoundError):
        store.get(pair[0])
    assert [each.id for each in store.installed()] == ["@test/Other"]
    pull(pair[0], store, offline=True, progress=Steps())
    assert store.verify(pair[0]) == []


def test_verify_reports_how_far_it_is(store: Store, pair: tuple[ModelSpec, ModelSpec]) -> None:
    seen: list[tuple[str, int, int]] = []
    assert store.verify(pair[1], lambda *step: seen.append(step)) == []
    assert seen == [("shared.bin", len(SHARED), len(SHARED)), ("own.bin", len(OWN), len(OWN))]


def test_every_blob_has_the_hash_of_its_name(store: Store, pair: tuple[ModelSpec, ModelSpec]) -> None:
    blobs = list(store.blobs.iterdir())
    assert len(blobs) == 2
    assert all(blob.name == f"sha256-{digest(blob)}" for blob in blobs)
    assert files_below(store.folder(pair[1])) == {"shared.bin": SHARED, "own.bin": OWN}


def test_the_store_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path))
    assert default_home() == tmp_path / "models"
    monkeypatch.delenv("EDGECLI_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_home() == tmp_path / "cache" / "edgecli" / "models"
