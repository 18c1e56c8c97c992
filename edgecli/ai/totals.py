"""What the text generation models of a server counted, those included that have left: counters never fall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecli.ai.engines.generation import GenerationEngine

COUNTERS = (
    "requests",
    "finished",
    "failed",
    "cancelled",
    "preempted",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "steps",
    "batched_tokens",
    "computing_seconds",
)
"""Of what an engine counts, that which only grows; its histograms too."""


class Totals:
    """The totals of each model, over all processes that it had."""

    def __init__(self) -> None:
        self._departed: dict[str, dict[str, Any]] = {}
        self._latest: dict[str, GenerationEngine] = {}

    def begin(self, model: str, engine: GenerationEngine) -> None:
        """Note that a model was loaded: what it counted before stays."""
        if model in self._latest:
            self._departed[model] = self.of(model)
        self._latest[model] = engine

    def all(self) -> dict[str, dict[str, Any]]:
        """Return the totals by model id, as the models' last statistics had them."""
        return {model: counted for model in self._latest if (counted := self.of(model))}

    def of(self, model: str) -> dict[str, Any]:
        """Return the totals of one model; empty if nobody asked for its statistics yet."""
        counted, before = self._latest[model].counted, self._departed.get(model)
        return _sum(before, counted) if before and counted else dict(counted or before or {})


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    histograms = {name: _both(each, other["histograms"][name]) for name, each in one["histograms"].items()}
    return {key: one[key] + other[key] for key in COUNTERS} | {"histograms": histograms}


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sum of two histograms; their bounds are the same."""
    pairs = zip(one["buckets"], other["buckets"], strict=True)
    return {"buckets": [(bound, count + more) for (bound, count), (_, more) in pairs], "sum": one["sum"] + other["sum"]}
