"""Turn the bytes of tokens into text that can be shown: whole characters, cut at stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Assemble an answer from the bytes of its tokens.

    A character or a stop string may be spread over several tokens. Text is given out as soon as no later
    token can change it: unfinished characters and possible beginnings of a stop string are held back.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.met: str | None = None
        """The stop string that was met; nothing more comes after it."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self.met is not None

    def feed(self, piece: bytes) -> str:
        """Take the bytes of one token and return the text that is now certain."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(piece)
        met = [(at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if met:
            found, self.met = min(met, key=lambda each: each[0])
            self._held = ""
            return text[:found]
        keep = self._possible_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """Return what was held back; the bytes of a character that never became whole are dropped."""
        text, self._held = self._held, ""
        return text

    def _possible_stop(self, text: str) -> int:
        """Return the length of the longest end of `text` that begins a stop string."""
        longest = max((len(stop) for stop in self._stop), default=0) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
