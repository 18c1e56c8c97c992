"""A model as users and the API see it: what the catalog says, and whether it is on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgecli.errors import StateError
from edgecli.models.schema import InstalledModel, ModelSpec, Task
from edgecli.models.sources.address import redacted


@dataclass(frozen=True, slots=True)
class ModelView:
    """One row of `edgecli models list`, and the whole of `edgecli models show`."""

    id: str
    """The id that was asked for."""
    stand_in: str | None
    """The id that runs in its place, where the project says so."""
    task: str
    engine: str
    description: str
    repository: str | None
    licence: str | None
    context: int | None
    dimensions: int | None
    pooling: str | None
    query_prefix: str
    passage_prefix: str
    capabilities: list[str]
    neurons: dict[str, float]
    files: list[dict[str, Any]]
    """Source, name, hashes and size of each."""
    origin: str
    open_weights: bool
    """Whether there is a source to pull it from."""
    installed: bool
    size: int | None
    """Bytes on disk if installed, else bytes to download where they are known."""
    path: str | None
    pulled_at: str | None
    problem: str | None
    """What is wrong with the installed files, if anything is."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model as the API carries it."""
        return asdict(self)


def view(spec: ModelSpec, installed: InstalledModel | None, problem: StateError | None = None) -> ModelView:
    """Put together what the catalog and the store know."""
    prices = {"input": spec.neurons_input, "output": spec.neurons_output} | spec.neurons_other
    return ModelView(
        id=spec.requested_id or spec.id,
        stand_in=spec.id if spec.requested_id else None,
        task=spec.task.value,
        engine=spec.engine,
        description=spec.description,
        repository=spec.repository,
        licence=spec.licence,
        context=spec.context,
        dimensions=spec.dimensions,
        pooling=spec.pooling,
        query_prefix=spec.query_prefix,
        passage_prefix=spec.passage_prefix,
        capabilities=list(spec.capabilities),
        neurons={unit: price for unit, price in prices.items() if price is not None},
        files=[asdict(file) | {"source": redacted(file.source)} for file in spec.files],
        origin=spec.origin,
        open_weights=bool(spec.files),
        installed=installed is not None,
        size=installed.size if installed else spec.download_size,
        path=str(installed.path) if installed else None,
        pulled_at=installed.pulled_at if installed else None,
        problem=problem.message if problem else None,
    )


def spec_of_installed(model: InstalledModel) -> ModelSpec:
    """Return what can be said of a model that another project defined and this one does not know."""
    return ModelSpec(model.id, Task(model.task), model.engine, files=(), origin="another project")
