"""The configuration of a session, and what the command line lays over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.config import load_project
from edgecli.dev.source import Source
from edgecli.errors import ConfigError, UsageError

CONFIG = """
name = "trial"
main = "src/worker.py"
compatibility_flags = ["python_workers"]
[vars]
A = "file"
B = "file"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wrangler.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / ".dev.vars").write_text("B=secret\nC=secret\n", encoding="utf-8")
    return tmp_path


def source(root: Path, **given: object) -> Source:
    return Source(load_project(cwd=root), cwd=root, **given)  # type: ignore[arg-type]


def test_variables_of_the_command_line_come_first(root: Path) -> None:
    spec = source(root, variables=["A:line", "C:a:b"]).spec
    assert spec is not None
    assert (spec.vars, spec.secrets) == ({"A": "line", "C": "a:b"}, {"B": "secret"})


@pytest.mark.parametrize("wrong", ["A", ":x", ""])
def test_what_is_no_variable(root: Path, wrong: str) -> None:
    with pytest.raises(UsageError, match="is no variable"):
        source(root, variables=[wrong])


def test_another_module_and_another_place_for_the_state(root: Path) -> None:
    made = source(root, main="other.py", state=Path("elsewhere"))
    assert made.spec is not None
    assert (made.spec.main, made.project.state_dir) == (root / "other.py", root / "elsewhere")


def test_wranglers_own_table_names_the_port(root: Path) -> None:
    (root / "wrangler.toml").write_text(CONFIG + '[dev]\nport = 9000\nip = "127.0.0.2"\n', encoding="utf-8")
    server = source(root).project.settings.server
    assert (server.port, server.host) == (9000, "127.0.0.2")
    (root / "wrangler.toml").write_text(
        CONFIG + "[dev]\nport = 9000\n[edgecli.server]\nport = 9001\n", encoding="utf-8"
    )
    assert source(root).project.settings.server.port == 9001


def test_a_change_is_read_and_the_command_line_still_holds(root: Path) -> None:
    made = source(root, variables=["A:line"])
    (root / "wrangler.toml").write_text(CONFIG + 'D = "new"\n', encoding="utf-8")
    (root / ".dev.vars").write_text("C=changed\n", encoding="utf-8")
    assert made.read_again() == []
    assert made.spec is not None
    assert made.spec.vars == {"A": "line", "B": "file", "D": "new"}
    assert made.spec.secrets == {"C": "changed"}


def test_a_broken_change_is_refused_with_its_place(root: Path) -> None:
    made = source(root)
    (root / "wrangler.toml").write_text(CONFIG + "x = [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"wrangler\.toml:8"):
        made.read_again()
    (root / "wrangler.toml").unlink()
    with pytest.raises(ConfigError, match="is gone"):
        made.read_again()
    assert made.spec is not None
    assert made.spec.vars["A"] == "file"


def test_what_a_reload_cannot_do_is_said(root: Path) -> None:
    made = source(root)
    (root / "wrangler.toml").write_text(CONFIG + "[edgecli.rag]\ntop_k = 3\n", encoding="utf-8")
    assert "started again" in made.read_again()[0]
    (root / "wrangler.toml").write_text(CONFIG.replace("worker.py", "index.ts"), encoding="utf-8")
    assert "started again" in made.read_again()[0]
