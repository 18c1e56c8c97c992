"""Count the tokens of any part of a text after tokenising it once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

# WordPiece turns a word of over 100 characters into one unknown token. Counted as one it would let a megabyte
# without a space into a single chunk, so a longer token counts as several of these many characters.
LONGEST_TOKEN = 32
_PIECE = 4


class TokenCounter(Protocol):
    """The tokenizer of the embedding model, without truncation and without special tokens."""

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Return the span in characters of each token, in order."""
        ...


class TokenIndex:
    """The tokens of one text, by position."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        spans = counter.offsets(text)
        if any(end - start > LONGEST_TOKEN for start, end in spans):
            spans = _broken_up(spans)
        self.starts = [start for start, _ in spans]
        self.ends = [end for _, end in spans]
        self.length = len(text)

    def count(self, start: int, end: int) -> int:
        """Return how many tokens lie, whole or in part, in `text[start:end]`."""
        return max(0, bisect_left(self.starts, end) - bisect_right(self.ends, start))

    def reach(self, start: int, tokens: int) -> int:
        """Return the largest end for which `text[start:end]` has at most `tokens` tokens.

        It lies between two tokens. Where a single character has more tokens than that, it is passed anyway.
        """
        first = bisect_right(self.ends, start)
        if first + tokens >= len(self.starts):
            return self.length
        end = self.starts[first + tokens]
        return end if end > start else max(self.ends[first + tokens], start + 1)


def _broken_up(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    broken: list[tuple[int, int]] = []
    for start, end in spans:
        if end - start <= LONGEST_TOKEN:
            broken.append((start, end))
        else:
            broken.extend((piece, min(piece + _PIECE, end)) for piece in range(start, end, _PIECE))
    return broken
