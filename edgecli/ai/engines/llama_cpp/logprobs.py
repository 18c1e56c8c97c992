"""How likely tokens are, from their logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgecli.ai.engines.generation import TokenLogprob

if TYPE_CHECKING:
    from edgecli.ai.engines.llama_cpp.context import Logits


def logprob(logits: Logits, token: int, alternatives: int, text: Callable[[int], bytes]) -> TokenLogprob:
    """Return the log-probability of `token` and of the likeliest tokens, by softmax over `logits`, `(vocabulary,)`."""
    import numpy as np

    highest = float(logits.max())
    total = highest + float(np.log(np.exp(logits - highest, dtype=np.float32).sum(dtype=np.float64)))
    count = min(alternatives, len(logits))
    best = np.argpartition(logits, -count)[-count:] if count else np.empty(0, dtype=np.int64)
    ranked = sorted(((int(each), float(logits[each]) - total) for each in best), key=lambda pair: -pair[1])
    top = tuple((text(each), value) for each, value in ranked)
    return TokenLogprob(text(token), float(logits[token]) - total, top)
