from pathlib import Path

import pytest

from edgecli.errors import NotFoundError
from edgecli.rag.scan import Scanner, Selection


def names(root: Path, project: Path, **selection: object) -> list[str]:
    return [file.name for file in Scanner(root, project, Selection(**selection)).files()]  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "docs/a.md",
        "docs/b.txt",
        "docs/drafts/c.md",
        "docs/drafts/keep.md",
        "docs/图纸/说明.md",
        "docs/.hidden/x.md",
        "docs/.secret.md",
        "docs/node_modules/m/readme.md",
        "other/d.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text", encoding="utf-8")
    return tmp_path


def test_hidden_and_installed_files_are_no_documents(tree: Path) -> None:
    assert names(tree / "docs", tree) == [
        "docs/a.md",
        "docs/b.txt",
        "docs/drafts/c.md",
        "docs/drafts/keep.md",
        "docs/图纸/说明.md",
    ]


def test_gitignore_counts_from_the_repository_down_and_inner_rules_win(tree: Path) -> None:
    (tree / ".git").mkdir()
    (tree / ".gitignore").write_text("*.txt\ndocs/drafts/*\n", encoding="utf-8")
    (tree / "docs/drafts/.gitignore").write_text("!keep.md\n", encoding="utf-8")
    assert names(tree / "docs", tree) == ["docs/a.md", "docs/drafts/keep.md", "docs/图纸/说明.md"]
    assert "docs/b.txt" in names(tree / "docs", tree, gitignore=False)


@pytest.mark.parametrize("rule", ["docs/", "/docs", "docs/*", "*"])
def test_a_folder_that_is_named_is_meant_even_if_git_ignores_it(tree: Path, rule: str) -> None:
    (tree / ".git").mkdir()
    (tree / ".gitignore").write_text(f"{rule}\n", encoding="utf-8")
    assert "docs/drafts/c.md" in names(tree / "docs/drafts", tree)


def test_glob_and_exclude(tree: Path) -> None:
    assert names(tree / "docs", tree, glob=["*.txt"]) == ["docs/b.txt"]
    assert names(tree / "docs", tree, glob=["drafts/*.md"]) == ["docs/drafts/c.md", "docs/drafts/keep.md"]
    assert "docs/drafts/c.md" not in names(tree / "docs", tree, exclude=["drafts/"])


def test_covers_what_the_call_judges(tree: Path) -> None:
    scanner = Scanner(tree / "docs", tree, Selection(glob=["*.md"]))
    assert scanner.covers("docs/gone.md")
    assert not scanner.covers("docs/gone.txt")
    assert not scanner.covers("other/gone.md")


def test_one_file(tree: Path) -> None:
    assert names(tree / "docs/a.md", tree) == ["docs/a.md"]


def test_a_loop_of_links_ends(tree: Path) -> None:
    (tree / "docs/loop").symlink_to(tree / "docs", target_is_directory=True)
    assert len(names(tree / "docs", tree)) == 5


def test_a_file_outside_the_project_has_its_whole_path(tree: Path) -> None:
    project = tree / "docs"
    assert names(tree / "other", project) == [(tree / "other/d.md").resolve().as_posix()]


def test_a_missing_folder_is_named(tree: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        Scanner(tree / "nowhere", tree, Selection())
