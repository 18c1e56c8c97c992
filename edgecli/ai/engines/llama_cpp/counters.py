"""What an engine counts, for `ps`, metrics and benchmarks."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

KEPT = 512
"""Of the latest values of a duration."""


BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets, in seconds."""


class Histogram:
    """How often a duration fell below each bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the cumulative counts by upper bound, the last one `+Inf`, and the sum."""
        bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        return {"buckets": list(zip(bounds, accumulate(self._counts), strict=True)), "sum": self._sum}


def _recent() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class Counters:
    """Totals since the model was loaded, and the latest durations in seconds."""

    begun: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    preempted: int = 0
    """Requests that had to give up their place in the cache for a while."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    made: int = 0
    """Tokens of answers."""
    steps: int = 0
    batched: int = 0
    """Tokens of all batches."""
    computing: float = 0.0
    """Seconds inside llama.cpp."""
    waits: deque[float] = field(default_factory=_recent)
    first_tokens: deque[float] = field(default_factory=_recent)
    wait_histogram: Histogram = field(default_factory=Histogram)
    first_token_histogram: Histogram = field(default_factory=Histogram)
    overheads: deque[float] = field(default_factory=_recent)
    """Seconds of each step outside llama.cpp's computation."""

    def begin(self, prompt: int, cached: int, *, waited: float) -> None:
        """Count a request that was admitted."""
        self.begun += 1
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        self.waits.append(waited)
        self.wait_histogram.observe(waited)

    def first(self, seconds: float) -> None:
        """Count a first token, so long after its request came."""
        self.first_tokens.append(seconds)
        self.first_token_histogram.observe(seconds)

    def step(self, tokens: int, computing: float, other: float) -> None:
        """Count a step."""
        self.steps += 1
        self.batched += tokens
        self.computing += computing
        self.overheads.append(other)

    def to_dict(self) -> dict[str, Any]:
        """Return the totals, and the medians of the latest durations in seconds."""
        return {
            "requests": self.begun,
            "finished": self.finished,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "preempted": self.preempted,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.made,
            "steps": self.steps,
            "mean_batch": round(self.batched / self.steps, 2) if self.steps else 0.0,
            "batched_tokens": self.batched,
            "computing_seconds": round(self.computing, 3),
            "wait_seconds": _median(self.waits),
            "first_token_seconds": _median(self.first_tokens),
            "step_overhead_seconds": _median(self.overheads),
            "histograms": {
                "wait": self.wait_histogram.to_dict(),
                "first_token": self.first_token_histogram.to_dict(),
            },
        }


def _median(values: deque[float]) -> float | None:
    return round(statistics.median(values), 6) if values else None
