from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.errors import NotFoundError
from edgecli.models.schema import ModelFile
from edgecli.models.sources import fetch


def quiet(phase: str, file: str, done: int, total: int | None) -> None:
    del phase, file, done, total


def test_a_file_is_copied_so_that_editing_it_later_changes_nothing(tmp_path: Path) -> None:
    original = tmp_path / "a.gguf"
    original.write_bytes(b"weights")
    fetched = fetch(ModelFile(f"file:{original}", "a.gguf"), tmp_path / "into", quiet, offline=True).files[0]
    original.write_bytes(b"changed")
    assert (fetched.name, fetched.path.read_bytes()) == ("a.gguf", b"weights")


def test_a_folder_is_taken_whole_below_its_name(tmp_path: Path) -> None:
    root = tmp_path / "模型"
    (root / "1_Pooling").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "1_Pooling" / "config.json").write_text("[]")
    fetched = fetch(ModelFile(f"file:{root}/", "sub"), tmp_path / "into", quiet, offline=False)
    assert {file.name: file.path.read_text() for file in fetched.files} == {
        "sub/config.json": "{}",
        "sub/1_Pooling/config.json": "[]",
    }


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_nothing_there_is_said(tmp_path: Path, make: object) -> None:
    make(tmp_path / "gone")  # type: ignore[operator]
    with pytest.raises(NotFoundError, match="no folder with files") as caught:
        fetch(ModelFile(f"file:{tmp_path}/gone", "x"), tmp_path / "into", quiet, offline=False)
    assert caught.value.code == "source_not_found"
