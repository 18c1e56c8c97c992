"""Files of vectors go into an index and come out of it, on the command line of a project with a running server."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Server

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]
EDGECLI = f"{shlex.quote(sys.executable)} -m edgecli"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("vectors")
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    server = Server(root, tmp_path_factory.mktemp("home"))
    yield server
    server.end()


@pytest.fixture
def index(server: Server, request: pytest.FixtureRequest) -> str:
    """A new index with three dimensions, named after the test."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")[:60].lower()
    made = server.command("vectorize", "create", name, "--dimensions=3", "--metric=euclidean")
    assert made.returncode == 0, made.stderr
    return name


def shell(server: Server, line: str) -> Done:
    """Run a line of a shell in the project, with `edgecli` as a command."""
    return subprocess.run(
        ["/bin/bash", "-c", f'edgecli() {{ {EDGECLI} "$@"; }}; {line}'],
        cwd=server.root,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fill(server: Server, name: str, rows: Sequence[Any]) -> Path:
    file = server.root / f"{name}.ndjson"
    text = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text(text + "\n", encoding="utf-8")
    return file


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"v{number}", "values": [number, 0, 0]} | more


def held(server: Server, name: str) -> int:
    return json.loads(server.command("vectorize", "info", name, "--json").stdout)["vectorCount"]


def test_a_file_is_sent_in_batches(server: Server, index: str) -> None:
    file = fill(server, index, [row(number) for number in range(5)])
    done = server.command("vectorize", "upsert", index, "--file", file.name, "--batch-size", "2")
    assert (done.returncode, done.stdout) == (0, "")
    lines = [re.sub(r"[0-9a-f-]{36}$", "ID", line) for line in done.stderr.splitlines()]
    assert lines == [
        *[
            f"✨ Enqueued {n} vectors into index '{index}' for upsertion. Mutation changeset identifier: ID"
            for n in (2, 2, 1)
        ],
        f"✅ Successfully enqueued 5 vectors into index '{index}' for upsertion.",
    ]
    again = server.command("vectorize", "upsert", index, "--file", file.name, "--json")
    assert (json.loads(again.stdout), again.stderr) == ({"index": index, "count": 5}, "")
    assert held(server, index) == 5


def test_insert_keeps_what_is_there(server: Server, index: str) -> None:
    assert server.command("vectorize", "upsert", index, "--file", fill(server, index, [row(1)]).name).returncode == 0
    file = fill(server, index, [row(1, values=[9, 9, 9]), row(2)])
    done = server.command("vectorize", "insert", index, "--file", file.name, "--deprecated-v1")
    assert "✅ Successfully enqueued 2 vectors" in done.stderr
    assert "for insertion" in done.stderr
    found = server.command("vectorize", "get-vectors", index, "--ids", "v1", "v2", "v3", "--json")
    assert [vector["values"] for vector in json.loads(found.stdout)] == [[1, 0, 0], [2, 0, 0]]
    assert f"`{index}` does not hold `v3`" in found.stderr


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(4, values=[1, 2]), 'was refused: invalid vector for id="v4", expected 3 dimensions, and got 2 dimensions'),
        ('{"id": "v4", "values": [4, 0', "is no JSON: "),
        ("[4, 0, 0]", "is no JSON object"),
    ],
)
@pytest.mark.slow
def test_a_bad_line_is_named_and_the_way_on_works(server: Server, index: str, bad: Any, said: str) -> None:
    # Lines 2 and 3 are the first batch, 5 and 6 the second, 7 and 8 the third.
    rows = ["", row(0), row(1), "", row(2), row(3), bad, row(5)]
    file = fill(server, index, rows)
    done = server.command("vectorize", "upsert", index, "--file", file.name, "--batch-size", "2")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"error: Line 7 of `{file.name}` {said}")
    assert "The 4 vectors before line 7 were written." in hint
    assert held(server, index) == 4
    as_json = server.command("vectorize", "upsert", index, "--file", file.name, "--batch-size=4", "--json")
    assert (as_json.returncode, as_json.stdout) == (2, "")
    details = json.loads(as_json.stderr)["errors"][0]["edge"]["details"]
    assert {"file": file.name, "line": 7, "written": 4, "next_line": 7}.items() <= details.items()
    fill(server, index, [*rows[:6], row(4), row(5)])
    commands = re.findall(r"`([^`]+)`", hint)
    went_on = shell(server, commands[-1])
    assert went_on.returncode == 0, went_on.stderr
    assert held(server, index) == 6


def test_the_first_batch_is_refused(server: Server, index: str) -> None:
    file = fill(server, index, [row(1), row(2, values=["x", 0, 0])])
    done = server.command("vectorize", "upsert", index, "--file", file.name)
    assert done.returncode == 2
    assert f"error: Line 2 of `{file.name}` was refused" in done.stderr
    assert "hint: Correct the line. Nothing was written." in done.stderr


def test_ids_that_come_twice_are_told(server: Server, index: str) -> None:
    file = fill(server, index, [row(0), row(1), row(1, values=[7, 0, 0])])
    done = server.command("vectorize", "upsert", index, "--file", file.name, "--json")
    assert json.loads(done.stdout)["count"] == 3
    said = f"warning: Lines 1 to 3 of `{file.name}`: 1 of 3 rows share an id; the last of each was kept.\n"
    assert done.stderr == said
    assert held(server, index) == 2


def test_standard_input_is_read(server: Server, index: str) -> None:
    file = fill(server, index, [row(1), row(2)])
    done = shell(server, f"cat {file.name} | edgecli vectorize upsert {index} --file - --json")
    assert json.loads(done.stdout)["count"] == 2
    packed = shell(server, f"gzip -c {file.name} | edgecli vectorize upsert {index} --file -")
    assert packed.returncode == 2
    assert f"hint: Unpack it: `gunzip -c | edgecli vectorize upsert {index} --file -`." in packed.stderr


@pytest.mark.slow
def test_wrong_calls(server: Server, index: str) -> None:
    file = fill(server, index, [row(1)]).name
    for arguments, code, message in [
        (["upsert", index, "--file", "none.ndjson"], 3, "🚨 Cannot read invalid or empty file: none.ndjson."),
        (["upsert", index, "--file", file, "--batch-size", "5001"], 2, "--batch-size is 1 to 5000, not 5001"),
        (["insert", index, "--file", file, "--batchSize=0"], 2, "--batch-size is 1 to 5000, not 0"),
        (["upsert", index[:-1], "--file", file], 3, f"Did you mean `{index}`?"),
        (["upsert", index], 2, "--file"),
        (["get-vectors", index], 2, "--ids"),
        (["query", index, "--vector", "1", "0", "0", "--top-k", "0"], 2, "Ask for at least one match"),
        (["query", index, "--vector", "1", "0", "0", "--top-k", "101"], 2, "Ask for fewer matches"),
        (["list-vectors", index, "--count", "1001"], 2, "count is 1 to 1000, not 1001"),
        (["create-metadata-index", index, "--property-name", "$p", "--type", "string"], 2, "error: `$p` begins with"),
        (["import", "--file", file], 2, "is no export of an index"),
        (["import", "--file", "none.ndjson"], 3, "🚨 Cannot read invalid or empty file: none.ndjson."),
    ]:
        done = server.command("vectorize", *arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr
        assert "hint: " in done.stderr


def test_vectors_are_deleted(server: Server, index: str) -> None:
    file = fill(server, index, [row(number) for number in range(4)])
    assert server.command("vectorize", "upsert", index, "--file", file.name).returncode == 0
    done = server.command("vectorize", "delete-vectors", index, "--ids", "v0", "v2", "none")
    assert f"✅ Successfully enqueued 3 vectors into index '{index}' for deletion." in done.stderr
    assert held(server, index) == 2
    found = server.command("vectorize", "get-vectors", index, "--ids=v0")
    assert (found.returncode, found.stdout) == (0, "")
    assert "does not hold `v0`" in found.stderr


@pytest.mark.slow
def test_vectors_are_listed_page_by_page(server: Server, index: str) -> None:
    empty = server.command("vectorize", "list-vectors", index)
    assert "No vectors found in this index." in empty.stderr
    file = fill(server, index, [row(number) for number in range(3)])
    assert server.command("vectorize", "upsert", index, "--file", file.name).returncode == 0
    first = server.command("vectorize", "list-vectors", index, "--count", "2")
    assert first.stdout.splitlines() == ["#  Vector ID", "1  v0", "2  v1"]
    assert "Showing 2 of 3 total vectors" in first.stderr
    following = first.stderr.splitlines()[-1].strip()
    second = shell(server, following)
    assert second.stdout.splitlines() == ["#  Vector ID", "1  v2"]
    assert "next page" not in second.stderr
    page = json.loads(server.command("vectorize", "list-vectors", index, "--json").stdout)
    assert (page["count"], page["totalCount"], page["isTruncated"]) == (3, 3, False)


def test_metadata_indexes_come_and_go(server: Server, index: str) -> None:
    none = server.command("vectorize", "list-metadata-index", index)
    assert (none.returncode, none.stdout) == (0, "")
    assert "has no metadata index" in none.stderr
    wrong = server.command("vectorize", "create-metadata-index", index, "--propertyName", "a", "--type", "date")
    assert wrong.returncode == 2
    assert "hint: Choose string, number, boolean." in wrong.stderr
    for name, kind in [("a.b", "number"), ("类别", "string")]:
        made = server.command("vectorize", "create-metadata-index", index, "--property-name", name, "--type", kind)
        assert "✅ Successfully enqueued metadata index creation request." in made.stderr
    listed = server.command("vectorize", "list-metadata-index", index)
    assert listed.stdout.splitlines() == ["propertyName  type", "a.b           number", "类别          string"]
    gone = server.command("vectorize", "delete-metadata-index", index, "--propertyName=a.b")
    assert "✅ Successfully enqueued metadata index deletion request." in gone.stderr
    left = server.command("vectorize", "list-metadata-index", index, "--json")
    assert json.loads(left.stdout) == [{"propertyName": "类别", "indexType": "string"}]


def full_index(server: Server, index: str) -> list[dict[str, Any]]:
    rows = [
        {"id": "a", "values": [0.1, 1e-45, -3.4e38], "metadata": {"deep": {"ok": [True, None, "文"]}, "n": 2**53 + 1}},
        {"id": "文档", "values": [1, 2, 3], "namespace": "n s"},
        {"id": "c\u2028", "values": [58.8, 0, 0], "metadata": {}},
    ]
    assert (
        server.command("vectorize", "create-metadata-index", index, "--property-name=n", "--type=number").returncode
        == 0
    )
    assert server.command("vectorize", "upsert", index, "--file", fill(server, index, rows).name).returncode == 0
    return rows


@pytest.mark.slow
def test_an_export_comes_back_whole(server: Server, index: str) -> None:
    full_index(server, index)
    out = server.command("vectorize", "export", index)
    assert out.returncode == 0, out.stderr
    file = server.root / "backup.ndjson"
    done = server.command("vectorize", "export", index, "--file", file.name)
    assert done.stderr == f"✓ `{index}`: 3 vectors in `{file.name}`.\n"
    assert file.read_text(encoding="utf-8") == out.stdout
    assert not list(server.root.glob(".*.part"))
    refused = server.command("vectorize", "import", "--file", file.name)
    assert refused.returncode == 2
    assert f"The index `{index}` holds 3 vectors already." in refused.stderr
    made = server.command("vectorize", "import", "copy", "--file", file.name)
    assert made.returncode == 0, made.stderr
    assert "✓ `copy`: 3 vectors imported" in made.stderr
    copied = server.command("vectorize", "export", "copy").stdout
    assert copied == out.stdout.replace(f'"name":"{index}"', '"name":"copy"')
    piped = shell(server, f"edgecli vectorize export {index} | edgecli vectorize import copy --into --file - --json")
    assert json.loads(piped.stdout) == {"index": "copy", "count": 3}
    plain = server.command("vectorize", "upsert", "copy", "--file", file.name)
    assert plain.returncode == 2
    assert "was written by `edgecli vectorize export`" in plain.stderr


def test_an_export_without_an_index_makes_no_file(server: Server) -> None:
    done = server.command("vectorize", "export", "nothing", "--file", "nothing.ndjson")
    assert done.returncode == 3
    assert not (server.root / "nothing.ndjson").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_an_export_onto_a_full_disk_ends_with_7(server: Server, index: str) -> None:
    done = server.command("vectorize", "export", index, "--file", "/dev/full")
    assert (done.returncode, "No space left" in done.stderr) == (7, True)


@pytest.mark.slow
def test_an_import_makes_the_index_and_goes_on(server: Server, index: str) -> None:
    config = {"dimensions": 3, "metric": "dot-product"}
    properties = [{"propertyName": "n", "indexType": "number"}]
    header = {"index": {"name": "made", "description": "文", "config": config, "metadataIndexes": properties}}
    rows = [header, row(1), row(2, values=[1])]
    file = fill(server, "made", rows)
    done = server.command("vectorize", "import", "--file", file.name)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: Line 3 of `{file.name}` was refused")
    assert hint == "hint: Correct the line. Nothing was written."
    fill(server, "made", [*rows[:2], row(2)])
    again = server.command("vectorize", "import", "--file", file.name)
    assert again.returncode == 0, again.stderr
    assert f"✓ `made`: 2 vectors imported from `{file.name}`." in again.stderr
    shown = json.loads(server.command("vectorize", "get", "made", "--json").stdout)
    assert (shown["description"], shown["config"]) == ("文", config)
    assert json.loads(server.command("vectorize", "list-metadata-index", "made", "--json").stdout) == properties
    other = server.command("vectorize", "import", index, "--file", file.name)
    assert f"`{index}` keeps its metric euclidean" in other.stderr
    refused = server.command("vectorize", "import", index, "--file", file.name)
    assert f"The index `{index}` holds 2 vectors already." in refused.stderr
    assert server.command("vectorize", "import", index, "--file", file.name, "--into").returncode == 0
    assert held(server, index) == 2


def test_an_export_that_was_cut_is_noticed(server: Server, index: str) -> None:
    header = {"index": {"name": index, "config": {"dimensions": 3, "metric": "euclidean"}, "vectorCount": 3}}
    file = fill(server, f"{index}-cut", [header, row(1), row(2)])
    done = server.command("vectorize", "import", "--file", file.name)
    assert done.returncode == 1
    assert f"error: `{file.name}` holds 2 of the 3 vectors of its index." in done.stderr
    assert held(server, index) == 2


def test_an_import_of_another_size_is_refused(server: Server, index: str) -> None:
    header = {"index": {"name": index, "config": {"dimensions": 2, "metric": "cosine"}, "metadataIndexes": []}}
    file = fill(server, f"{index}-other", [header, {"id": "a", "values": [1, 2]}])
    done = server.command("vectorize", "import", "--file", file.name)
    assert done.returncode == 2
    assert f"The index `{index}` has 3 dimensions, the export 2." in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes like these")
def test_the_reader_of_an_export_may_leave(server: Server, index: str) -> None:
    file = fill(server, index, [row(number, metadata={"text": "x" * 200}) for number in range(5000)])
    assert server.command("vectorize", "upsert", index, "--file", file.name).returncode == 0
    done = shell(server, f"edgecli vectorize export {index} | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert json.loads(done.stdout)["index"]["name"] == index
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_an_index_is_verified_and_compacted(server: Server, index: str) -> None:
    full_index(server, index)
    done = server.command("vectorize", "verify", index)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [["index", "vectors", "state"], [index, "3", "ok"]]
    as_json = json.loads(server.command("vectorize", "verify", index, "--json").stdout)
    assert as_json == {"ok": True, "indexes": [{"name": index, "vectors": 3, "problems": []}]}
    compacted = server.command("vectorize", "compact", index)
    assert re.fullmatch(
        rf"✓ `{index}`: 3 vectors\. All indexes took \S+ \S+ of the disk and take \S+ \S+ now\.\n", compacted.stderr
    )
    assert held(server, index) == 3


def test_an_index_moves_to_a_known_place_only(server: Server, index: str) -> None:
    done = server.command("vectorize", "migrate", index, "--to", "moon")
    assert done.returncode == 2
    assert "hint: Give --to server or --to local." in done.stderr
