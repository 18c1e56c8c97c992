"""The process of one embedding model."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO

from edgecli.ai.engines.embedding_loading import EmbeddingOptions, facts_of, load_engine
from edgecli.ai.engines.process.child import Answers, serve
from edgecli.ai.engines.process.frames import read_message

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine


def work(inside: BinaryIO, answers: Answers) -> None:
    """Load the model that the first message names, then embed until the other side ends."""
    first = read_message(inside)
    if first is None:
        return
    try:
        engine = load_engine(EmbeddingOptions(**first["options"]))
    except Exception as error:
        answers.error(first["id"], error)
        return
    answers.write([[first["id"], "loaded", facts_of(engine)]])
    # This thread only reads: it sees at once that the other side has gone.
    computing = ThreadPoolExecutor(1)
    while (message := read_message(inside)) is not None:
        computing.submit(_embed, engine, message, answers)
    os._exit(0)  # nobody waits for what still runs


def _embed(engine: EmbeddingEngine, message: dict[str, Any], answers: Answers) -> None:
    try:
        vectors = engine.embed(message["texts"], pooling=message["pooling"])
    except Exception as error:
        answers.error(message["id"], error)
    else:
        answers.write([[message["id"], "vectors", None]], vectors.astype("<f4", copy=False).tobytes())


if __name__ == "__main__":
    serve(work)
