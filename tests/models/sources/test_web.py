from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.errors import UpstreamError
from edgecli.models.durable import read_json
from edgecli.models.schema import ModelFile
from edgecli.models.sources import fetch, open_source
from tests.models.conftest import noise
from tests.models.file_server import FileServer

CONTENT = noise(700_000)


def quiet(phase: str, file: str, done: int, total: int | None) -> None:
    del phase, file, done, total


def download(url: str, into: Path, name: str = "m.gguf") -> bytes:
    into.mkdir(exist_ok=True)
    return fetch(ModelFile(url, name), into, quiet, offline=False).files[0].path.read_bytes()


def test_a_file_comes_whole_with_its_progress(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT)
    seen: list[tuple[str, str, int, int | None]] = []
    fetched = fetch(ModelFile(url, "m.gguf"), tmp_path, lambda *step: seen.append(step), offline=False)
    assert fetched.files[0].path.read_bytes() == CONTENT
    assert seen[-1] == ("download", "m.gguf", len(CONTENT), len(CONTENT))
    assert [step[2] for step in seen] == sorted(step[2] for step in seen)


def test_a_cut_connection_is_taken_up_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[300_000, 150_000])
    assert download(url, tmp_path) == CONTENT
    first, *further = server.ranges("/m.gguf")
    assert first is None
    assert [value is not None and 0 < int(value[6:-1]) <= 450_000 for value in further] == [True, True]


def test_cuts_go_on_as_long_as_bytes_come(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[60_000] * 10)
    assert download(url, tmp_path) == CONTENT


def test_a_later_try_goes_on_from_an_earlier_one(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT)

    def stop(phase: str, file: str, done: int, total: int | None) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(ModelFile(url, "m.gguf"), tmp_path, stop, offline=False)
    assert download(url, tmp_path) == CONTENT
    assert server.ranges("/m.gguf")[-1] not in {None, "bytes=0-"}


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[400_000] + [0] * 4)
    with pytest.raises(UpstreamError):
        download(url, tmp_path)
    other = noise(500_000, seed=1)
    server.add("/m.gguf", other)
    assert download(url, tmp_path) == other


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_etag_nothing_is_joined(server: FileServer, tmp_path: Path, etag: str) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[400_000], etag=etag)
    assert download(url, tmp_path) == CONTENT
    assert server.ranges("/m.gguf") == [None, None]


def test_a_server_without_ranges_sends_it_all_again(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[400_000], ranges=False)
    assert download(url, tmp_path) == CONTENT


def test_a_partial_longer_than_the_file_is_begun_again(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[400_000] + [0] * 4)
    with pytest.raises(UpstreamError):
        download(url, tmp_path)
    with (tmp_path / "file.partial").open("ab") as partial:
        partial.write(b"x" * 600_000)
    server.files["/m.gguf"].cuts = []
    server.files["/m.gguf"].statuses = [416]
    assert download(url, tmp_path) == CONTENT


def test_a_busy_server_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, statuses=[503, 429, 500])
    assert download(url, tmp_path) == CONTENT


def test_after_five_tries_without_a_byte_it_gives_up_and_keeps_what_is_here(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT, cuts=[400_000] + [0] * 20)
    with pytest.raises(UpstreamError, match="after 5 tries") as caught:
        download(url, tmp_path)
    here = (tmp_path / "file.partial").stat().st_size
    assert 0 < here <= 400_000
    assert caught.value.hint is not None
    assert f"{here} bytes are here" in caught.value.hint
    assert (read_json(tmp_path / "journal.json") or {})["size"] == len(CONTENT)


def test_a_missing_file_is_not_asked_for_again(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="answered 404"):
        download(server.address + "/no.gguf", tmp_path)
    assert len(server.ranges("/no.gguf")) == 1


def test_a_login_page_is_no_model(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", b"<html>", content_type="text/html; charset=utf-8")
    with pytest.raises(UpstreamError, match="web page"):
        download(url, tmp_path)


def test_an_answer_without_its_length_comes_whole(server: FileServer, tmp_path: Path) -> None:
    assert download(server.add("/m.gguf", CONTENT, says_length=False), tmp_path) == CONTENT


def test_an_address_that_nobody_answers_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"`http://127.0.0.1:9/m.gguf` could not be downloaded") as caught:
        download("http://me:secret@127.0.0.1:9/m.gguf?sig=secret", tmp_path)
    assert "secret" not in caught.value.message


def test_what_is_still_needed_is_the_size_less_what_is_here(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/m.gguf", CONTENT)
    source = open_source(ModelFile(url, "m.gguf"), offline=False)
    assert source.needed(tmp_path) == len(CONTENT)
    (tmp_path / "file.partial").write_bytes(CONTENT[:1000])
    assert source.needed(tmp_path) == len(CONTENT) - 1000
    assert open_source(ModelFile(server.address + "/no", "m"), offline=False).needed(tmp_path / "x") is None


def test_offline_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"`https://x.example/m` is not on this machine") as caught:
        fetch(ModelFile("https://x.example/m", "m"), tmp_path, quiet, offline=True)
    assert caught.value.code == "offline"
    assert list(tmp_path.iterdir()) == []
