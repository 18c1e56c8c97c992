"""Which saves are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecli.dev.watch import Kind, Watcher, folders

Change = Callable[[], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with spaces and Chinese in its path, links, and folders that are not its own source."""
    root = tmp_path / "my 项目"
    for folder in ("src/lib", "node_modules/x", ".git", ".edgecli", "__pycache__", ".venv/lib"):
        (root / folder).mkdir(parents=True)
    (root / "src" / "worker.py").write_text("1", encoding="utf-8")
    (root / "wrangler.toml").write_text("", encoding="utf-8")
    outside = tmp_path / "outside"
    (outside / "package").mkdir(parents=True)
    (outside / "shared.py").write_text("1", encoding="utf-8")
    (outside / "other.py").write_text("1", encoding="utf-8")
    (root / "src" / "shared.py").symlink_to(outside / "shared.py")
    (root / "src" / "package").symlink_to(outside / "package")
    (root / "src" / "round").symlink_to(root)
    return root


def noticed(root: Path, *changes: Change, language: str = "python") -> list[set[Kind]]:
    """Make changes one after the other, and return what was seen after each."""

    async def story() -> list[set[Kind]]:
        watcher = Watcher(root, root / "src" / "worker.py", root / "wrangler.toml", language)
        seen: list[set[Kind]] = []

        async def watch() -> None:
            async for kinds in watcher.changes():
                seen[-1].update(kinds)

        seen.append(set())
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.5)
        for change in changes:
            seen.append(set())
            change()
            await asyncio.sleep(0.6)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return seen[1:]

    return asyncio.run(story())


def saved(path: Path) -> Change:
    return lambda: path.write_text("2", encoding="utf-8")


def replaced(path: Path) -> Change:
    """Save as editors do that write another file first."""

    def change() -> None:
        temporary = path.with_name(f".{path.name}.swp~")
        temporary.write_text("2", encoding="utf-8")
        temporary.rename(path)

    return change


@pytest.mark.slow
def test_what_counts(root: Path) -> None:
    outside = root.parent / "outside"
    seen = noticed(
        root,
        saved(root / "src" / "worker.py"),
        replaced(root / "src" / "worker.py"),
        saved(root / "src" / "lib" / "new.py"),
        saved(root / "wrangler.toml"),
        saved(root / ".dev.vars"),
        saved(outside / "shared.py"),
        saved(outside / "package" / "more.py"),
    )
    source, configuration = {"source"}, {"configuration"}
    assert seen == [source, source, source, configuration, configuration, source, source]


def test_what_does_not(root: Path) -> None:
    seen = noticed(
        root,
        saved(root / ".edgecli" / "state.py"),
        saved(root / "node_modules" / "x" / "index.py"),
        saved(root / "__pycache__" / "worker.py"),
        saved(root / "src" / "data.json"),
        saved(root.parent / "outside" / "other.py"),
    )
    assert seen == [set()] * 5


def test_what_a_bundle_may_hold_counts_for_javascript(root: Path) -> None:
    (root / "src" / "page.html").write_text("1", encoding="utf-8")
    assert noticed(root, saved(root / "src" / "page.html"), language="javascript") == [{"source"}]


def test_a_new_folder_is_watched_too(root: Path) -> None:
    module = root / "src" / "later" / "module.py"

    def both() -> None:
        module.parent.mkdir()
        module.write_text("1", encoding="utf-8")

    assert noticed(root, both, saved(module)) == [{"source"}, {"source"}]


def test_links_in_a_circle_are_followed_once(root: Path) -> None:
    found = list(folders(root))
    assert len(found) == len(set(found))
    assert root.parent / "outside" / "package" in found
    assert not [folder for folder in found if {"node_modules", ".git", ".edgecli", ".venv"} & set(folder.parts)]
