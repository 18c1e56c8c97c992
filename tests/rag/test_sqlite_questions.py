"""The question sets that retrieval is measured by say what their manuals say: SQLite's, and a Chinese one."""

from __future__ import annotations

import functools
import html
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class QuestionSet:
    file: str
    folder_variable: str
    default_folder: str
    package: str
    at_least: int
    # A file that only a later edition has: its wording may differ from what the notes quote.
    later_edition: str | None = None
    # Change logs and lists of lone sentences repeat the manual without explaining it; they are no answers.
    repeating: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.file

    def folder(self) -> Path:
        return Path(os.environ.get(self.folder_variable) or self.default_folder)

    def questions(self) -> list[dict[str, Any]]:
        return json.loads((HERE / self.file).read_text(encoding="utf-8"))


SETS = [
    QuestionSet(
        file="sqlite_questions.json",
        folder_variable="EDGECLI_SQLITE_DOCS",
        default_folder="/usr/share/doc/sqlite3",
        package="sqlite3-doc",
        at_least=60,
        later_edition="releaselog/3_41_0.html",
        repeating=("requirements.html", "changes.html", "news.html", "oldnews.html", "releaselog/"),
    ),
    QuestionSet(
        file="chinese_questions.json",
        folder_variable="EDGECLI_CHINESE_DOCS",
        default_folder="/usr/share/doc/debian-handbook/html/zh-CN",
        package="debian-handbook",
        at_least=25,
    ),
]
every_set = pytest.mark.parametrize("questions", SETS, ids=str)


def squeezed(text: str) -> str:
    """Return `text` without white space: a tag inside a sentence may or may not leave some."""
    return "".join(text.split())


@functools.cache
def squeezed_pages(folder: Path) -> dict[str, str]:
    """Return the visible text of every page, white space taken out, by its path relative to `folder`."""
    pages: dict[str, str] = {}
    for path in sorted(folder.rglob("*.html")):
        source = path.read_text(encoding="utf-8", errors="replace")
        source = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->", " ", source)
        text = html.unescape(re.sub(r"<[^>]*>", " ", source))
        pages[path.relative_to(folder).as_posix()] = squeezed(text)
    return pages


def pages_or_skip(questions: QuestionSet) -> dict[str, str]:
    folder = questions.folder()
    if not (folder / "index.html").is_file():
        pytest.skip(f"no manual in {folder}: install {questions.package} or set {questions.folder_variable}")
    if questions.later_edition and (folder / questions.later_edition).exists():
        pytest.skip(f"{folder} holds a later edition than the one {questions.file} quotes")
    return squeezed_pages(folder)


@every_set
def test_the_set_is_well_formed(questions: QuestionSet) -> None:
    entries = questions.questions()
    assert len(entries) >= questions.at_least
    assert len({squeezed(entry["question"]).casefold() for entry in entries}) == len(entries)
    for entry in entries:
        assert entry["question"].strip() and entry["note"].strip(), entry
        assert 1 <= len(entry["pages"]) == len(set(entry["pages"])) <= 3, entry
    assert sum(entry.get("hard", False) for entry in entries) >= 8


@every_set
def test_the_first_page_of_each_question_holds_its_note(questions: QuestionSet) -> None:
    pages = pages_or_skip(questions)
    missing = [
        (entry["question"], page)
        for entry in questions.questions()
        for page in entry["pages"]
        if page not in pages or (page == entry["pages"][0] and squeezed(entry["note"]) not in pages[page])
    ]
    assert missing == []


@every_set
def test_no_page_that_holds_the_same_note_is_left_out(questions: QuestionSet) -> None:
    pages = pages_or_skip(questions)
    left_out = [
        (entry["question"], page)
        for entry in questions.questions()
        for page, text in pages.items()
        if squeezed(entry["note"]) in text and page not in entry["pages"] and not page.startswith(questions.repeating)
    ]
    assert left_out == []


@every_set
def test_no_question_is_taken_from_the_manual(questions: QuestionSet) -> None:
    pages = pages_or_skip(questions)
    everything = "\n".join(pages.values()).casefold()
    copied = [
        entry["question"] for entry in questions.questions() if squeezed(entry["question"]).casefold() in everything
    ]
    assert copied == []
