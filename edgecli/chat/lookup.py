"""The names that the API knows: models and indexes, for checks and for completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecli.errors import NotFoundError, did_you_mean

if TYPE_CHECKING:
    from edgecli.client import Client

GENERATION = "Text Generation"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can chat."""

    id: str
    context: int | None
    """Tokens of prompt and answer together, where the API says."""


class Lookup:
    """Ask the API once for each list and remember it."""

    def __init__(self, client: Client, bindings: Mapping[str, str]) -> None:
        self._client = client
        self._bindings = bindings
        """The project's bindings, each with its index."""
        self._models: dict[str, ModelInfo] | None = None
        self._indexes: list[str] | None = None

    def models(self) -> dict[str, ModelInfo]:
        """Return the models for text generation by id."""
        if self._models is None:
            found = self._client.call(
                "GET", "/client/v4/accounts/local/ai/models/search", params={"per_page": 1000}
            )
            self._models = {
                model["name"]: ModelInfo(model["name"], _context(model))
                for model in found
                if (model.get("task") or {}).get("name") == GENERATION
            }
        return self._models

    def indexes(self, *, fresh: bool = False) -> list[str]:
        """Return the names of the indexes."""
        if self._indexes is None or fresh:
            found = self._client.call("GET", "/client/v4/accounts/local/vectorize/v2/indexes")
            self._indexes = sorted(index["name"] for index in found)
        return self._indexes

    def check_model(self, name: str) -> None:
        """Raise NotFoundError, with the nearest names, if no model for text generation has this id."""
        if name not in self.models():
            raise NotFoundError(
                f"There is no text generation model `{name}`.",
                hint=did_you_mean(name, self.models()) or "`/model` lists the models.",
                code="unknown_model",
            )

    def find_index(self, name: str) -> str:
        """Return the index of this name or binding.

        Raises NotFoundError, with the nearest names, if there is none.
        """
        index = self._bindings.get(name, name)
        known = self.indexes(fresh=True)
        if index in known:
            return index
        if known:
            hint = (
                did_you_mean(index, known)
                or "The indexes are " + ", ".join(f"`{one}`" for one in known) + "."
            )
        else:
            hint = f"`edgecli ingest DIR --index {index}` makes it from a folder of documents."
        raise NotFoundError(f"There is no index `{index}`.", hint=hint, code="unknown_index")


def _context(model: dict[str, Any]) -> int | None:
    for entry in model.get("properties") or []:
        if entry.get("property_id") == "context_window":
            return int(entry["value"])
    return None
