"""Real embeddings: passages of the documentation on this machine, embedded once and kept in the cache directory."""

from __future__ import annotations

import gzip
import html
import os
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "@edge/all-minilm-l6-v2"
DOCUMENTS = Path(os.environ.get("BENCH_DOCUMENTS", "/usr/share/doc"))
_SUFFIXES = (".html", ".txt", ".md", ".rst", ".txt.gz", ".html.gz", ".md.gz", ".gz")
_STEP = 2048


def cache_directory() -> Path:
    """Return where the matrix is kept."""
    return Path(os.environ.get("BENCH_CACHE", platformdirs.user_cache_path("edgecli-bench")))


def sentences() -> Iterator[str]:
    """Yield the sentences of 40 to 140 letters below `DOCUMENTS`, each once, in the order of the files' names."""
    seen: set[int] = set()
    for path in sorted(DOCUMENTS.rglob("*")):
        if not path.name.endswith(_SUFFIXES) or not path.is_file():
            continue
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read().decode("utf-8", "ignore")
        if ".html" in path.name:
            text = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", text, flags=re.S))
        for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", text):
            plain = " ".join(sentence.split())
            words = sum(char.isalpha() or char == " " for char in plain)
            digest = zlib.crc32(plain.encode())
            # Every fourth, by its own checksum, so that 100,000 of them come from all packages.
            fits = 40 <= len(plain) <= 140 and plain.isascii() and words > 0.85 * len(plain) and digest % 4 == 0
            if fits and not plain.endswith(("PASS:", "Passed.")) and digest not in seen:
                seen.add(digest)
                yield plain


def real_embeddings(count: int) -> NDArray[np.float32]:
    """Return up to `count` different embeddings `(n, 384)` of text; what is missing in the cache is added to it."""
    path = cache_directory() / "sentences.f32"
    path.parent.mkdir(parents=True, exist_ok=True)
    width = 384
    present = path.stat().st_size // (4 * width) if path.exists() else 0
    if present < count:
        engine = OnnxEmbedding(Store().get(Catalog.load().resolve(MODEL)).path)
        texts = islice(sentences(), present, count)
        with path.open("ab") as file:
            file.truncate(4 * width * present)
            while part := list(islice(texts, _STEP)):
                file.write(engine.embed(part).astype("<f4").tobytes())
                present += len(part)
                print(f"  embedded {present:,} sentences", flush=True)
    rows = np.fromfile(path, "<f4").reshape(-1, width)[:count]
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)]
