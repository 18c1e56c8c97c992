"""The one place that builds services from a Project."""

from __future__ import annotations

import secrets
import threading
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from edgecli.errors import ConfigError
from edgecli.state import State

if TYPE_CHECKING:
    from edgecli.ai.batch import BatchQueue
    from edgecli.ai.service import AiService
    from edgecli.config.project import Project
    from edgecli.d1.service import D1Service
    from edgecli.kv.service import KvService
    from edgecli.models.service import ModelsService
    from edgecli.r2.service import R2Service
    from edgecli.rag.answer import AnswerService
    from edgecli.rag.ingest import IngestService
    from edgecli.rag.retrieve import RetrievalService
    from edgecli.rag.store import RagStore
    from edgecli.vectorize.service import VectorizeService
    from edgecli.workers.running import Workers


class Runtime:
    """The services of one project, each built when it is first needed."""

    def __init__(self, project: Project, *, verbose: bool = False, serving: bool = False) -> None:
        """`serving` is for a process that lives long: each model has a process of its own then."""
        self.project = project
        self.settings = project.settings
        self.verbose = verbose
        self.serving = serving
        self.token = secrets.token_urlsafe(24)
        self.ending = threading.Event()
        """To be set, from any thread, when the call is given up: nothing is waited for any longer."""
        self._state: State | None = None

    @property
    def state(self) -> State:
        """The project's state, owned by this process from now on.

        Raises ConfigError, code `no_config`, outside a project; StateError if another process owns it.
        """
        if self._state is None:
            if self.project.config_path is None:
                raise ConfigError(
                    f"No wrangler.toml, wrangler.json or wrangler.jsonc in `{self.project.root}` or above it.",
                    hint="`edgecli init` starts a project; an empty `wrangler.toml` is enough for one.",
                    code="no_config",
                )
            state = State(self.project.state_dir)
            state.acquire(give_up=self.ending)
            self._state = state
        return self._state

    @cached_property
    def models(self) -> ModelsService:
        from edgecli.models.service import ModelsService

        return ModelsService.for_project(self.project)

    @cached_property
    def ai(self) -> AiService:
        from edgecli.ai.service import AiService

        return AiService(self.models, self.settings, verbose=self.verbose, serving=self.serving)

    @cached_property
    def batches(self) -> BatchQueue:
        from edgecli.ai.batch import BatchQueue

        return BatchQueue(self.ai.run)

    @cached_property
    def vectorize(self) -> VectorizeService:
        from edgecli.vectorize.service import VectorizeService

        service = VectorizeService(self.state.paths.vectorize, self.settings)
        service.on_delete = self._forget_index
        return service

    async def _forget_index(self, uid: str) -> None:
        """Leave no word of a deleted index's documents behind."""
        await self.rag_store.forget_index(uid)

    @cached_property
    def kv(self) -> KvService:
        from edgecli.kv.service import KvService

        return KvService(self.state.paths.kv)

    @cached_property
    def r2(self) -> R2Service:
        from edgecli.r2.service import R2Service

        return R2Service(self.state.paths.r2)

    @cached_property
    def d1(self) -> D1Service:
        from edgecli.d1.service import D1Service

        return D1Service(self.state.paths.d1, seconds=self.settings.workers.stall_timeout)

    @cached_property
    def rag_store(self) -> RagStore:
        from edgecli.rag.store import RagStore

        return RagStore(self.state.database)

    @cached_property
    def ingest(self) -> IngestService:
        from edgecli.rag.ingest import IngestService

        return IngestService(self.project, self.ai, self.vectorize, self.rag_store)

    @cached_property
    def retrieval(self) -> RetrievalService:
        from edgecli.rag.retrieve import RetrievalService

        return RetrievalService(self.project, self.ai, self.vectorize, self.rag_store)

    @cached_property
    def answers(self) -> AnswerService:
        from edgecli.rag.answer import AnswerService

        return AnswerService(self.project, self.ai, self.retrieval)

    @cached_property
    def workers(self) -> Workers:
        from edgecli.workers.running import Workers

        return Workers()

    async def close(self) -> None:
        """End the engines, close the stores, give the state back; in the event loop that used them."""
        built = self.__dict__
        # Each is closed even if the one before it fails; the last in is the first out.
        async with AsyncExitStack() as stack:
            stack.callback(self._give_back)
            for name in ("kv", "r2", "d1", "vectorize", "ai", "batches"):
                if name in built:
                    stack.push_async_callback(built.pop(name).close)

    def _give_back(self) -> None:
        if self._state is not None:
            state, self._state = self._state, None
            state.close()
