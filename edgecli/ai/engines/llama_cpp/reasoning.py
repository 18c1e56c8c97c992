"""What a model thinks before it answers, apart from the answer.

Sources: the templates that the model's makers publish (Qwen3, DeepSeek-R1, Magistral). Most models write the opening
themselves; where a template ends the prompt with it, the answer begins behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReasoningMarks:
    """What stands before and behind what a model thinks."""

    opening: str
    closing: str


_KNOWN = (ReasoningMarks("<think>", "</think>"), ReasoningMarks("[THINK]", "[/THINK]"))


def reasoning_marks(template_source: str | None) -> ReasoningMarks | None:
    """Return how the model with this chat template marks what it thinks; None if its template knows of none."""
    return next((marks for marks in _KNOWN if marks.closing in (template_source or "")), None)


class ReasoningStream:
    """Divides an answer into what the model thinks and what it says. Whitespace around the marks belongs to them.

    Only what an answer begins with is thought; marks that come later are text.
    """

    def __init__(self, marks: ReasoningMarks, *, inside: bool) -> None:
        """`inside`: the prompt ended behind the opening. Some models write it again."""
        self._marks = marks
        self._next: Literal["inside", "text"] = "inside" if inside else "text"
        self._place: Literal["lead", "inside", "behind", "text"] = "lead"
        self._begun = False  # whether anything was thought
        self._rest = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Take a piece of the answer; return what is now certainly thought, and what is certainly said."""
        self._rest += text
        if self._place == "lead":
            self._step_lead()
        thought = self._think() if self._place == "inside" else ""
        if self._place == "behind":
            self._rest = self._rest.lstrip()
            self._place = "text" if self._rest else "behind"
        if self._place != "text":
            return thought, ""
        said, self._rest = self._rest, ""
        return thought, said

    def finish(self) -> tuple[str, str]:
        """Return what was held back, as `feed` does."""
        rest, self._rest = self._rest, ""
        if self._place == "inside" or (self._place == "lead" and self._next == "inside"):
            return rest.rstrip(), ""
        return "", "" if self._place == "behind" else rest

    def _step_lead(self) -> None:
        begun = self._rest.lstrip()
        if begun.startswith(self._marks.opening):
            self._place, self._rest = "inside", begun[len(self._marks.opening) :]
        elif not self._marks.opening.startswith(begun):
            self._place = self._next

    def _think(self) -> str:
        closing = self._marks.closing
        if not self._begun:
            self._rest = self._rest.lstrip()
            self._begun = bool(self._rest)
        at = self._rest.find(closing)
        if at >= 0:
            thought, self._rest = self._rest[:at].rstrip(), self._rest[at + len(closing) :]
            self._place = "behind"
            return thought
        begun = next((n for n in range(len(closing) - 1, 0, -1) if self._rest.endswith(closing[:n])), 0)
        certain = len(self._rest[: len(self._rest) - begun].rstrip())
        thought, self._rest = self._rest[:certain], self._rest[certain:]
        return thought
