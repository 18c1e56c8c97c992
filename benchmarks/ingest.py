"""What an ingest costs beyond embedding, what a second run costs, and whether memory stays flat."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.corpus import write_files
from benchmarks.timing import report, run_once
from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.documents.chunk import chunk_document
from edgecli.documents.read import read_document
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store
from edgecli.rag.ingest import passage_text

EDGECLI = str(Path(sys.executable).with_name("edgecli"))
RUNS = 3


def new_project(root: Path) -> None:
    """Make (again) a project with an empty index."""
    shutil.rmtree(root / ".edgecli", ignore_errors=True)
    (root / "wrangler.toml").write_text('name = "bench"\n', encoding="utf-8")
    subprocess.run(
        [EDGECLI, "vectorize", "create", "docs", "--dimensions=384", "--metric=cosine"],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def passages(folder: Path) -> list[str]:
    """Return the texts that an ingest of the folder embeds, in its order."""
    engine = OnnxEmbedding(Store().get(Catalog.load().resolve("@edge/all-minilm-l6-v2")).path)
    texts: list[str] = []
    for path in sorted(folder.iterdir()):
        document = read_document(path, max_bytes=1 << 30)
        chunks = chunk_document(document, tokens=engine, chunk_tokens=200, overlap_tokens=40)
        texts += [passage_text(document.title, chunk) for chunk in chunks]
    return texts


def against_embedding(root: Path) -> tuple[float, int]:
    """Return the median ratio of an ingest to embedding alone, runs in turn, and the number of chunks."""
    write_files(root / "docs", 200, paragraphs_each=5)
    texts = passages(root / "docs")
    (root / "passages.json").write_text(json.dumps(texts), encoding="utf-8")
    ratios: list[float] = []
    for _ in range(RUNS):
        alone, _ = run_once([sys.executable, "-m", "benchmarks.embed_only", str(root / "passages.json")])
        new_project(root)
        whole, _ = run_once([EDGECLI, "ingest", "docs", "--index", "docs"], cwd=root)
        ratios.append(whole / alone)
    return statistics.median(ratios), len(texts)


def second_run(root: Path) -> float:
    """Return the seconds of work that a second run over 1,000 unchanged files reports."""
    shutil.rmtree(root / "docs")
    write_files(root / "docs", 1000, paragraphs_each=1)
    command = [EDGECLI, "ingest", "docs", "--index", "docs", "--json"]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    seconds: list[float] = []
    for _ in range(5):
        done = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
        assert done["unchanged"] == 1000, done
        seconds.append(done["seconds"])
    return statistics.median(seconds)


def peak_memory(root: Path, files: int) -> float:
    """Return the peak resident MiB of an ingest."""
    shutil.rmtree(root / "docs", ignore_errors=True)
    write_files(root / "docs", files, paragraphs_each=1)
    new_project(root)
    return run_once([EDGECLI, "ingest", "docs", "--index", "docs"], cwd=root)[1]


def main() -> bool:
    subprocess.run([EDGECLI, "models", "pull"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        root = Path(folder)
        ratio, chunks = against_embedding(root)
        again = second_run(root)
        small, large = peak_memory(root, 400), peak_memory(root, 2000)
    return report(
        "Ingest, whole processes",
        [
            (f"ingest / embedding alone, {chunks} chunks", ratio, "x", 1.15),
            ("second run over 1,000 unchanged files, its own work", again, " s", 1.0),
            ("peak memory, 400 files", small, " MiB", None),
            ("peak memory, 2,000 files", large, " MiB", 800.0),
            ("peak memory, 2,000 files / 400 files", large / small, "x", 1.1),
        ],
    )


if __name__ == "__main__":
    sys.exit(not main())
