"""What happens in the server, in Prometheus's format: `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from edgecli.ai.service import AiService

# What an engine counts -> name, help. See `edgecli/ai/totals.py`.
_COUNTERS = {
    "requests": ("requests", "Requests that began to run."),
    "finished": ("requests_finished", "Requests whose answer was completed."),
    "failed": ("requests_failed", "Requests that ended with an error."),
    "cancelled": ("requests_cancelled", "Requests whose client went away."),
    "preempted": ("requests_preempted", "Times that a request gave up its place in the KV cache for a while."),
    "prompt_tokens": ("prompt_tokens", "Tokens of prompts."),
    "cached_tokens": ("cached_tokens", "Tokens of prompts that the KV cache held already."),
    "completion_tokens": ("completion_tokens", "Tokens of answers."),
    "steps": ("steps", "Batches that were computed."),
    "batched_tokens": ("batched_tokens", "Tokens of all batches; by steps, the mean batch."),
    "computing_seconds": ("computing_seconds", "Seconds inside llama.cpp."),
}
_GAUGES = {
    "running": ("running", "Requests that run now."),
    "waiting": ("queue", "Requests that wait for a slot."),
    "cells_used": ("kv_cells_used", "Tokens that the KV cache holds."),
}
_DURATIONS = {
    "first_token": ("time_to_first_token_seconds", "From a request's arrival to its first token."),
    "wait": ("queue_seconds", "From a request's arrival to its start."),
}


async def metrics(request: Request) -> Response:
    """Answer a scrape."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    service: AiService = request.app.state.runtime.ai
    collected = _Snapshot(list(families(await service.loaded(), service.totals.all(), service.limits.refused)))
    registry = CollectorRegistry()
    registry.register(collected)
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def families(
    models: Sequence[Mapping[str, Any]], totals: Mapping[str, Mapping[str, Any]], refused: int
) -> Iterator[Metric]:
    """Yield the metrics of the loaded models and the totals of all, by id, that were loaded since the server began.

    `refused` requests found no place in a queue.
    """
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    yield CounterMetricFamily("edgecli_requests_refused", "Requests that found the queue full.", value=refused)
    up = GaugeMetricFamily("edgecli_model_loaded", "Models in memory.", labels=["model", "engine", "device"])
    for each in models:
        up.add_metric([each["id"], each["engine"], str(each["device"])], 1)
    yield up
    active = {each["id"]: each["activity"] for each in models if "activity" in each}
    for table, kind, source in ((_COUNTERS, CounterMetricFamily, totals), (_GAUGES, GaugeMetricFamily, active)):
        for key, (name, text) in table.items():
            family = kind(f"edgecli_{name}", text, labels=["model"])
            for model, counted in source.items():
                family.add_metric([model], counted[key])
            yield family
    for key, (name, text) in _DURATIONS.items():
        histogram = HistogramMetricFamily(f"edgecli_{name}", text, labels=["model"])
        for model, counted in totals.items():
            known = counted["histograms"][key]
            histogram.add_metric([model], [(bound, count) for bound, count in known["buckets"]], known["sum"])
        yield histogram


class _Snapshot:
    """What prometheus_client takes for a collector."""

    def __init__(self, collected: Sequence[Metric]) -> None:
        self._collected = collected

    def collect(self) -> Sequence[Metric]:
        return self._collected
