"""What one `edgecli query` costs: cold, against importing sentence-transformers alone; and warm, through the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.corpus import write_files
from benchmarks.timing import interleaved, report

EDGECLI = str(Path(sys.executable).with_name("edgecli"))
QUERY = [EDGECLI, "query", "how does a generator resume", "--index", "docs", "--top-k", "5", "--json"]


@contextmanager
def project_with_chunks(files: int, paragraphs_each: int) -> Iterator[Path]:
    """A project whose index `docs` holds the chunks of some files."""
    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        root = Path(folder)
        (root / "wrangler.toml").write_text('name = "bench"\n', encoding="utf-8")
        write_files(root / "docs", files, paragraphs_each=paragraphs_each)
        for arguments in (
            ["models", "pull"],
            ["vectorize", "create", "docs", "--dimensions=384", "--metric=cosine"],
            ["ingest", "docs", "--index", "docs"],
        ):
            subprocess.run([EDGECLI, *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL)
        yield root


@contextmanager
def server(root: Path) -> Iterator[None]:
    """A running `edgecli serve`, ready and warm."""
    process = subprocess.Popen(
        [EDGECLI, "serve", "--port", "0", "--json"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        subprocess.run(QUERY, cwd=root, check=True, stdout=subprocess.DEVNULL)
        yield
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.wait(timeout=30)


def main() -> bool:
    with project_with_chunks(files=170, paragraphs_each=6) as root:
        count = json.loads(
            subprocess.run(
                [EDGECLI, "vectorize", "info", "docs", "--json"], cwd=root, check=True, capture_output=True
            ).stdout
        )["vectorCount"]
        cold = interleaved(
            {"query": QUERY, "import": [sys.executable, "-c", "import sentence_transformers"]}, runs=7, cwd=root
        )
        with server(root):
            warm = interleaved({"query": QUERY, "bare": [sys.executable, "-c", "pass"]}, runs=15, cwd=root)
    return report(
        f"Query over {count} chunks, whole processes",
        [
            ("python -c 'import sentence_transformers'", cold["import"].median, " s", None),
            ("cold edgecli query", cold["query"].median, " s", None),
            (
                "cold edgecli query / import sentence_transformers",
                cold["query"].median / cold["import"].median,
                "x",
                0.35,
            ),
            ("warm edgecli query", warm["query"].median, " s", 0.25),
            ("warm edgecli query / python -c pass", warm["query"].median / warm["bare"].median, "x", None),
        ],
    )


if __name__ == "__main__":
    sys.exit(not main())
