from __future__ import annotations

from pathlib import Path

from edgecli.scaffold.service import list_templates


def test_every_template_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "projects.md").read_text(encoding="utf-8")
    for template in list_templates():
        assert f"| `{template.name}` |" in text
