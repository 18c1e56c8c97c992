"""Write answers with random allowed tokens: what no model would, and so what a form really allows."""

from __future__ import annotations

import random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel


class Matcher(Protocol):
    @property
    def ended(self) -> bool: ...

    def restrict(self, logits: NDArray[np.float32]) -> None: ...

    def accept(self, token: int) -> None: ...


class Drawer:
    """Draws tokens of one vocabulary."""

    def __init__(self, model: GgufModel) -> None:
        self.pieces = [model.piece(token) for token in range(model.vocabulary_size)]
        self.ends = np.array([model.ends(token) for token in range(model.vocabulary_size)])
        self._closes = np.array([bool(piece) and set(piece) <= set(b'"}], ') for piece in self.pieces])

    def allowed(self, matcher: Matcher) -> NDArray[np.bool_]:
        """Return which tokens may come, `(vocabulary,)`."""
        logits = np.zeros(len(self.pieces), dtype=np.float32)
        matcher.restrict(logits)
        return np.isfinite(logits)

    def tokens(self, matcher: Matcher, seed: int, *, limit: int = 3000) -> list[int]:
        """Return the tokens of one whole answer, with a bias towards its end."""
        luck = random.Random(seed)
        tokens: list[int] = []
        while not matcher.ended:
            assert len(tokens) < limit, self.text(tokens)
            allowed = self.allowed(matcher)
            assert allowed.any(), self.text(tokens)
            if (allowed & self.ends).any() and luck.random() < 0.3:
                break
            allowed &= ~self.ends
            if not allowed.any():
                break
            closing = allowed & self._closes
            among = np.flatnonzero(closing if closing.any() and luck.random() < 0.35 else allowed)
            token = int(among[luck.randrange(len(among))])
            matcher.accept(token)
            tokens.append(token)
        return tokens

    def bytes(self, tokens: list[int]) -> bytes:
        return b"".join(self.pieces[token] for token in tokens)

    def text(self, tokens: list[int]) -> str:
        return self.bytes(tokens).decode()
