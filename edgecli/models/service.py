"""What the commands and the API do with models. Slow steps run in threads, so that a server stays awake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.errors import NotFoundError, StateError
from edgecli.models.catalog import Catalog, task_of
from edgecli.models.schema import ModelSpec, PullProgress
from edgecli.models.store import Problem, Store
from edgecli.models.view import ModelView, spec_of_installed, view

if TYPE_CHECKING:
    from edgecli.config.project import Project


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of hashing one model's files again."""

    id: str
    files: int
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the API carries it."""
        return {"id": self.id, "ok": not self.problems, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did."""

    id: str
    freed: int
    """Bytes; files that other models hold stay."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the API carries it."""
        return asdict(self)


class ModelsService:
    """The models of one project: its catalog, and the store that it shares with all projects."""

    def __init__(self, catalog: Catalog, store: Store, *, offline: bool) -> None:
        self.catalog = catalog
        self.store = store
        self.offline = offline

    @classmethod
    def for_project(cls, project: Project) -> ModelsService:
        """Return the service with a project's own models and stand-ins."""
        origin = project.config_path.name if project.config_path else "project"
        catalog = Catalog.load(project.settings.models, origin=origin, folder=project.root)
        return cls(catalog, Store(), offline=project.settings.offline)

    def required(self, project: Project) -> list[ModelSpec]:
        """Return the models that the project's settings name, stand-ins applied."""
        names = (project.settings.embedding_model, project.settings.generation_model)
        return _distinct([self.catalog.resolve(name) for name in names])

    async def list(self, task: str | None = None, *, installed_only: bool = False) -> list[ModelView]:
        """Return the catalog's models, and those installed ones that only other projects define."""
        return await asyncio.to_thread(self._list, task, installed_only)

    async def search(self, text: str) -> list[ModelView]:
        """Return the models that hold every word of `text`."""
        return await asyncio.to_thread(lambda: [self._view(spec) for spec in self.catalog.search(text)])

    async def show(self, model_id: str) -> ModelView:
        """Return one model. Raises NotFoundError, code `model_not_found`."""
        return await asyncio.to_thread(lambda: self._view(self.catalog.resolve(model_id)))

    async def path(self, model_id: str) -> Path:
        """Return the folder of an installed model. Raises NotFoundError or StateError if it has none."""
        return await asyncio.to_thread(lambda: self.store.get(self.catalog.resolve(model_id)).path)

    async def pull(self, model_ids: Sequence[str], *, offline: bool = False) -> AsyncGenerator[PullProgress]:
        """Install models one after the other and yield each step; closing the iterator ends the pull.

        All ids are resolved before anything is fetched.
        """
        from edgecli.models.stream import stream

        specs = _distinct([self.catalog.resolve(model_id) for model_id in model_ids])
        steps = stream(specs, self.store, offline=offline or self.offline)
        try:
            async for step in steps:
                yield step
        finally:
            await steps.aclose()

    async def verify(self, model_ids: Sequence[str] | None = None) -> list[Verified]:
        """Hash the files of installed models again; all of them where no ids are given."""
        return await asyncio.to_thread(self._verify, model_ids)

    async def remove(self, model_id: str) -> Removed:
        """Delete the model of exactly this id: a stand-in is not followed, as other ids may use it."""
        return await asyncio.to_thread(self._remove, model_id)

    def _list(self, task: str | None, installed_only: bool) -> list[ModelView]:
        views = [self._view(spec) for spec in self.catalog.list(task)]
        known = set(self.catalog.ids())
        unknown = [model for model in self.store.installed() if model.id not in known]
        views.extend(view(spec_of_installed(model), model) for model in unknown)
        wanted = None if task is None else task_of(task).value
        return [each for each in views if (each.installed or not installed_only) and wanted in {None, each.task}]

    def _view(self, spec: ModelSpec) -> ModelView:
        try:
            return view(spec, self.store.get(spec))
        except NotFoundError:
            return view(spec, None)
        except StateError as damage:
            return view(spec, None, damage)

    def _verify(self, model_ids: Sequence[str] | None) -> list[Verified]:
        if model_ids is None:
            specs = [self._known(model.id) for model in self.store.installed()]
        else:
            specs = _distinct([self.catalog.resolve(model_id) for model_id in model_ids])
        outcomes: list[Verified] = []
        for spec in specs:
            problems = self.store.verify(spec)
            outcomes.append(Verified(spec.id, self.store.file_count(spec), problems))
        return outcomes

    def _remove(self, model_id: str) -> Removed:
        spec = self._known(model_id)
        try:
            return Removed(model_id, self.store.remove(spec))
        except NotFoundError as error:
            stand_in = self.catalog.stand_in(model_id)
            if stand_in is not None:
                error.hint = f"`{stand_in}` stands in for it: `edgecli models remove {stand_in}` deletes that one."
            raise

    def _known(self, model_id: str) -> ModelSpec:
        """Return the model itself; of one that only another project defines, what its folder says."""
        try:
            return self.catalog.own(model_id)
        except NotFoundError:
            for model in self.store.installed():
                if model.id == model_id:
                    return spec_of_installed(model)
            raise


def _distinct(specs: list[ModelSpec]) -> list[ModelSpec]:
    return list({spec.id: spec for spec in specs}.values())
