"""The peer of `edgecli ingest`: load the same engine, embed the same passages, and do nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store
from edgecli.rag.ingest import BATCH_CHUNKS


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    model = Store().get(Catalog.load().resolve("@edge/all-minilm-l6-v2"))
    engine = OnnxEmbedding(model.path)
    for start in range(0, len(texts), BATCH_CHUNKS):
        engine.embed(texts[start : start + BATCH_CHUNKS])


if __name__ == "__main__":
    main()
