"""Query: three ways of searching, filters, and what must never be shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecli.app import app
from edgecli.cli import run
from edgecli.client import Client
from edgecli.config import load_project
from edgecli.errors import NotFoundError, UsageError
from edgecli.rag.schema import QueryRequest
from edgecli.rag.store import FileVersion
from tests.rag.conftest import INDEX, LIBRARY, Engines, Room, library

pytestmark = pytest.mark.models

MODES = ("hybrid", "vector", "keyword")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, engines: Engines) -> Iterator[Room]:
    room = library(tmp_path_factory.mktemp("query"), engines)
    yield room
    room.close()


def files(room: Room, text: str, **options: Any) -> list[str]:
    return [hit.file for hit in room.query(text, **options).hits]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_finds_the_passage_and_says_why(shelf: Room, mode: str) -> None:
    result = shelf.query("refund with receipt", mode=mode)
    best = result.hits[0]
    assert (result.mode, result.count, best.file) == (mode, len(result.hits), "docs/refunds.md")
    assert best.text == LIBRARY["refunds.md"][best.start : best.end]
    assert best.heading == "Refunds"
    assert best.metadata == {"year": 2024, "public": True, "team": "sales"}
    assert (best.vector_score is None) == (mode == "keyword")
    assert (best.keyword_score is None) == (mode == "vector")
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)


def test_hybrid_is_the_default(shelf: Room) -> None:
    assert shelf.query("refund").mode == "hybrid"


def test_meaning_is_found_without_the_words(shelf: Room) -> None:
    question = "sending back goods to get my money returned"
    assert "docs/refunds.md" not in files(shelf, question, mode="keyword")
    assert files(shelf, question, mode="vector")[0] == "docs/refunds.md"
    assert "docs/refunds.md" in files(shelf, question)


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
@pytest.mark.parametrize(
    ("question", "file"),
    [("怎么申请退款?", "docs/退款.md"), ("会议室怎么预约", "docs/会议.md"), ("收据", "docs/退款.md")],
)
def test_chinese_finds_chinese(shelf: Room, mode: str, question: str, file: str) -> None:
    assert files(shelf, question, mode=mode)[0] == file


def test_a_document_that_speaks_of_it_throughout_beats_a_lone_passage(tmp_path: Path, engines: Engines) -> None:
    room = Room(tmp_path, engines, "[edgecli.ingest]\nchunk_tokens = 32\nchunk_overlap = 0\n")
    room.create_index()
    room.file(
        "lone.md",
        "# Minutes\n\n"
        "The chairman said that the ferry to the island was cancelled because of the storm, and came late.\n\n"
        "Then the treasurer read out last year's accounts, and nobody had a question about any of the numbers.\n\n"
        "The choir will sing in May, and the hall must be painted before that by volunteers with their own brushes.\n",
    )
    room.file(
        "throughout.md",
        "# Travel\n\nIn a storm the ferry stays in the harbour, and passengers for the island wait in the hotel.\n\n"
        "A cancelled ferry to the island runs the next morning, as soon as the captain finds the sea calm enough.\n\n"
        "Tickets for the island ferry stay valid after a storm, and nobody has to pay for them a second time.\n",
    )
    assert room.ingest().added == 2
    question = "ferry to the island cancelled because of a storm"
    by_words, by_both = (room.query(question, mode=mode).hits[0].file for mode in ("keyword", "hybrid"))
    room.close()
    assert (by_words, by_both) == ("docs/lone.md", "docs/throughout.md")


@pytest.mark.parametrize("question", ["zq200x", "what does zq200x open?", "ZQ200X是什么", "cornflower"])
def test_the_one_place_that_holds_a_rare_name_leads(tmp_path: Path, engines: Engines, question: str) -> None:
    room = library(tmp_path, engines)
    room.file("codes.md", "# Workshop\n\nThe side door was painted in cornflower. Its badge is called zq200x.\n")
    for number in range(8):
        room.file(
            f"part-{number}.md", f"# zq{number}00y\n\nWhat does the zq-{number}00 open? The x200 opens a flower.\n"
        )
    room.ingest()
    by_vector = files(room, question, mode="vector")
    first = files(room, question)[0]
    elsewhere = files(room, question, filter={"team": "sales"})
    room.close()
    assert (first, elsewhere) == ("docs/codes.md", ["docs/refunds.md"])
    assert question == "cornflower" or by_vector[0] != first, "by meaning alone it is not the first"


def test_top_k_is_how_many(shelf: Room) -> None:
    assert len(files(shelf, "days", top_k=2)) == 2
    assert len(files(shelf, "days", mode="vector", top_k=100)) == len(LIBRARY)


def test_words_that_nobody_wrote_are_not_found(shelf: Room) -> None:
    assert files(shelf, "zeppelin", mode="keyword") == []
    assert files(shelf, "?!", mode="keyword") == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"year": 2024}, {"refunds", "退款"}),
        ({"year": {"$gte": 2022}}, {"refunds", "退款", "backup"}),
        ({"year": {"$gt": 2021, "$lt": 2024}}, {"backup"}),
        ({"public": False}, {"shipping"}),
        ({"team": {"$in": ["sales", "logistics"]}}, {"refunds", "shipping"}),
        ({"file": "docs/退款.md"}, {"退款"}),
        ({"year": 2024, "team": "sales"}, {"refunds"}),
        ({"year": 1999}, set[str]()),
    ],
)
def test_filters_mean_the_same_in_every_mode(
    shelf: Room, mode: str, condition: dict[str, Any], expected: set[str]
) -> None:
    everything = "refund days parcels database 退款 会议室"
    found = files(shelf, everything, mode=mode, filter=condition, top_k=50)
    assert {Path(file).stem for file in found} == expected


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_query_is_refused(shelf: Room, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.query(text)
    assert caught.value.code == "empty_query"


def test_an_unknown_index_names_the_nearest(shelf: Room) -> None:
    with pytest.raises(NotFoundError, match="hlep") as caught:
        shelf.run(shelf.runtime.retrieval.query(QueryRequest(query="x", index="hlep")))
    assert INDEX in (caught.value.hint or "")


def test_the_index_may_be_left_out_where_the_project_has_one(tmp_path: Path, engines: Engines) -> None:
    binding = f'[[vectorize]]\nbinding = "DOCS"\nindex_name = "{INDEX}"\n'
    room = library(tmp_path, engines, binding)
    for index in (None, "DOCS", INDEX):
        assert room.run(room.runtime.retrieval.query(QueryRequest(query="refund", index=index))).index == INDEX
    room.close()


def test_without_a_binding_an_index_must_be_named(shelf: Room) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.run(shelf.runtime.retrieval.query(QueryRequest(query="refund")))
    assert caught.value.code == "which_index"
    assert "--index" in (caught.value.hint or "")


@pytest.mark.parametrize("mode", MODES)
def test_a_document_that_is_being_removed_is_not_shown(tmp_path: Path, engines: Engines, mode: str) -> None:
    room = library(tmp_path, engines)
    known = room.run(room.runtime.rag_store.find_index(room.run(room.runtime.vectorize.uid(INDEX))))
    assert known is not None
    (dead,) = (row for row in room.documents() if row.version.path == "docs/refunds.md")
    room.run(room.runtime.rag_store.remove(known, [dead.doc_id]))
    assert room.run(room.runtime.vectorize.get_by_ids(INDEX, dead.chunk_ids())), "its vectors are still there"
    found = files(room, "refund within 30 days", mode=mode, top_k=4)
    assert "docs/refunds.md" not in found
    assert mode == "keyword" or len(found) == 4, "the next ones take its place"
    assert room.ingest().added == 1, "the file is still on disk"
    room.assert_in_step()
    room.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_document_that_is_being_written_is_not_shown(tmp_path: Path, engines: Engines, mode: str) -> None:
    room = library(tmp_path, engines)
    known = room.run(room.runtime.rag_store.find_index(room.run(room.runtime.vectorize.uid(INDEX))))
    assert known is not None
    version = FileVersion("docs/half.md", 1, 1, "hash", "print")
    room.run(room.runtime.rag_store.begin(known, [("half", 2, version)]))
    vector = room.run(engines.ai.embed("@edge/all-minilm-l6-v2", ["zeppelin"]))
    entry = {"docId": "half", "file": "docs/half.md", "text": "zeppelin"}
    room.run(room.runtime.vectorize.upsert_arrays(INDEX, ["half:0"], np.asarray(vector), [entry]))
    assert "docs/half.md" not in files(room, "zeppelin", mode=mode)
    assert room.ingest().unchanged == len(LIBRARY)
    room.assert_in_step()
    room.close()


def test_the_command_prints_what_the_api_returns(
    tmp_path: Path,
    engines: Engines,
    edgecli_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    library(tmp_path, engines).close()
    monkeypatch.setenv("EDGECLI_HOME", str(edgecli_home))
    monkeypatch.chdir(tmp_path)
    condition = {"year": {"$gte": 2022}}
    arguments = ["query", "退款 refund", "--index", INDEX, "--filter", json.dumps(condition), "--top-k", "3", "--json"]
    assert run(app, arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    body = {"query": "退款 refund", "index": INDEX, "filter": condition, "top_k": 3}
    with Client.connect(load_project(cwd=tmp_path, config=None, env=None)) as client:
        returned = client.call("POST", "/edge/query", json=body)
    assert printed.pop("timings").keys() == returned.pop("timings").keys()
    assert printed == returned
    assert printed["count"] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["query", "x", "--filter", '{"a":'], "bad_filter"),
        (["query", "x", "--filter", "[1]"], "bad_filter"),
        (["query", "x", "--mode", "magic"], "usage"),
        (["query", "   "], "empty_query"),
        (["rag", "ask", ""], "empty_query"),
    ],
)
def test_wrong_usage_says_what_is_right(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str
) -> None:
    del project
    assert run(app, [*arguments, "--index", INDEX, "--json"]) == 2
    streams = capsys.readouterr()
    error = json.loads(streams.err)["errors"][0]
    assert streams.out == ""
    assert error["edge"]["code"] == code
    assert error["edge"]["hint"]


def test_an_unknown_operator_is_named(shelf: Room) -> None:
    with pytest.raises(UsageError, match=r"\$near"):
        shelf.query("x", filter={"year": {"$near": 2024}})
