"""The names that the API knows: models and indexes, for checks and for completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecli.errors import EdgeError, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from edgecli.client import Client

GENERATION = "Text Generation"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can chat."""

    id: str
    stand_in: str | None
    """The model that runs in its place, where the project says so."""
    context: int | None
    """Tokens that it was trained for, where the catalog knows."""
    installed: bool

    @property
    def shown(self) -> str:
        """The id, with the stand-in that runs in its place."""
        return f"{self.id} (stand-in: {self.stand_in})" if self.stand_in else self.id


class Lookup:
    """Ask the API for names, and remember them for completion."""

    def __init__(self, client: Client, bindings: Mapping[str, str]) -> None:
        self._client = client
        self._bindings = bindings
        """The project's bindings, each with its index."""
        self._models: dict[str, ModelInfo] | None = None
        self._indexes: list[str] | None = None

    def models(self, *, fresh: bool = False) -> dict[str, ModelInfo]:
        """Return the models for text generation by id, those on this machine first."""
        if self._models is None or fresh:
            found = self._client.call("GET", "/edge/models", params={"task": GENERATION})
            models = [
                ModelInfo(model["id"], model.get("stand_in"), model.get("context"), bool(model.get("installed")))
                for model in found
            ]
            models.sort(key=lambda model: (not model.installed, model.id))
            self._models = {model.id: model for model in models}
        return self._models

    def indexes(self, *, fresh: bool = False) -> list[str]:
        """Return the names of the indexes."""
        if self._indexes is None or fresh:
            found = self._client.call("GET", "/client/v4/accounts/local/vectorize/v2/indexes")
            self._indexes = sorted(index["name"] for index in found)
        return self._indexes

    def find_model(self, name: str) -> ModelInfo:
        """Return what is known of a model.

        Raises NotFoundError, with the nearest names, if no model for text generation has this id.
        """
        models = self.models(fresh=True)
        if name not in models:
            raise NotFoundError(
                f"There is no text generation model `{name}`.",
                hint=did_you_mean(name, models) or "`edgecli models list` shows the models.",
                code="unknown_model",
            )
        return models[name]

    def find_index(self, name: str) -> str:
        """Return the index of this name or binding.

        Raises NotFoundError, with the nearest names, if there is none.
        """
        index = self._bindings.get(name, name)
        known = self.indexes(fresh=True)
        if index in known:
            return index
        if known:
            hint = did_you_mean(index, known) or "The indexes are " + ", ".join(f"`{one}`" for one in known) + "."
        else:
            hint = f"`edgecli ingest DIR --index {index}` makes it from a folder of documents."
        raise NotFoundError(f"There is no index `{index}`.", hint=hint, code="unknown_index")

    def context(self, name: str) -> int | None:
        """Return the tokens of prompt and answer together: as the model runs, or as the catalog says."""
        facts = self._client.call("GET", "/edge/ai/describe", params={"model": name})
        return facts.get("context")

    def shown(self, name: str) -> str:
        """Return a model's id with its stand-in, if the API knows of one."""
        try:
            known = self.models().get(name)
        except EdgeError:
            # Only a name is to be shown here; the first question reports what is wrong.
            self._models = {}
            return name
        return known.shown if known else name
