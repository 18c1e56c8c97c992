"""What a developer sees where the Worker threw: the exception, its trace and the line of the source."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from edgecli.workers.process import Place

AROUND = 3
"""Lines of source shown before and after."""
LONGEST_SOURCE = 4 << 20
"""Bytes; of a larger file no lines are shown."""
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "h1{font-size:1.3rem;color:#b00020;overflow-wrap:anywhere}pre{background:#f5f5f5;padding:1rem;overflow:auto}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#222}h1{color:#ff6b6b}}"
)


def source_lines(root: Path, place: Place | None) -> str:
    """Return the lines around a place, the one at fault marked with `>`; empty where there are none to read."""
    if place is None:
        return ""
    path = root / place.file
    try:
        if path.stat().st_size > LONGEST_SOURCE:
            return ""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    first = max(1, place.line - AROUND)
    shown = lines[first - 1 : place.line + AROUND]
    return "\n".join(
        f"{'>' if number == place.line else ' '} {number:5} | {line[:300]}" for number, line in enumerate(shown, first)
    )


def error_page(failure: dict[str, Any], trace: str, source: str) -> tuple[str, str]:
    """Return a page, or a text where the client did not ask for HTML, and its content type."""
    title = f"{failure['name']}: {failure['message']}"
    request = f"{failure['method']} {failure['url']}"
    if "text/html" not in (failure.get("accept") or ""):
        return "\n\n".join(
            part for part in (trace or title, source, request) if part
        ) + "\n", "text/plain;charset=utf-8"
    blocks = "".join(f"<pre>{html.escape(part)}</pre>" for part in (source, trace or title) if part)
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><p>{html.escape(request)}</p>{blocks}</html>\n"
    )
    return body, "text/html;charset=utf-8"
