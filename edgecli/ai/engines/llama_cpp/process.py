"""A text generation model in a process of its own, as the server sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecli.ai.engines.free_memory import Memory
from edgecli.ai.engines.generation import EngineFacts, GenerationRequest, Piece
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.protocol import facts_from, piece_from
from edgecli.ai.engines.process.parent import ModelProcess, error_of
from edgecli.errors import EdgeError

LAST_WORD_SECONDS = 1.0
"""What a process that is about to be ended is given to say what it counted."""


class LlamaProcess(ModelProcess):
    """Generate text with a model that runs in a process of its own. Its methods belong to one event loop."""

    worker = "edgecli.ai.engines.llama_cpp.worker"
    if_it_dies = "set a smaller `[edgecli.generation] context` or `gpu_layers`"
    facts: EngineFacts
    counted: Mapping[str, Any]

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        """Use `start`."""
        super().__init__(process, name)
        self.counted = {}
        self._loaded = False

    @classmethod
    async def start(cls, options: LoadOptions) -> LlamaProcess:
        """Start a process and load the model in it. Raises EngineError if it cannot be loaded."""
        self = await cls.spawn(Path(options.path).name)
        self.facts = facts_from(await self.load(options))
        self._loaded = True
        return self

    @property
    def holds(self) -> frozenset[Memory]:
        """Where it takes memory, beyond some buffers."""
        layers, total = self.facts.gpu_layers
        return frozenset[Memory]({"gpu"} if layers == total else {"gpu", "machine"} if layers else {"machine"})

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece]:
        """Yield the answer piece by piece; closing the iterator ends the generation within one step.

        Raises what the engine raises, before the first piece or, if it fails later, between two.
        """
        over = False
        with self.listening() as (number, events):
            try:
                self.send({"do": "generate", "id": number, "request": request})
                while not over:
                    kind, value = await events.get()
                    if kind == "text":
                        yield Piece(value)
                        continue
                    over = kind == "error" or value["usage"] is not None
                    if kind == "error":
                        raise error_of(value)
                    yield piece_from(value)
            finally:
                if not over and self.alive:
                    self.send({"do": "cancel", "id": number})

    async def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        return await self.ask({"do": "count_prompt", "request": request})

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        return await self.ask({"do": "count_tokens", "texts": list(texts)})

    async def statistics(self) -> dict[str, Any]:
        """Return what the scheduler says of itself."""
        self.counted = counted = await self.ask({"do": "status"})
        return counted

    async def close(self) -> None:
        """Hear what it counted and end the process; its memory has been given back when this returns."""
        try:
            if self._loaded and self.alive:
                with contextlib.suppress(EdgeError, TimeoutError):
                    await asyncio.wait_for(self.statistics(), LAST_WORD_SECONDS)
        finally:
            await super().close()
