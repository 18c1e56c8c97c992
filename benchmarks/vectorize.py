"""Vectorize through HTTP beside bare Chroma in this process: writes, queries, recall, filters, and their growth.

Both get the same batches and queries in turn. Bare Chroma has its default graph, in the cosine space. `BENCH_VECTORS`
sets the largest size (100000; with 10000 it takes two minutes), `BENCH_QUERIES` the number of queries of each kind,
`BENCH_SETS` the vectors: `random`, `real` (embedded once, which takes 15 minutes for 100,000), or both.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from benchmarks.passages import real_embeddings
from benchmarks.timing import report

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

WIDTH = 384
LARGEST = int(os.environ.get("BENCH_VECTORS", "100000"))
SIZES = [size for size in (1_000, 10_000, 100_000) if size < LARGEST] + [LARGEST]
QUERIES = int(os.environ.get("BENCH_QUERIES", "100"))
SETS = os.environ.get("BENCH_SETS", "random,real").split(",")
BATCH = 500
NEAREST = 10
SELECTIVITIES = (0.001, 0.01, 0.1, 0.5)
STEPS = 1000
"""Each vector has a number `u` below this in its metadata, drawn evenly."""

Row = tuple[str, float, str, float | None]


class Ours:
    """An index of a server on this machine, through one connection that is kept."""

    def __init__(self, address: str, name: str) -> None:
        self._base = f"/client/v4/accounts/local/vectorize/v2/indexes/{name}"
        self._connection = http.client.HTTPConnection(address.removeprefix("http://"))
        self._call(
            "", {"name": name, "config": {"dimensions": WIDTH, "metric": "cosine"}}, base=Path(self._base).parent
        )

    def _call(self, path: str, body: Any, *, base: Path | None = None) -> Any:
        data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            found = self._send(f"{base or self._base}{path}", data)
        except (BrokenPipeError, http.client.RemoteDisconnected):
            # The server closes a connection that rested for some seconds.
            self._connection.close()
            found = self._send(f"{base or self._base}{path}", data)
        if not found["success"]:
            raise SystemExit(f"{path}: {found['errors']}")
        return found["result"]

    def _send(self, path: str, body: bytes) -> Any:
        self._connection.request("POST", path, body, {"content-type": "application/json"})
        return orjson.loads(self._connection.getresponse().read())

    def upsert(self, ids: list[str], values: Matrix, metadata: list[dict[str, int]]) -> None:
        rows = zip(ids, values, metadata, strict=True)
        self._call("/upsert", {"vectors": [{"id": id_, "values": row, "metadata": item} for id_, row, item in rows]})

    def query(self, vector: NDArray[np.float32], below: int | None = None) -> list[str]:
        wanted = {} if below is None else {"filter": {"u": {"$lt": below}}}
        return [each["id"] for each in self._call("/query", {"vector": vector, "topK": NEAREST, **wanted})["matches"]]


class Bare:
    """A collection of Chroma in this process."""

    def __init__(self, folder: Path, name: str) -> None:
        import chromadb
        from chromadb.config import Settings

        client: Any = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
        self._rows = client.create_collection(
            name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def upsert(self, ids: list[str], values: Matrix, metadata: list[dict[str, int]]) -> None:
        self._rows.upsert(ids=ids, embeddings=values, metadatas=metadata)

    def query(self, vector: NDArray[np.float32], below: int | None = None) -> list[str]:
        where = None if below is None else {"u": {"$lt": below}}
        return self._rows.query(query_embeddings=vector[None, :], n_results=NEAREST, where=where, include=[])["ids"][0]


@contextmanager
def server() -> Iterator[str]:
    """Run `edgecli serve` on a new project and give its address."""
    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        (Path(folder) / "wrangler.toml").write_text(
            'name = "bench"\n[edgecli.server]\nlog = "none"\n', encoding="utf-8"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "edgecli", "serve", "--port", "0", "--json", "--no-warm"],
            cwd=folder,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            os.kill(process.pid, signal.SIGINT)
            process.wait(timeout=60)


def nearest(rows: Matrix, queries: Matrix) -> list[set[str]]:
    """Return the ids of the nearest by brute force in float64; rows and queries have the length 1."""
    found: list[set[str]] = []
    for query in queries.astype(np.float64):
        scores = np.concatenate(
            [part.astype(np.float64) @ query for part in np.array_split(rows, len(rows) // 5000 + 1)]
        )
        found.append({str(place) for place in np.argpartition(-scores, NEAREST)[:NEAREST]})
    return found


def in_turn(
    calls: dict[str, Callable[[NDArray[np.float32]], list[str]]], queries: Matrix
) -> tuple[dict[str, list[float]], dict[str, list[list[str]]]]:
    """Return the seconds and the answers of the calls, all of them on each query; the first five warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    answers: dict[str, list[list[str]]] = {name: [] for name in calls}
    for number, query in enumerate([*queries[:5], *queries]):
        for name, call in calls.items():
            started = time.perf_counter()
            answer = call(query)
            if number >= 5:
                seconds[name].append(time.perf_counter() - started)
                answers[name].append(answer)
    return seconds, answers


def fill(ours: Ours, bare: Bare, rows: Matrix, start: int, u: NDArray[np.int64]) -> tuple[float, float]:
    """Write the rows from `start` on into both, batch by batch in turn; return the rates in rows a second."""
    spent = [0.0, 0.0]
    for number, low in enumerate(range(start, len(rows), BATCH)):
        ids = [str(place) for place in range(low, min(low + BATCH, len(rows)))]
        values, metadata = rows[low : low + BATCH], [{"u": int(each)} for each in u[low : low + BATCH]]
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            (ours, bare)[which].upsert(ids, values, metadata)
            spent[which] += time.perf_counter() - started
    return (len(rows) - start) / spent[0], (len(rows) - start) / spent[1]


def measure(title: str, rows: Matrix, queries: Matrix, least_recall: float) -> bool:
    """Grow both through the sizes and report; all of `rows` and `queries` have the length 1."""
    u = np.random.default_rng(1).integers(0, STEPS, len(rows))
    names = {part: f"{part:g} of the rows" for part in SELECTIVITIES}
    met = True
    with server() as address, tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        ours, bare = Ours(address, "bench"), Bare(Path(folder), "bench")
        done, rates = 0, []
        for size in [*(size for size in SIZES if size < len(rows)), len(rows)]:
            rates.append((size - done, *fill(ours, bare, rows[:size], done, u)))
            done = size
            seconds, found = in_turn({"ours": ours.query, "bare": bare.query}, queries)
            filtered, _ = in_turn(
                {"all": ours.query}
                | {
                    names[part]: lambda query, part=part: ours.query(query, int(part * STEPS)) for part in SELECTIVITIES
                },
                queries,
            )
            theirs, _ = in_turn(
                {names[part]: lambda query, part=part: bare.query(query, int(part * STEPS)) for part in SELECTIVITIES},
                queries[:5],
            )
            truth = nearest(rows[:size], queries)
            recall = {
                name: sum(len(one & set(got)) for one, got in zip(truth, lists, strict=True)) / (NEAREST * len(truth))
                for name, lists in found.items()
            }
            median = {name: 1000 * statistics.median(each) for name, each in seconds.items()}
            slowest = {name: 1000 * float(np.quantile(each, 0.99)) for name, each in seconds.items()}
            whole = statistics.median(filtered["all"])
            lines: list[Row] = [
                ("upserts a second, ours", rates[-1][1], "", None),
                ("upserts a second, bare Chroma", rates[-1][2], "", None),
                ("query p50 through HTTP", median["ours"], " ms", None),
                ("query p50, bare Chroma in process", median["bare"], " ms", None),
                ("query p50, ours - bare Chroma", median["ours"] - median["bare"], " ms", 2.0),
                ("query p99 through HTTP", slowest["ours"], " ms", None),
                ("query p99, bare Chroma in process", slowest["bare"], " ms", None),
                ("1 - recall@10, ours", 1 - recall["ours"], "", 1 - least_recall),
                ("1 - recall@10, bare Chroma", 1 - recall["bare"], "", None),
            ]
            for name in names.values():
                lines.append((f"filtered / unfiltered, {name}", statistics.median(filtered[name]) / whole, "x", 3.0))
                lines.append(("  the same, bare Chroma, ms", 1000 * statistics.median(theirs[name]), " ms", None))
            met &= report(f"Vectorize, {title}, {size:,} vectors; load {os.getloadavg()[0]:.1f}", lines)
            sys.stdout.flush()
        mine, peers = (
            sum(count / rate for count, *both in rates for rate in both[which : which + 1]) for which in (0, 1)
        )
        return (
            report(
                f"Vectorize, {title}, all {len(rows):,} upserts in batches of {BATCH}",
                [("time, ours / bare Chroma", mine / peers, "x", 1 / 0.8)],
            )
            and met
        )


def main() -> bool:
    met = True
    if "random" in SETS:
        random = np.random.default_rng(0).standard_normal((LARGEST + QUERIES, WIDTH)).astype(np.float32)
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        met &= measure("random", random[:LARGEST], random[LARGEST:], 0.95)
    if "real" in SETS:
        real = real_embeddings(LARGEST + QUERIES)
        met &= measure("real embeddings", real[:-QUERIES], real[-QUERIES:], 0.99)
    return met


if __name__ == "__main__":
    sys.exit(not main())
