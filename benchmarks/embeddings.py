"""The ONNX engine beside sentence-transformers: start, speed, memory and agreement, from one run."""

from __future__ import annotations

import statistics
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.corpus import paragraphs
from benchmarks.timing import interleaved, report
from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store

MODEL = "@edge/all-minilm-l6-v2"
TEXTS = 300
ROUNDS = 3

START = """
from pathlib import Path
from edgecli.ai.engines.{module} import {engine}
{engine}(Path({folder!r})).embed(["How do refunds work?"])
"""


def main() -> bool:
    folder = Store().get(Catalog.load().resolve(MODEL)).path
    return all([_start(folder), _speed(folder)])


def _start(folder: Path) -> bool:
    def command(module: str, engine: str) -> list[str]:
        return [sys.executable, "-c", START.format(module=module, engine=engine, folder=str(folder))]

    timings = interleaved(
        {
            "import": [sys.executable, "-c", "import sentence_transformers"],
            "onnx": command("onnx", "OnnxEmbedding"),
            "reference": command("sentence_transformers", "SentenceTransformersEmbedding"),
        },
        runs=5,
    )
    onnx, reference = timings["onnx"], timings["reference"]
    return report(
        "Embeddings: a process that embeds one question",
        [
            ("import sentence_transformers", timings["import"].median, " s", None),
            ("sentence-transformers", reference.median, " s", None),
            ("ONNX Runtime", onnx.median, " s", None),
            (
                "ONNX Runtime / import sentence_transformers",
                onnx.median / timings["import"].median,
                "x",
                0.25,
            ),
            ("peak memory, ONNX Runtime", statistics.median(onnx.peak_mib), " MiB", None),
            (
                "peak memory, ONNX Runtime / sentence-transformers",
                statistics.median(onnx.peak_mib) / statistics.median(reference.peak_mib),
                "x",
                0.5,
            ),
        ],
    )


def _speed(folder: Path) -> bool:
    engines = {
        "onnx": OnnxEmbedding(folder),
        "reference": SentenceTransformersEmbedding(folder, device="cpu"),
    }
    texts = list(islice(paragraphs(), TEXTS))
    tokens = sum(min(count, engines["onnx"].max_tokens) for count in engines["onnx"].count_tokens(texts))
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    vectors = {name: engine.embed(texts[:8]) for name, engine in engines.items()}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            started = time.perf_counter()
            vectors[name] = engine.embed(texts)
            seconds[name].append(time.perf_counter() - started)
    onnx, reference = (statistics.median(seconds[name]) for name in ("onnx", "reference"))
    cosine = float(np.min((vectors["onnx"] * vectors["reference"]).sum(axis=1)))
    return report(
        f"Embeddings: {TEXTS} paragraphs, {tokens} tokens",
        [
            ("ONNX Runtime, tokens a second", tokens / onnx, "", None),
            ("sentence-transformers, tokens a second", tokens / reference, "", None),
            ("time, ONNX Runtime / sentence-transformers", onnx / reference, "x", 1.1),
            ("1 - smallest cosine between the two", 1 - cosine, "", 0.001),
        ],
    )


if __name__ == "__main__":
    sys.exit(not main())
