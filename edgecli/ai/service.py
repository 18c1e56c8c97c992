"""Workers AI: run a model on inputs. Engines are loaded at first use and stay until `close`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgecli.ai.choice import check_task, load_embedding, load_generation, not_available
from edgecli.ai.hosting import EngineHost
from edgecli.models.schema import InstalledModel, ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine, Vectors
    from edgecli.ai.engines.generation import GenerationEngine, GenerationRequest, Piece
    from edgecli.config.settings import Settings


class Catalog(Protocol):
    """Where ids become models."""

    def resolve(self, model_id: str) -> ModelSpec:
        """Return the model that runs for an id, stand-ins followed. Raises NotFoundError."""
        ...


class Store(Protocol):
    """Where the models' files lie."""

    def get(self, spec: ModelSpec) -> InstalledModel:
        """Return an installed model. Raises NotFoundError, code `model_not_pulled`."""
        ...


class Models(Protocol):
    """What the AI service needs of the models' room."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def store(self) -> Store: ...


class AiService:
    """Run models of one project. Its methods belong to one event loop."""

    def __init__(self, models: Models, settings: Settings, *, verbose: bool = False) -> None:
        self._models = models
        self.settings = settings
        self._generation: dict[str, EngineHost[GenerationEngine]] = {}
        self._embedding: dict[str, EngineHost[EmbeddingEngine]] = {}
        if verbose:
            from edgecli.ai.engines.gguf_model import show_messages

            show_messages()

    def spec(self, model: str) -> ModelSpec:
        """Return the model that runs for an id, stand-ins followed. Raises NotFoundError."""
        return self._models.catalog.resolve(model)

    async def run(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run a model and return Workers AI's `result`.

        Raises UsageError for inputs that do not fit the task, NotFoundError for a model that is unknown or
        not pulled, EngineError if it cannot run.
        """
        spec = self.spec(model)
        if spec.task is Task.TEXT_GENERATION:
            return await self._generate_whole(spec, inputs)
        if spec.task is Task.TEXT_EMBEDDINGS:
            return await self._embed_inputs(spec, inputs)
        raise not_available(spec)

    async def _generate_whole(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
        from edgecli.ai.tasks import text_generation

        texts: list[str] = []
        async with aclosing(self._pieces(spec, inputs)) as pieces:
            async for piece in pieces:
                texts.append(piece.text)
                if piece.usage is not None:
                    return text_generation.result("".join(texts), piece.usage)
        raise AssertionError("an engine ended an answer without its usage")

    async def _embed_inputs(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
        from edgecli.ai.tasks import text_embeddings

        checked = text_embeddings.read_input(inputs)
        host = self._embedding_host(spec)
        vectors = await host.call(lambda engine: engine.embed(checked.text, pooling=checked.pooling))
        engine = await host.engine()
        return text_embeddings.result(vectors, checked.pooling or engine.pooling)

    async def stream(self, model: str, inputs: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of a text generation as on the wire: `{"response": "…"}`, the last with `usage`.

        Closing the iterator ends the generation within one token. Raises as `run` does, before the first.
        """
        from edgecli.ai.tasks import text_generation

        spec = self.spec(model)
        check_task(spec, Task.TEXT_GENERATION)
        async with aclosing(self._pieces(spec, inputs)) as pieces:
            async for piece in pieces:
                if piece.text:
                    yield text_generation.text_event(piece.text)
                if piece.usage is not None:
                    yield text_generation.last_event(piece.usage)

    async def _pieces(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> AsyncGenerator[Piece]:
        request = self._request(inputs)
        pieces = self._generation_host(spec).iterate(lambda engine, cancelled: engine.generate(request, cancelled))
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def embed(self, model: str, texts: Sequence[str], pooling: str | None = None) -> Vectors:
        """Return one vector a text, `(n, d)` float32. However many texts; an empty one is allowed."""
        host = self._embedding_host(self.spec(model))
        return await host.call(lambda engine: engine.embed(texts, pooling=pooling))

    async def embedding_engine(self, model: str) -> EmbeddingEngine:
        """Return the engine of an embedding model, loaded: for its dimensions, limits and token offsets."""
        return await self._embedding_host(self.spec(model)).engine()

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the tokens of a model of either task."""
        spec = self.spec(model)
        if spec.task is Task.TEXT_EMBEDDINGS:
            engine = await self._embedding_host(spec).engine()
            return await asyncio.to_thread(engine.count_tokens, texts)
        generation = await self._generation_host(spec).engine()
        return await asyncio.to_thread(generation.count_tokens, texts)

    async def count_prompt(self, model: str, inputs: Mapping[str, Any]) -> int:
        """Return how many tokens a text generation's prompt has, the chat template's own included."""
        engine = await self._generation_host(self.spec(model)).engine()
        return await asyncio.to_thread(engine.count_prompt, self._request(inputs))

    def _request(self, inputs: Mapping[str, Any]) -> GenerationRequest:
        from edgecli.ai.tasks import text_generation

        wanted = self.settings.generation
        return text_generation.to_request(
            text_generation.read_input(inputs), max_tokens=wanted.max_tokens, temperature=wanted.temperature
        )

    async def warm(self, model: str) -> dict[str, Any]:
        """Load a model now and return what `describe` says of it."""
        spec = self.spec(model)
        host = self._generation_host(spec) if spec.task is Task.TEXT_GENERATION else self._embedding_host(spec)
        await host.engine()
        return self.describe(model)

    def describe(self, model: str) -> dict[str, Any]:
        """Return what is known of a model: its id, task and engine, and where it runs if it is loaded."""
        return self._describe(self.spec(model))

    def loaded(self) -> list[dict[str, Any]]:
        """Return what `describe` says of each loaded model."""
        hosts = [*self._generation.items(), *self._embedding.items()]
        return [self._describe(self.spec(model)) for model, host in hosts if host.loaded is not None]

    def _describe(self, spec: ModelSpec) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "id": spec.id,
            "name": spec.display_name,
            "task": str(spec.task),
            "engine": spec.engine,
            "loaded": False,
            "device": None,
            "layers": None,
            "context": spec.context,
        }
        if spec.id in self._generation and (generation := self._generation[spec.id].loaded) is not None:
            layers = dict(zip(("gpu", "total"), generation.gpu_layers, strict=True))
            facts |= {"engine": generation.name, "device": generation.device, "loaded": True}
            facts |= {"layers": layers, "context": generation.context}
        if spec.id in self._embedding and (embedding := self._embedding[spec.id].loaded) is not None:
            facts |= {"engine": embedding.name, "device": embedding.device, "loaded": True}
            facts |= {"context": embedding.max_tokens, "dimensions": embedding.dimensions}
        return facts

    def _generation_host(self, spec: ModelSpec) -> EngineHost[GenerationEngine]:
        check_task(spec, Task.TEXT_GENERATION)
        return self._host(self._generation, spec, load_generation)

    def _embedding_host(self, spec: ModelSpec) -> EngineHost[EmbeddingEngine]:
        check_task(spec, Task.TEXT_EMBEDDINGS)
        return self._host(self._embedding, spec, load_embedding)

    def _host(
        self,
        hosts: dict[str, EngineHost[Any]],
        spec: ModelSpec,
        load: Callable[[ModelSpec, Path, Settings], Any],
    ) -> EngineHost[Any]:
        if spec.id not in hosts:
            # The files are looked for at load time: a model that was missing may have been pulled since.
            hosts[spec.id] = EngineHost(partial(self._load, spec, load), name=spec.id.rsplit("/", 1)[-1])
        return hosts[spec.id]

    def _load(self, spec: ModelSpec, load: Callable[[ModelSpec, Path, Settings], Any]) -> Any:
        return load(spec, self._models.store.get(spec).path, self.settings)

    async def close(self) -> None:
        """End all engines and their threads."""
        hosts = [*self._generation.values(), *self._embedding.values()]
        self._generation.clear()
        self._embedding.clear()
        for host in hosts:
            await host.close()
