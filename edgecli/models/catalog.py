"""The models that have a name: the shipped catalog, with a project's models and stand-ins laid over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from edgecli.errors import ConfigError, NotFoundError, did_you_mean
from edgecli.models.definition import spec_from_table
from edgecli.models.schema import WIRE_FORMS, ModelSpec, Task

# A model's table begins with its id alone on a line, so that one can be read without parsing the others:
# all of them take 20 ms, which a cold `query` does not have.
_HEADING = re.compile(r'^\["([^"]+)"\]$', re.MULTILINE)
_INHERITED = (
    "task",
    "engine",
    "files",
    "licence",
    "repository",
    "dimensions",
    "pooling",
    "capabilities",
    "defaults",
    "description",
)


@cache
def _shipped() -> dict[str, str]:
    """Return the text of each shipped model's table, by id."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {heading[1]: text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)}


@cache
def _shipped_table(model_id: str) -> dict[str, Any]:
    import tomli

    table = tomli.loads(_shipped()[model_id])
    source = table.pop("same_files_as", None)
    if source is None:
        return table
    shared = _shipped_table(source)
    return {key: shared[key] for key in _INHERITED if key in shared} | table


class Catalog:
    """Look models up by id, task or words."""

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]], *, origin: str, folder: Path | None) -> None:
        self._overrides = overrides
        self._origin = origin
        self._folder = folder

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        origin: str = "project",
        folder: Path | None = None,
    ) -> Catalog:
        """Return the catalog with a project's `[edgecli.models]` laid over it.

        An override with `use` lets another model stand in; any other one defines a model, or changes fields
        of a shipped one. `origin` names the config file in what users see; relative `file:` sources count
        from `folder`. Nothing is parsed before it is asked for.
        """
        return cls(overrides or {}, origin=origin, folder=folder)

    def ids(self) -> list[str]:
        """Return every id that resolves, the project's own first."""
        return list(dict.fromkeys([*self._overrides, *_shipped()]))

    def stand_in(self, model_id: str) -> str | None:
        """Return the id that the project lets stand in for `model_id`, if it does."""
        override = self._overrides.get(model_id)
        return None if override is None else override.get("use")

    def resolve(self, model_id: str) -> ModelSpec:
        """Return the model that runs when `model_id` is asked for; stand-ins are followed.

        Raises NotFoundError, code `model_not_found`; ConfigError if stand-ins form a circle or do
        another task, or if the project's definition is wrong.
        """
        chain = [model_id]
        while (target := self.stand_in(chain[-1])) is not None:
            self._check_stand_in(chain[-1])
            if target in chain:
                circle = " → ".join(f"`{each}`" for each in [*chain, target])
                raise ConfigError(
                    f"The stand-ins of models form a circle: {circle}.",
                    hint=f'Change `use` in [edgecli.models."{chain[-1]}"] to a model that runs itself.',
                    code="model_circle",
                )
            chain.append(target)
        spec = self._own(chain[-1], asked=model_id)
        if len(chain) == 1:
            return spec
        self._check_task(model_id, spec)
        return _spoken_to_as(model_id, spec)

    def own(self, model_id: str) -> ModelSpec:
        """Return the model of this id itself, whatever stands in for it. Raises as `resolve` does."""
        return self._own(model_id, asked=model_id)

    def check(self) -> None:
        """Resolve each model of the project. Raises ConfigError for the first that is wrong."""
        for model_id in self._overrides:
            try:
                self.resolve(model_id)
            except NotFoundError as error:
                raise ConfigError(
                    f'[edgecli.models."{model_id}"] in {self._origin}: {error.message}.',
                    hint=error.hint,
                    code="model_definition",
                ) from error

    def list(self, task: str | None = None) -> list[ModelSpec]:
        """Return all models, stand-ins applied; of one task if given (`text-embeddings`)."""
        wanted = None if task is None else task_of(task)
        specs = [self.resolve(model_id) for model_id in self.ids()]
        return [spec for spec in specs if wanted is None or spec.task is wanted]

    def search(self, text: str) -> list[ModelSpec]:
        """Return the models that hold every word of `text` in their id, task, repository or description."""
        words = text.lower().split()
        return [spec for spec in self.list() if all(word in _searchable(spec) for word in words)]

    def _own(self, model_id: str, *, asked: str) -> ModelSpec:
        override = self._overrides.get(model_id)
        shipped = _shipped_table(model_id) if model_id in _shipped() else None
        if override is not None and "use" not in override:
            return spec_from_table(model_id, {**(shipped or {}), **override}, origin=self._origin, folder=self._folder)
        if shipped is None:
            raise _not_found(model_id, self.ids(), asked=asked)
        return spec_from_table(model_id, shipped, origin="catalog")

    def _check_stand_in(self, model_id: str) -> None:
        override = self._overrides[model_id]
        if not isinstance(override["use"], str) or set(override) - {"use", "description"}:
            raise ConfigError(
                f'[edgecli.models."{model_id}"] in {self._origin}: `use` must be a model id, alone.',
                hint="Define fields on the model that stands in, or drop `use`.",
                code="model_definition",
            )

    def _check_task(self, model_id: str, spec: ModelSpec) -> None:
        if model_id not in _shipped():
            return
        task = _shipped_table(model_id)["task"]
        if task != spec.task:
            raise ConfigError(
                f"`{spec.id}` ({spec.task}) cannot stand in for `{model_id}` ({task}): the tasks differ.",
                hint=f'Set `use` in [edgecli.models."{model_id}"] to a {task} model: `edgecli models list`.',
                code="model_task",
            )


def _spoken_to_as(model_id: str, spec: ModelSpec) -> ModelSpec:
    """Return a stand-in with the wire form and the price of the model it stands for: its callers wrote for that."""
    if model_id not in _shipped():
        return replace(spec, requested_id=model_id)
    asked = spec_from_table(model_id, _shipped_table(model_id), origin="catalog")
    own = [each for each in spec.capabilities if each not in WIRE_FORMS]
    forms = [each for each in asked.capabilities if each in WIRE_FORMS]
    return replace(
        spec,
        requested_id=model_id,
        capabilities=(*own, *forms),
        defaults=asked.defaults,
        neurons_input=asked.neurons_input,
        neurons_output=asked.neurons_output,
        neurons_other=asked.neurons_other,
    )


def _not_found(model_id: str, known: list[str], *, asked: str) -> NotFoundError:
    where = "" if asked == model_id else f" (it is to stand in for {asked})"
    return NotFoundError(
        f"No such model {model_id} or task{where}",
        hint=did_you_mean(model_id, known)
        or "`edgecli models list` shows the models, `edgecli models search` finds one.",
        code="model_not_found",
        cf_code=5007,
        status=400,
    )


def task_of(text: str) -> Task:
    """Return the task of this name, however it is capitalised or joined. Raises NotFoundError."""

    def plain(name: str) -> str:
        return re.sub(r"[\s_-]+", "-", name.strip().lower())

    for task in Task:
        if plain(task) == plain(text):
            return task
    names = [plain(task) for task in Task]
    raise NotFoundError(
        f"No such task `{text}`.",
        hint=did_you_mean(plain(text), names) or "Tasks: " + ", ".join(names) + ".",
        code="task_not_found",
        cf_code=5007,
        status=400,
    )


def _searchable(spec: ModelSpec) -> str:
    parts = [spec.requested_id, spec.id, spec.task, spec.repository, spec.description, *spec.capabilities]
    return " ".join(part for part in parts if part).lower()
