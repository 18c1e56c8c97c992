"""What a client gets from a Worker that failed: a page for a developer's browser, or text; in `serve` no more than a
number, as in the cloud.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

from edgecli.workers.process import Place, WorkerError
from edgecli.workers.spec import WorkerSpec

LINES_AROUND = 4
"""Lines of source shown before and after the one at fault."""
LONGEST_FILE = 2 * 1024 * 1024

# https://developers.cloudflare.com/workers/observability/errors/
_EXCEPTION, _LIMIT = 1101, 1102
_OVER_THE_LIMIT = ("cpu", "memory", "stall", "timeout", "limit")


def number(error: WorkerError) -> int:
    """Return the number by which the cloud's error page names such a failure."""
    return _LIMIT if any(word in error.code.lower() for word in _OVER_THE_LIMIT) else _EXCEPTION


def answer(error: WorkerError, spec: WorkerSpec, scope: Scope, *, traces: bool) -> Response:
    """Return the answer to a request that failed; `traces` shows a developer what and where."""
    headers = {"retry-after": "1"} if error.status == 503 else {}
    headers["cache-control"] = "no-store"
    if not traces:
        text = f"{error.message}\n" if error.status in (503, 504) else f"error code: {number(error)}\n"
        return PlainTextResponse(text, status_code=error.status, headers=headers)
    wanted = Headers(scope=scope).get("accept", "")
    if "text/html" in wanted:
        return HTMLResponse(page(error, spec), status_code=error.status, headers=headers)
    if "json" in wanted:
        return JSONResponse(_data(error), status_code=error.status, headers=headers)
    return PlainTextResponse(text_of(error, spec), status_code=error.status, headers=headers)


def _data(error: WorkerError) -> dict[str, Any]:
    place = error.place
    where = {"file": place.file, "line": place.line, "column": place.column} if place else None
    said = {"code": number(error), "message": error.message, "place": where, "trace": error.trace, "hint": error.hint}
    return {"error": said}


def shown(place: Place, spec: WorkerSpec) -> str:
    """Return a place as an editor opens it: `src/worker.py:12`, relative to the project where it lies in it."""
    path = spec.root / place.file
    name = str(path.relative_to(spec.root)) if path.is_relative_to(spec.root) else place.file
    return ":".join(str(part) for part in (name, place.line, place.column) if part is not None)


def excerpt(place: Place, spec: WorkerSpec) -> list[tuple[int, str]]:
    """Return the lines around a place, with their numbers; none where the file cannot be read."""
    path = Path(spec.root / place.file)
    try:
        if path.stat().st_size > LONGEST_FILE:
            return []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    first = max(1, place.line - LINES_AROUND)
    return list(enumerate(lines[first - 1 : place.line + LINES_AROUND], first))


def message_of(error: WorkerError, spec: WorkerSpec) -> str:
    """Return the message without the place that it may begin with."""
    return error.message.removeprefix(f"{shown(error.place, spec)}: ") if error.place else error.message


def _tells_more(error: WorkerError) -> bool:
    """Tell whether the trace says more than the message and the place."""
    frames = error.trace.count('\n  File "') + error.trace.count("\n    at ")
    return bool(error.trace) and error.trace.strip() != error.message and (error.place is None or frames > 0)


def text_of(error: WorkerError, spec: WorkerSpec) -> str:
    """Return an error as text: place, source, trace, what to do."""
    lines = [error.message]
    if error.place is not None:
        lines[0] = f"{shown(error.place, spec)}: {message_of(error, spec)}"
        for count, line in excerpt(error.place, spec):
            lines.append(f"  {'>' if count == error.place.line else ' '} {count:>4} | {line[:200]}")
    if _tells_more(error):
        lines += ["", error.trace.rstrip()]
    if error.hint:
        lines += ["", f"hint: {error.hint}"]
    return "\n".join(lines) + "\n"


SOURCE_STYLE = """\
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; font: 13px/1.6 ui-monospace, Menlo,
  Consolas, "DejaVu Sans Mono", monospace; margin: 0; overflow-x: auto; padding: 12px 0 }
pre span { display: block; min-width: max-content; padding: 0 16px }
pre b { color: var(--soft); display: inline-block; font-weight: 400; margin-right: 1.2em; min-width: 3em;
  text-align: right; user-select: none }
pre .at { background: var(--mark) }
pre .at b { color: var(--bad); font-weight: 700 }
"""
"""How a `<pre>` of `parts` looks, with the colours `--soft`, `--line`, `--code`, `--bad` and `--mark`."""
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --soft: #6b7280; --line: #e5e7eb; --code: #f6f7f9; --bad: #b42318; --mark: #fde8e6 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --soft: #9ca3af; --line: #2f3642; --code: #171c24; --bad: #ff8a7a; --mark: #43201d }}
  body {{ background: #0f1319; color: #e5e7eb }}
}}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 2.5rem 1.25rem }}
.kind {{ color: var(--soft); font-size: .85rem; margin: 0 }}
h1 {{ color: var(--bad); font-size: 1.4rem; line-height: 1.35; margin: .3rem 0 1.2rem; overflow-wrap: anywhere }}
h2 {{ font-size: .85rem; font-weight: 600; color: var(--soft); margin: 1.6rem 0 .4rem; overflow-wrap: anywhere }}
{source_style}footer {{ color: var(--soft); font-size: .85rem; margin-top: 2rem }}
</style>
<p class="kind">{kind}</p>
<h1>{message}</h1>
{body}
<footer>{footer}</footer>
</html>
"""


def parts(error: WorkerError, spec: WorkerSpec) -> str:
    """Return place, source, trace and hint as HTML."""
    found: list[str] = []
    if error.place is not None:
        found.append(f"<h2>{html.escape(shown(error.place, spec))}</h2>")
        if lines := excerpt(error.place, spec):
            found.append(f"<pre>{''.join(_line(*each, at=error.place.line) for each in lines)}</pre>")
    if _tells_more(error):
        found.append(f"<h2>Trace</h2>{lines_of(error.trace)}")
    if error.hint:
        found.append(f"<p>{html.escape(error.hint)}</p>")
    return "\n".join(found)


def lines_of(text: str) -> str:
    """Return lines as a `<pre>`."""
    spans = (f"<span>{html.escape(line) or ' '}</span>" for line in text.rstrip().splitlines())
    return f"<pre>{''.join(spans)}</pre>"


def page(error: WorkerError, spec: WorkerSpec) -> str:
    """Return an error as a page of its own, without scripts and without anything from elsewhere."""
    return _PAGE.format(
        source_style=SOURCE_STYLE,
        title=html.escape(error.message[:120]),
        kind=f"Worker {html.escape(spec.name)} · error {number(error)}",
        message=html.escape(error.message),
        body=parts(error, spec),
        footer="Only edgecli dev shows this page. Save your change and load it again.",
    )


def _line(count: int, text: str, *, at: int) -> str:
    style = ' class="at"' if count == at else ""
    return f"<span{style}><b>{count}</b>{html.escape(text[:500])}</span>"
