from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.errors import ExitCode, NotFoundError, StateError, UsageError
from edgecli.scaffold.service import create
from edgecli.scaffold.templates import find_template

RAG_FILES = sorted(find_template("rag").sources)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    result = create("rag", tmp_path / "new" / "app", "app")
    assert sorted(tree(result.path)) == sorted(result.files) == RAG_FILES
    assert 'name = "app"' in (result.path / "wrangler.toml").read_text()
    assert (result.path / "README.md").read_text().startswith("# app\n")


def test_only_named_files_have_placeholders_replaced(tmp_path: Path) -> None:
    template = find_template("rag")
    written = tree(create(template, tmp_path / "app", "app").path)
    for file in set(RAG_FILES) - template.placeholders:
        assert written[file] == template.sources[file].read_bytes()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = create("rag", tmp_path / "app", "app", dry_run=True)
    assert sorted(result.files) == RAG_FILES
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_user_stay_beside_the_new_ones(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "mine.md").write_text("mine")
    create("rag", tmp_path, "app")
    assert sorted(tree(tmp_path)) == sorted([*RAG_FILES, "docs/mine.md"])
    assert (tmp_path / "docs" / "mine.md").read_text() == "mine"


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(RAG_FILES), min_size=1), st.binary(max_size=20))
def test_no_file_is_ever_written_over(present: set[str], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for file in present:
            path = Path(folder) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with pytest.raises(StateError) as caught:
            create("rag", Path(folder), "app")
        assert caught.value.code == "would_overwrite"
        assert caught.value.exit_code == ExitCode.FAILED
        assert caught.value.details["files"] == sorted(present)
        assert tree(Path(folder)) == dict.fromkeys(present, content)


def test_a_file_in_the_place_of_a_folder_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file")
    with pytest.raises(StateError) as caught:
        create("rag", tmp_path, "app")
    assert caught.value.details["files"] == ["docs"]
    assert tree(tmp_path) == {"docs": b"a file"}


def test_a_link_out_of_the_project_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    project = tmp_path / "app"
    project.mkdir()
    (project / "docs").symlink_to(outside)
    (project / "README.md").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StateError) as caught:
        create("rag", project, "app")
    assert caught.value.details["files"] == ["README.md", "docs"]
    assert list(outside.iterdir()) == []


def test_a_target_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("mine")
    with pytest.raises(StateError, match="is not a folder") as caught:
        create("rag", tmp_path / "app", "app")
    assert caught.value.code == "would_overwrite"
    assert (tmp_path / "app").read_text() == "mine"


@pytest.mark.parametrize("target", ["file/app", "x" * 300])
def test_a_target_that_cannot_be_made_says_so(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StateError) as caught:
        create("rag", tmp_path / target, "app")
    assert caught.value.code == "unwritable"
    assert tree(tmp_path) == {"file": b"mine"}


def test_what_a_failed_call_wrote_is_removed_again(tmp_path: Path) -> None:
    template = tmp_path / "templates" / "long"
    last = template / ("z" * 200)
    last.mkdir(parents=True)
    (template / "template.toml").write_text('title = "t"\ndescription = "d"\n')
    (template / "a.md").write_text("a")
    (last / "b.md").write_text("b")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "mine.md").write_text("mine")

    with pytest.raises(StateError) as caught:
        create(find_template("long", tmp_path / "templates"), deep_folder(tmp_path / "app"), "app")

    assert caught.value.code == "unwritable"
    assert caught.value.message.endswith("Nothing was left behind.")
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["mine.md"]


def deep_folder(start: Path) -> Path:
    """Return a folder whose path the system still takes, but not with 200 characters more."""
    longest = os.pathconf(start, "PC_PATH_MAX") - 60
    while (room := longest - len(str(start)) - 1) > 0:
        start /= "x" * min(room, 200)
    return start


def test_two_calls_at_once_leave_one_whole_project(tmp_path: Path) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def attempt() -> None:
        start.wait()
        try:
            create("rag", tmp_path / "app", "app")
            outcomes.append("written")
        except StateError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("written") <= 1
    assert set(outcomes) <= {"written", "would_overwrite", "unwritable"}
    if "written" in outcomes:
        assert sorted(tree(tmp_path / "app")) == RAG_FILES


def test_a_bad_name_is_refused_with_a_better_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="My App") as caught:
        create("rag", tmp_path / "app", "My App")
    assert caught.value.hint == "`my-app` would do."
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_template_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="`rga`") as caught:
        create("rga", tmp_path / "app", "app")
    assert "Did you mean `rag`?" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
