"""The hub's protocol as a mirror would speak it: one listing, then files at that commit."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from edgecli.errors import NotFoundError, UpstreamError
from edgecli.models.pull import pull
from edgecli.models.schema import ModelFile
from edgecli.models.sources import fetch, open_source
from edgecli.models.store import Store
from tests.models.conftest import Steps, files_below, model, noise, sha256
from tests.models.file_server import FileServer, file_server

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = noise(400_000)
FILES = {
    ".gitattributes": b"x",
    "config.json": b"{}",
    "onnx/model.onnx": WEIGHTS,
    "m-Q4_K_M.gguf": noise(1000, seed=1),
}


def quiet(phase: str, file: str, done: int, total: int | None) -> None:
    del phase, file, done, total


@pytest.fixture
def hub(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """A hub with one repository, `owner/repo`, whose larger files it knows the hashes of."""
    siblings = []
    for name, content in FILES.items():
        stored = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
        if len(content) > 500:
            stored["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
        siblings.append(stored)
        server.add(
            f"/owner/repo/resolve/{COMMIT}/{name}",
            content,
            etag=f'"{sha256(content)}"',
            headers={"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"},
        )
    listing = json.dumps({"id": "owner/repo", "sha": COMMIT, "siblings": siblings}).encode()
    for path in ("/api/models/owner/repo", "/api/models/owner/repo/revision/v1"):
        server.add(path, listing, content_type="application/json")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return server


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("config.json", "config.json", {"config.json": b"{}"}),
        ("onnx/model.onnx", "other.onnx", {"other.onnx": WEIGHTS}),
        ("onnx/", "", {"model.onnx": WEIGHTS}),
        ("*Q4_K_M.gguf", "", {"m-Q4_K_M.gguf": FILES["m-Q4_K_M.gguf"]}),
        ("{*.json,onnx/*}", "", {"config.json": b"{}", "onnx/model.onnx": WEIGHTS}),
    ],
)
def test_files_are_chosen_by_path_folder_and_pattern(
    hub: FileServer, store: Store, path: str, name: str, expected: dict[str, bytes]
) -> None:
    spec = model(ModelFile(f"hf:owner/repo/{path}", name))
    assert files_below(pull(spec, store, offline=False, progress=Steps()).path) == expected


def test_the_commit_is_pinned_and_progress_is_told(hub: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[str, str, int, int | None]] = []
    file = ModelFile("hf:owner/repo@v1/onnx/model.onnx", "model.onnx")
    fetched = fetch(file, tmp_path, lambda *step: seen.append(step), offline=False)
    assert fetched.resolved == f"hf:owner/repo@{COMMIT}/onnx/model.onnx"
    assert fetched.files[0].sha256 == sha256(WEIGHTS)
    assert seen[-1] == ("download", "model.onnx", len(WEIGHTS), len(WEIGHTS))


def test_the_size_is_known_before_the_first_byte(hub: FileServer, tmp_path: Path) -> None:
    source = open_source(ModelFile("hf:owner/repo/{onnx/*,config.json}", ""), offline=False)
    assert source.needed(tmp_path) == len(WEIGHTS) + 2


def test_a_download_that_was_ended_is_taken_up(hub: FileServer, store: Store) -> None:
    spec = model(ModelFile("hf:owner/repo/onnx/model.onnx", "model.onnx"))
    path = f"/owner/repo/resolve/{COMMIT}/onnx/model.onnx"
    hub.files[path].cuts = [250_000] + [0] * 6
    with pytest.raises(UpstreamError) as caught:
        pull(spec, store, offline=False, progress=Steps())
    assert caught.value.code == "download"
    hub.files[path].cuts = []
    assert files_below(pull(spec, store, offline=False, progress=Steps()).path) == {"model.onnx": WEIGHTS}
    assert (hub.ranges(path)[-1] or "bytes=0-") > "bytes=1"


def test_a_mirror_that_sends_other_bytes_than_it_lists_is_refused(hub: FileServer, store: Store) -> None:
    other = noise(len(WEIGHTS), seed=2)
    hub.files[f"/owner/repo/resolve/{COMMIT}/onnx/model.onnx"].content = other
    with pytest.raises(UpstreamError, match=sha256(other)) as caught:
        pull(model(ModelFile("hf:owner/repo/onnx/", "")), store, offline=False, progress=Steps())
    assert caught.value.code == "hash_mismatch"


def test_a_file_that_the_repository_lacks_is_answered_with_what_it_has(hub: FileServer, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"has no file `\*.bin`") as caught:
        fetch(ModelFile("hf:owner/repo/{config.json,*.bin}", ""), tmp_path, quiet, offline=False)
    assert "`onnx/model.onnx`" in (caught.value.hint or "")


def test_a_repository_that_is_not_there(hub: FileServer, tmp_path: Path) -> None:
    hub.add("/api/models/owner/none", b"", refuse=404, headers={"X-Error-Code": "RepoNotFound"})
    with pytest.raises(NotFoundError, match="There is no `hf:owner/none/x`") as caught:
        fetch(ModelFile("hf:owner/none/x", "x"), tmp_path, quiet, offline=False)
    assert caught.value.code == "source_not_found"


def test_terms_that_were_not_accepted(hub: FileServer, tmp_path: Path) -> None:
    hub.add("/api/models/owner/gated", b"", refuse=403, headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(UpstreamError, match="accepted its terms") as caught:
        fetch(ModelFile("hf:owner/gated/x", "x"), tmp_path, quiet, offline=False)
    assert "HF_TOKEN" in (caught.value.hint or "")


def test_terms_that_only_guard_the_files(hub: FileServer, tmp_path: Path) -> None:
    path = f"/owner/repo/resolve/{COMMIT}/config.json"
    hub.add(path, b"", refuse=401, headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(UpstreamError, match="accepted its terms"):
        fetch(ModelFile("hf:owner/repo/config.json", "config.json"), tmp_path, quiet, offline=False)


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
    hub: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = f"/owner/repo/resolve/{COMMIT}/config.json"
    with file_server() as elsewhere:
        target = elsewhere.add("/blob", b"{}")
        hub.add(path, b"", refuse=302, headers={"Location": target.replace("127.0.0.1", "localhost")})
        fetch(ModelFile("hf:owner/repo/config.json", "config.json"), tmp_path, quiet, offline=False)
        assert elsewhere.tokens == [None]
    assert set(hub.tokens) == {"Bearer hf_secret"}


def test_a_hub_that_nobody_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        with pytest.raises(UpstreamError, match=f"The hub at {address} could not give") as caught:
            fetch(ModelFile("hf:owner/repo/x", "x"), tmp_path, quiet, offline=False)
    assert caught.value.code == "hub_unreachable"
    assert "HF_ENDPOINT" in (caught.value.hint or "")
    assert "pypi:" in (caught.value.hint or "")


def test_hf_hub_offline_is_honoured(hub: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UpstreamError, match="`HF_HUB_OFFLINE` is set") as caught:
        fetch(ModelFile("hf:owner/repo/config.json", "config.json"), tmp_path, quiet, offline=False)
    assert caught.value.code == "offline"
    assert hub.requests == []
