"""What lies in the temporary folder of a workerd does not stay there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecli.workers.workerd.folder import PREFIX, YOUNG, Folder, sweep


def test_what_a_killed_edgecli_has_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    used, made = Folder(), [tmp_path / f"{PREFIX}{name}" for name in ("left", "new")]
    others = [tmp_path / "edgecli-other", tmp_path / "target"]
    for path in [*made, *others]:
        path.mkdir(mode=0o500)
    (tmp_path / f"{PREFIX}link").symlink_to(others[1])
    (used.path / "config.capnp").write_text("secret", encoding="utf-8")
    for path in (used.path, made[0], *others):
        before = path.stat().st_mtime - 2 * YOUNG
        os.utime(path, (before, before))

    sweep(tmp_path)
    assert not made[0].exists(), "nobody has locked it"
    assert made[1].exists(), "it may be about to be locked"
    assert all(path.exists() for path in others)
    assert (used.path / "config.capnp").exists()
    assert used.path.stat().st_mode & 0o777 == 0o700
    used.remove()
    used.remove()
    assert not used.path.exists()
