"""One request while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edgecli.ai.engines.generation import Cut, GenerationRequest, Piece, Usage
from edgecli.errors import EdgeError

if TYPE_CHECKING:
    from edgecli.ai.engines.llama_cpp.answer import AnswerWriter
    from edgecli.ai.engines.llama_cpp.context import Logits
    from edgecli.ai.engines.llama_cpp.prefix_cache import Node
    from edgecli.ai.engines.llama_cpp.sampling import Sampler


class Matcher(Protocol):
    """What form the answer must have: see `constraint.py` and `tools.py`."""

    @property
    def ended(self) -> bool: ...

    def restrict(self, logits: Logits) -> None: ...

    def accept(self, token: int) -> None: ...


Receive = Callable[[Piece | EdgeError], None]
"""Takes the answer of one request: pieces, the last with its usage, or an error that ends it. Called from the
scheduler's thread; must not block."""


@dataclass(slots=True, eq=False)
class Job:
    """One request: its tokens, and how far the model has read them."""

    request: GenerationRequest
    tokens: list[int]
    """The prompt, and what has been generated after it."""
    prompt: int
    """Tokens of the prompt."""
    writer: AnswerWriter
    receive: Receive
    sampler: Sampler | None = None
    matcher: Matcher | None = None
    structure: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """Tokens of structure that count as text here: the marks of calls and of what the model thinks."""
    cut: Cut | None = None
    warning: str | None = None
    cached: int | None = None
    """Tokens of the prompt that the cache held when the request began; None before."""
    sequence: int | None = None
    done: int = 0
    """Tokens whose keys and values lie in the cache."""
    node: Node | None = None
    """The cached prefix that the request reads."""
    shared: int = 0
    """Its length: cells before this position are not the request's own."""
    arrived: float = field(default_factory=time.perf_counter)
    turn: int = 0
    """When it was admitted; of those that must give up their place, the last comes first."""

    @property
    def adapter(self) -> str:
        """Which adapter it runs with; the empty string is the bare model."""
        lora = self.request.lora
        return f"{lora.path} x {lora.scale}" if lora else ""

    @property
    def exact(self) -> bool:
        """Whether its computations are kept apart from all others, so that they give the same bits each time."""
        return self.request.seed is not None

    @property
    def pending(self) -> int:
        """Tokens that the model has not read yet; 1 while it writes."""
        return len(self.tokens) - self.done

    @property
    def made(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt

    @property
    def usage(self) -> Usage:
        """What the request used so far."""
        return Usage(self.prompt, self.made, self.cached or 0)
