"""Draw tokens as a request wants them: llama.cpp's samplers, and what is quicker or needed before them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.generation import GenerationRequest
from edgecli.errors import EngineError

if TYPE_CHECKING:
    from edgecli.ai.engines.llama_cpp.context import Logits

# llama.cpp's own defaults, where a request is silent.
TOP_K = 40
TOP_P = 0.95
MIN_P = 0.05
COLDEST = 1e-6
"""Below this temperature the likeliest token is taken: logits divided by less overflow to infinity, and then any may
be drawn."""
_RANDOM_SEED = 0xFFFFFFFF  # llama.cpp reads this one as "no seed"

_PENALTIES_TAKES = 5


def check_samplers(lib: Any) -> None:
    """Raise EngineError if the sampler of penalties takes other arguments than here: C would read garbage."""
    takes = len(lib.llama_sampler_init_penalties.argtypes or ())
    if takes != _PENALTIES_TAKES:
        raise EngineError(
            f"llama-cpp-python {getattr(lib, '__version__', '')} is another version than edgecli knows: "
            f"`llama_sampler_init_penalties` takes {takes} arguments, not {_PENALTIES_TAKES}.",
            hint="Install the one that edgecli was made for: `pip install 'llama-cpp-python>=0.3.36,<0.4'`.",
            code="library_version",
        )


class Sampler:
    """Draw the tokens of one answer. Close it after use."""

    def __init__(self, lib: Any, request: GenerationRequest, *, context: int, vocabulary: int) -> None:
        self._lib = lib
        self._chain: Any = None
        self._bias = [(token, bias) for token, bias in request.logit_bias.items() if 0 <= token < vocabulary]
        repetition = request.repetition_penalty or 1.0
        penalties = repetition != 1.0 or request.frequency_penalty or request.presence_penalty
        greedy = request.temperature < COLDEST
        if greedy and not penalties:
            return  # the likeliest token needs no chain
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if penalties:
            self._add(
                lib.llama_sampler_init_penalties(
                    vocabulary, context, max(repetition, 0.01), request.frequency_penalty, request.presence_penalty
                )
            )
        if greedy:
            self._add(lib.llama_sampler_init_greedy())
            return
        self._add(lib.llama_sampler_init_top_k(request.top_k or TOP_K))
        self._add(lib.llama_sampler_init_top_p(TOP_P if request.top_p is None else request.top_p, 1))
        self._add(lib.llama_sampler_init_min_p(MIN_P if request.min_p is None else request.min_p, 1))
        self._add(lib.llama_sampler_init_temp(request.temperature))
        seed = secrets.randbits(32) if request.seed is None else request.seed
        self._add(lib.llama_sampler_init_dist(seed % _RANDOM_SEED))

    def _add(self, sampler: Any) -> None:
        self._lib.llama_sampler_chain_add(self._chain, sampler)

    def draw(self, context: Any, index: int, logits: Logits) -> int:
        """Return the next token after the one at `index` of the batch.

        `logits`, `(vocabulary,)`, are the context's own of that token: what they are changed to counts.
        """
        for token, bias in self._bias:
            logits[token] += bias
        if self._chain is None:
            return int(logits.argmax())
        return self._lib.llama_sampler_sample(self._chain, context, index)

    def close(self) -> None:
        """Free the chain and its samplers."""
        if self._chain is not None:
            self._lib.llama_sampler_free(self._chain)
            self._chain = None
