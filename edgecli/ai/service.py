"""Workers AI: run a model on inputs. Engines are loaded at first use and stay for a while: see `pool.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from edgecli.ai.choice import check_task, load_embedding, load_generation, not_available
from edgecli.ai.describe import describe
from edgecli.ai.embedding_host import EmbeddingHost
from edgecli.ai.keep_alive import read_keep_alive
from edgecli.ai.limits import Limits
from edgecli.ai.pool import Entry, Pool
from edgecli.ai.totals import Totals
from edgecli.errors import EngineError
from edgecli.models.schema import InstalledModel, ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors
    from edgecli.ai.engines.generation import GenerationEngine, GenerationRequest, Piece
    from edgecli.ai.tasks.text_run import Generate, Outcome, TextRun
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

    def __init__(self, models: Models, settings: Settings, *, verbose: bool = False, serving: bool = False) -> None:
        """With `serving` embedding models run in processes of their own, too, which a single command needs not."""
        self._models = models
        self.settings = settings
        self._verbose = verbose
        self._serving = serving
        self._pool = Pool(settings.keep_alive)
        self.totals = Totals()
        wanted = settings.generation
        self.limits = Limits(slots=wanted.slots, queue=wanted.queue, seconds=wanted.timeout)

    def spec(self, model: str) -> ModelSpec:
        """Return the model that runs for an id, stand-ins followed. Raises NotFoundError."""
        return self._models.catalog.resolve(model)

    async def run(self, model: str, inputs: Mapping[str, Any]) -> Any:
        """Run a model and return Workers AI's `result`.

        Raises UsageError for inputs that do not fit the task, NotFoundError for a model that is unknown or
        not pulled, EngineError if it cannot run, LimitError if too many requests wait.
        """
        return (await self.answer(model, inputs)).result

    async def answer(self, model: str, inputs: Mapping[str, Any], *, waiting: bool = True) -> Outcome:
        """Return a model's `result`, and the messages that go with it. Raises as `run` does.

        Without `waiting` a text generation is refused unless it can run at once.
        """
        from edgecli.ai.tasks.text_run import Outcome

        spec = self.spec(model)
        if spec.task is Task.TEXT_GENERATION:
            return await self._text_run(spec, inputs).whole(self._generator(model, inputs, waiting))
        if spec.task is Task.TEXT_EMBEDDINGS:
            return Outcome(await self._embed_inputs(spec, inputs), [])
        raise not_available(spec)

    def _text_run(self, spec: ModelSpec, inputs: Mapping[str, Any], *, native: bool = False) -> TextRun:
        from edgecli.ai.tasks.text_request import defaults_of
        from edgecli.ai.tasks.text_run import TextRun

        check_task(spec, Task.TEXT_GENERATION)
        return TextRun.read(spec.requested_id or spec.id, inputs, defaults_of(spec, self.settings, native=native))

    def _generator(self, model: str, inputs: Mapping[str, Any], waiting: bool) -> Generate:
        keep_alive = read_keep_alive(inputs.get("keep_alive"))
        return lambda request: self.generate(model, request, keep_alive=keep_alive, waiting=waiting)

    async def _embed_inputs(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
        from edgecli.ai.tasks import text_embeddings

        checked = text_embeddings.read_input(inputs, spec.capabilities)
        texts = checked.texts(spec)
        keep_alive = read_keep_alive(checked.keep_alive)
        async with self._pool.use(self._embedding_entry(spec), keep_alive) as host:
            if checked.whole:
                lengths = await asyncio.to_thread(host.count_tokens, texts)
                text_embeddings.check_lengths(lengths, host.facts.max_tokens)
            vectors = await host.embed(texts, checked.pooling)
        return checked.result(vectors, checked.pooling or host.facts.pooling)

    async def stream(
        self, model: str, inputs: Mapping[str, Any], *, native: bool = True, waiting: bool = True
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of a text generation as on the wire; the last one has the `usage`.

        `native` events are Workers AI's own, `{"response": "…"}`, whichever form the model has on the wire.
        Closing the iterator ends the generation within one step. Raises as `answer` does, before the first.
        """
        run = self._text_run(self.spec(model), inputs, native=native)
        async with aclosing(run.stream(self._generator(model, inputs, waiting))) as events:
            async for event in events:
                yield event

    async def generate(
        self, model: str, request: GenerationRequest, *, keep_alive: float | None = None, waiting: bool = True
    ) -> AsyncGenerator[Piece]:
        """Yield an answer piece by piece, the last piece with reason and usage.

        Closing the iterator ends the generation within one step. Raises as `run` does, before the first piece;
        LimitError, code `timeout`, also later. `keep_alive` is how long the model stays after, in seconds; without
        `waiting` the request is refused unless it can run at once.
        """
        entry = self._generation_entry(self.spec(model))
        with self.limits.place(entry.spec.id, waiting=waiting) as deadline:
            async with (
                self._pool.use(entry, keep_alive) as engine,
                aclosing(engine.generate(request)) as pieces,
            ):
                while (piece := await deadline.wait_for(anext(pieces, None))) is not None:
                    yield piece

    async def embed(
        self, model: str, texts: Sequence[str], pooling: str | None = None, *, keep_alive: float | None = None
    ) -> Vectors:
        """Return one vector a text, `(n, d)` float32. However many texts; an empty one is allowed."""
        async with self._pool.use(self._embedding_entry(self.spec(model)), keep_alive) as host:
            return await host.embed(texts, pooling)

    async def embedding_model(self, model: str) -> EmbeddingHost:
        """Return an embedding model, loaded: for its dimensions and tokens, which it tells also when it has left."""
        async with self._pool.use(self._embedding_entry(self.spec(model))) as host:
            return host

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the tokens of a model of either task."""
        spec = self.spec(model)
        if spec.task is Task.TEXT_EMBEDDINGS:
            host = await self.embedding_model(model)
            return await asyncio.to_thread(host.count_tokens, texts)
        async with self._pool.use(self._generation_entry(spec)) as generation:
            return await generation.count_tokens(texts)

    async def count_prompt(self, model: str, asked: GenerationRequest | Mapping[str, Any]) -> int:
        """Return how many tokens a text generation's prompt has, the chat template's own included."""
        spec = self.spec(model)
        request = self._text_run(spec, asked, native=True).requests[0] if isinstance(asked, Mapping) else asked
        async with self._pool.use(self._generation_entry(spec)) as engine:
            return await engine.count_prompt(request)

    async def load(self, model: str, *, keep_alive: float | None = None) -> dict[str, Any]:
        """Load a model now and return what `describe` says of it. Raises as `run` does."""
        spec = self.spec(model)
        entries: dict[Task, Callable[[ModelSpec], Entry[Any]]] = {
            Task.TEXT_GENERATION: self._generation_entry,
            Task.TEXT_EMBEDDINGS: self._embedding_entry,
        }
        if spec.task not in entries:
            raise not_available(spec)
        async with self._pool.use(entries[spec.task](spec), keep_alive):
            pass
        return self.describe(model)

    async def unload(self, model: str) -> bool:
        """Unload a model, whoever uses it; tell whether it was loaded."""
        return await self._pool.unload(self.spec(model).id)

    def describe(self, model: str) -> dict[str, Any]:
        """Return what is known of a model: its id, task and engine, and where it runs if it is loaded."""
        spec = self.spec(model)
        return describe(spec, next((entry for entry in self._pool.loaded() if entry.spec.id == spec.id), None))

    async def loaded(self) -> list[dict[str, Any]]:
        """Return what `describe` says of each loaded model, and how busy it is."""
        found: list[dict[str, Any]] = []
        for entry in self._pool.loaded():
            facts = describe(entry.spec, entry)
            if entry.spec.task is Task.TEXT_GENERATION and (engine := entry.loaded) is not None:
                try:
                    facts["activity"] = await engine.statistics()
                except EngineError:  # it died, or was unloaded meanwhile
                    continue
            found.append(facts)
        return found

    def _generation_entry(self, spec: ModelSpec) -> Entry[GenerationEngine]:
        check_task(spec, Task.TEXT_GENERATION)
        return self._pool.entry(spec, partial(self._load_generation, spec))

    def _embedding_entry(self, spec: ModelSpec) -> Entry[EmbeddingHost]:
        check_task(spec, Task.TEXT_EMBEDDINGS)
        return self._pool.entry(spec, partial(self._load_embedding, spec))

    # The files are looked for at load time: a model that was missing may have been pulled since.

    async def _load_generation(self, spec: ModelSpec, whole: bool) -> GenerationEngine:
        path = self._models.store.get(spec).path
        engine = await load_generation(spec, path, self.settings, whole=whole, verbose=self._verbose)
        self.totals.begin(spec.id, engine)
        return engine

    async def _load_embedding(self, spec: ModelSpec, whole: bool) -> EmbeddingHost:
        path = self._models.store.get(spec).path
        return EmbeddingHost(await load_embedding(spec, path, self.settings, whole=whole, own_process=self._serving))

    async def close(self) -> None:
        """End all engines, their threads and processes."""
        await self._pool.close()
