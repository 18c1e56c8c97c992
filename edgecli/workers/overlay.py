"""The error of a broken save over the pages that the last good Worker goes on answering: in `dev` only.

It has no script, and stands in a shadow tree: the page's own styles and its Content-Security-Policy leave it whole.
For JavaScript, workerd/overlay.mjs does the same inside workerd.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from edgecli.plain import one_line
from edgecli.workers.error_page import SOURCE_STYLE, lines_of, message_of, parts, shown
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import WorkerSpec

HEADER = "x-edgecli-error"
"""On each answer of the last good Worker, pages or not."""
LONGEST_HEADER = 500
_CONDITIONS = (b"if-none-match", b"if-modified-since")

_STYLE = (
    """
:host { all: initial !important; display: contents !important }
dialog {
  --back: #fff; --text: #1f2937; --soft: #6b7280; --line: #e5e7eb; --code: #f6f7f9; --bad: #b42318; --mark: #fde8e6;
  background: var(--back); border: 1px solid var(--line); border-radius: 12px; border-top: 4px solid var(--bad);
  bottom: 16px; box-shadow: 0 16px 48px #0006; box-sizing: border-box; color: var(--text); flex-direction: column;
  font: 15px/1.5 system-ui, sans-serif; left: 16px; margin: 0 auto; max-height: min(70vh, 560px); max-width: 880px;
  overflow: hidden; padding: 0; position: fixed; right: 16px; text-align: left; top: auto; width: auto;
  z-index: 2147483647;
}
dialog[open] { display: flex }
@media (prefers-color-scheme: dark) {
  dialog { --back: #0f1319; --text: #e5e7eb; --soft: #9ca3af; --line: #2f3642; --code: #171c24; --bad: #ff8a7a;
    --mark: #43201d }
}
@media (max-width: 600px) {
  dialog { border-radius: 12px 12px 0 0; border-width: 4px 0 0; bottom: 0; left: 0; max-height: 75vh; right: 0 }
  pre b { margin-right: .8em !important; min-width: 1.5em !important }
}
@media print { dialog { display: none !important } }
header { align-items: center; display: flex; gap: 12px; padding: 12px 12px 4px 20px }
header p { color: var(--soft); flex: 1; font-size: 13px; margin: 0 }
header b { color: var(--bad) }
button { background: none; border: 0; border-radius: 6px; color: var(--soft); cursor: pointer; font: 22px/1 system-ui,
  sans-serif; height: 32px; padding: 0; width: 32px }
button:hover { background: var(--code); color: var(--text) }
button:focus-visible { outline: 2px solid var(--bad) }
main { overflow: auto; overscroll-behavior: contain; padding: 4px 20px 20px }
h1 { color: var(--bad); font-size: 18px; font-weight: 650; line-height: 1.35; margin: 0; overflow-wrap: anywhere }
h2 { color: var(--soft); font-size: 13px; font-weight: 600; margin: 14px 0 6px; overflow-wrap: anywhere }
main p { font-size: 14px; margin: 14px 0 0; overflow-wrap: anywhere }
h1 + pre { margin-top: 12px }
"""
    + SOURCE_STYLE
)
_PANEL = """<edgecli-error><template shadowrootmode="open"><style>{style}</style>
<dialog open closedby="closerequest" aria-labelledby="message"><header><p><b>Your last save is broken.</b>
The last good Worker answers this page.</p><form method="dialog"><button aria-label="Close" title="Close">&times;
</button></form></header><main><h1 id="message">{message}</h1>{body}</main></dialog></template></edgecli-error>
"""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is added to answers as long as a save is broken."""

    html: str
    """ASCII, so that it can end a page of any charset."""
    header: str
    """The error in one line of ASCII: `src/worker.py:12: SyntaxError: …`."""
    style: str
    """What a Content-Security-Policy must allow: the hash of the style, `'sha256-…'`."""

    @classmethod
    def of(cls, error: WorkerError, spec: WorkerSpec) -> Overlay:
        """Return the overlay of an error, with the source as it is now."""
        first, _, rest = message_of(error, spec).partition("\n")
        said = f"{shown(error.place, spec)}: {first}" if error.place else first
        panel = _PANEL.format(
            style=_STYLE,
            message=html.escape(first),
            body=(lines_of(rest) if rest.strip() else "") + parts(error, spec),
        )
        return cls(
            html=panel.encode("ascii", "xmlcharrefreplace").decode(),
            header=one_line(said).encode("ascii", "backslashreplace").decode()[:LONGEST_HEADER],
            style=f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
        )

    def around(self, scope: Scope, send: Send) -> tuple[Scope, Send]:
        """Return scope and `send` for an app whose answer is to have the header, and the panel where it is a page."""
        if not _navigates(scope):
            return scope, self._noted(send)
        unconditional = [pair for pair in scope["headers"] if pair[0] not in _CONDITIONS]  # a 304 would show no panel
        return {**scope, "headers": unconditional}, self._ended(send)

    def _noted(self, send: Send) -> Send:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = self.header
            await send(message)

        return note

    def _ended(self, send: Send) -> Send:
        page = False

        async def end(message: Message) -> None:
            nonlocal page
            if message["type"] == "http.response.start":
                message = {**message, "headers": list(message.get("headers", ()))}
                page = _is_page(message)
                if page:
                    self._prepare(message)
            elif page and not message.get("more_body"):
                message = {**message, "body": message.get("body", b"") + self.html.encode()}
            await noted(message)

        noted = self._noted(send)
        return end

    def _prepare(self, message: Message) -> None:
        """Change the head of a page: its length, its policy, and that no cache keeps it."""
        headers = MutableHeaders(scope=message)
        if "content-length" in headers:
            headers["content-length"] = str(int(headers["content-length"]) + len(self.html))
        for name in ("etag", "last-modified"):
            del headers[name]
        headers["cache-control"] = "no-store"
        for index, (name, value) in enumerate(message["headers"]):
            if name == b"content-security-policy":
                message["headers"][index] = (name, allowing(value.decode("latin-1"), self.style).encode("latin-1"))


def _navigates(scope: Scope) -> bool:
    """Tell whether a browser asks for what it shows as a page, and not for a part of one, as htmx does."""
    headers = Headers(scope=scope)
    where = headers.get("sec-fetch-dest")
    asked = where == "document" if where else "text/html" in headers.get("accept", "")
    return asked and scope["method"] != "HEAD"


def _is_page(message: Message) -> bool:
    headers = Headers(raw=message["headers"])
    return (
        message["status"] not in (204, 205, 206, 304)
        and headers.get("content-type", "").lower().startswith("text/html")
        and "content-encoding" not in headers
    )


def allowing(policies: str, source: str) -> str:
    """Return Content-Security-Policies, changed as far as they would keep out a `<style>` that `source` names.

    https://www.w3.org/TR/CSP3/#directive-style-src-elem
    """
    return ",".join(_allowing(policy, source) for policy in policies.split(","))


def _allowing(policy: str, source: str) -> str:
    directives: dict[str, list[str]] = {}
    for words in map(str.split, policy.split(";")):
        if words:
            directives.setdefault(words[0].lower(), words[1:])  # the first of a name holds
    held = next(
        (directives[name] for name in ("style-src-elem", "style-src", "default-src") if name in directives), None
    )
    inline = held is not None and "'unsafe-inline'" in held
    if held is None or (inline and not any(each.startswith(("'nonce-", "'sha")) for each in held)):
        return policy
    sources = [each for each in held if each.lower() != "'none'"]
    return f"style-src-elem {' '.join([*sources, source])}; {policy.strip()}"
