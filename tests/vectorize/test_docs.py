"""docs/vectorize.md knows every command, option and setting."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from edgecli.config.settings import all_settings
from edgecli.vectorize.commands import app

TEXT = (Path(__file__).parents[2] / "docs" / "vectorize.md").read_text(encoding="utf-8")
COMMON = {"--cwd", "--config", "--env", "--json", "--verbose", "--debug"}
COMMANDS = typer.main.get_group(app).commands  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_are_described(name: str) -> None:
    assert f"`{name}`" in TEXT or f"`{name} " in TEXT
    options = {option for param in COMMANDS[name].params for option in param.opts if option.startswith("--")}
    assert not [option for option in sorted(options - COMMON) if option not in TEXT]


def test_each_setting_is_described() -> None:
    names = [setting.path[-1] for setting in all_settings() if setting.path[0] == "vectorize"]
    assert names
    assert not [name for name in names if f"`{name}`" not in TEXT]
