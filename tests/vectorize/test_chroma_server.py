"""Indexes on a Chroma server: what others write shows, errors say what to do, indexes move there and back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from edgecli.config.settings import Settings
from edgecli.errors import ConfigError, EdgeError, NotFoundError, UpstreamError, UsageError
from edgecli.vectorize.chroma import Chroma
from edgecli.vectorize.schema import QueryRequest
from tests.vectorize.conftest import Life, place_on

ROWS: list[dict[str, Any]] = [
    {"id": f"v{number}", "values": [number, 0.1], "namespace": "文" if number % 2 else None, "metadata": {"n": number}}
    for number in range(40)
]


@pytest.fixture
def place(chroma_server: str) -> dict[str, str]:
    return place_on(chroma_server)


@pytest.fixture
def other(life: Life, tmp_path: Path) -> Iterator[Life]:
    """Another edgecli on the same server."""
    other = Life(tmp_path / "other", life.place)
    yield other
    other.end()


def ids(life: Life) -> list[str]:
    found = life(life.service.query("shared", QueryRequest(vector=[0.0, 0.0], top_k=100)))
    return [match.id for match in found.matches]


def test_what_another_edgecli_writes_shows_within_a_second(life: Life, other: Life) -> None:
    life(life.service.create("shared", 2, "euclidean"))
    life(life.service.upsert("shared", ROWS[:3]))
    assert ids(other) == ["v0", "v1", "v2"]
    mutation = other(other.service.upsert("shared", ROWS[2:5])).mutation_id
    time.sleep(1.1)
    assert ids(life) == ["v0", "v1", "v2", "v3", "v4"]
    info = life(life.service.info("shared"))
    assert (info.vector_count, info.processed_up_to_mutation) == (5, mutation)
    assert info.processed_up_to_datetime is not None
    # A write looks first: what is stored since is known to `insert`.
    other(other.service.upsert("shared", [{"id": "v9", "values": [9, 9]}]))
    life(life.service.insert("shared", [{"id": "v9", "values": [1, 1]}]))
    assert life(life.service.get_by_ids("shared", ["v9"]))[0].values == [9.0, 9.0]
    with pytest.raises(EdgeError, match="duplicate_name"):
        other(other.service.create("shared", 2, "cosine"))
    other(other.service.delete("shared"))
    with pytest.raises(NotFoundError):
        life(life.service.upsert("shared", ROWS[:1]))


@pytest.mark.slow
def test_a_write_whose_note_another_has_written_over_shows_all_the_same(
    life: Life, other: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life(life.service.create("shared", 2, "euclidean"))
    life(life.service.upsert("shared", ROWS[:1]))
    assert ids(other) == ["v0"]
    find: Any = vars(Chroma)["_find"]

    def meanwhile(chroma: Chroma, uid: str) -> Any:
        found = find(chroma, uid)
        monkeypatch.setattr(Chroma, "_find", find)
        other(other.service.upsert("shared", ROWS[1:2]))
        return found

    monkeypatch.setattr(Chroma, "_find", meanwhile)
    life(life.service.upsert("shared", ROWS[2:3]))
    deadline = time.monotonic() + 30
    while not ids(life) == ids(other) == ["v0", "v1", "v2"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def error_of(life: Life, **values: str) -> EdgeError:
    life.place = life.place | values
    life.reopen()
    with pytest.raises(EdgeError) as caught:
        life(life.service.list())
    assert life.place["url"] in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_server_that_does_not_answer_is_named(life: Life) -> None:
    error = error_of(life, url="http://127.0.0.1:9")
    assert isinstance(error, UpstreamError)
    assert error.code == "chroma_unreachable"
    assert "chroma run" in (error.hint or "")


@pytest.mark.parametrize("kind", ["tenant", "database"])
def test_what_the_server_does_not_have_is_named(life: Life, kind: str) -> None:
    error = error_of(life, **{kind: "nobody"})
    assert isinstance(error, ConfigError)
    assert error.code == f"chroma_{kind}"
    assert "`nobody`" in error.message


@pytest.fixture
def guard(chroma_server: str) -> Iterator[Callable[[str], str]]:
    """Start a proxy that lets only one token through, or, without one, answers like no Chroma at all."""
    servers: list[ThreadingHTTPServer] = []

    def start(token: str) -> str:
        class Guard(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, text = 404, b"nothing here"
                if token:
                    status, text = 401, b'{"error":"AuthError","message":"no"}'
                    if self.headers["Authorization"] == f"Bearer {token}":
                        kind = {"Content-Type": "application/json"}
                        got = httpx2.request(self.command, chroma_server + self.path, content=body, headers=kind)
                        status, text = got.status_code, got.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Guard))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_token_is_sent_and_a_wrong_one_is_told_but_not_shown(life: Life, guard: Callable[[str], str]) -> None:
    url = guard("right-token")
    life.place = life.place | {"url": url, "token": "right-token"}
    life.reopen()
    life(life.service.create("shared", 2, "euclidean"))
    life(life.service.upsert("shared", ROWS[:2]))
    assert ids(life) == ["v0", "v1"]
    error = error_of(life, token="wrong-token")
    assert isinstance(error, ConfigError)
    assert error.code == "chroma_token"
    assert "EDGECLI_VECTORIZE_TOKEN" in (error.hint or "")
    assert "wrong-token" not in json.dumps(error.to_dict())


def test_what_is_no_chroma_server_is_told(life: Life, guard: Callable[[str], str]) -> None:
    assert error_of(life, url=guard("")).code == "chroma_version"


def test_a_server_cannot_be_compacted_from_here(life: Life) -> None:
    life(life.service.create("shared", 2, "euclidean"))
    with pytest.raises(UsageError, match="server"):
        life(life.service.compact("shared"))


def test_verify_mends_what_others_broke_on_the_server(life: Life) -> None:
    import chromadb

    life(life.service.create("shared", 2, "euclidean"))
    life(life.service.upsert("shared", ROWS))
    client: Any = chromadb.HttpClient(life.place["url"], database=life.place["database"])
    (collection,) = client.list_collections()
    collection.delete(ids=["v3"])
    collection.update(ids=["v4"], embeddings=[[7.0, 7.0]])
    report = life(life.service.verify("shared", repair=False))
    assert [each.where for each in report.indexes[0].problems] == ["chroma", "chroma"]
    life.reopen()
    assert life(life.service.verify("shared", repair=True)).ok
    assert life(life.service.verify("shared", repair=False)).indexes[0].problems == []
    life.remove("mirror")
    assert sorted(ids(life)) == sorted(str(row["id"]) for row in ROWS)
    assert life(life.service.get_by_ids("shared", ["v4"]))[0].values == pytest.approx([4.0, 0.1])


def test_an_index_moves_to_the_server_and_back(life: Life) -> None:
    place, life.place = life.place, {}
    life.reopen()
    life(life.service.create("shared", 2, "euclidean", description="两处"))
    life(life.service.upsert("shared", ROWS))
    life(life.service.delete_by_ids("shared", ["v3"]))
    with pytest.raises(ConfigError, match="No Chroma server"):
        life(life.service.migrate("shared", "server"))

    def seen() -> list[Any]:
        service = life.service
        vectors = [vector.to_wire() for vector in life(service.get_by_ids("shared", [row["id"] for row in ROWS]))]
        return [life(service.get("shared")), life(service.uid("shared")), life(service.info("shared")), vectors]

    before = seen()
    life.place = place
    life.reopen()
    assert life(life.service.list()) == []
    moved = life(life.service.migrate("shared", "server"))
    assert moved.vectors == len(ROWS) - 1
    assert place["url"] in moved.target
    assert seen() == before
    life.remove("mirror-")
    assert seen()[-1] == before[-1]
    with pytest.raises(UsageError, match="there already"):
        life(life.service.migrate("shared", "server"))
    with pytest.raises(NotFoundError):
        life(life.service.migrate("nobody", "server"))
    life(life.service.migrate("shared", "local"))
    assert life(life.service.list()) == []
    life.place = {}
    life.reopen()
    assert seen() == before


def test_what_waits_moves_with_its_index(life: Life) -> None:
    place, life.place = life.place, {}
    late = Settings()
    late = replace(late, vectorize=replace(late.vectorize, simulate_delay="1h"))
    life.reopen(late)
    life(life.service.create("shared", 2, "euclidean"))
    life(life.service.upsert("shared", ROWS[:2]))
    life.place = place
    life.reopen()  # what waits for a local index stays where it is
    life.reopen(late)
    life(life.service.migrate("shared", "server"))
    assert ids(life) == ["v0", "v1"]
    life(life.service.upsert("shared", ROWS[2:4]))
    life(life.service.migrate("shared", "local"))
    life.place = {}
    life.reopen()
    assert ids(life) == ["v0", "v1", "v2", "v3"]


def test_an_index_does_not_move_onto_another_of_its_name(life: Life) -> None:
    life(life.service.create("shared", 2, "euclidean"))
    place, life.place = life.place, {}
    life.reopen()
    life(life.service.create("shared", 2, "cosine"))
    life.place = place
    life.reopen()
    with pytest.raises(EdgeError, match="duplicate_name"):
        life(life.service.migrate("shared", "server"))
