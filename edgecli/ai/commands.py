"""`edgecli ai`: run models."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import UsageError

app = EdgeTyper(help="Run models, as Workers AI does.")


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction] - keeps `run` a command of its own name
    """Run models, as Workers AI does."""


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="The model's id, for example @cf/meta/llama-3.1-8b-instruct.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt, or the text to embed; `-` or a pipe reads stdin.")
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="Inputs as the API takes them.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions to a text generation model.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Randomness, 0 to 5; 0 is none.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same answer.")] = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Show text as it comes. [default: unless --json]"),
    ] = None,
) -> None:
    """Run a model on a prompt or on JSON inputs.

    Text comes as it is generated. --json prints the API's result; with --stream its events, one a line.
    """
    client = common().client(project=False)
    facts: dict[str, Any] = client.call("GET", "/edge/ai/describe", params={"model": model})
    generates = facts["task"] == "Text Generation"
    inputs = _inputs(prompt, input, system, generates=generates)
    options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    inputs |= {name: value for name, value in options.items() if value is not None}
    inputs.pop("stream", None)
    path = f"/client/v4/accounts/local/ai/run/{quote(model, safe='/@')}"
    timer = _Timer()
    if generates and (not common().json if stream is None else stream):
        usage = _show_stream(path, inputs | {"stream": True}, timer)
    else:
        result = client.call("POST", path, json=inputs)
        usage = result.get("usage") if isinstance(result, dict) else None
        _show(result, generates=generates)
    if common().verbose:
        _say_how(client.call("GET", "/edge/ai/describe", params={"model": model}), usage, timer)


class _Timer:
    """When the call began and when its first text came."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first: float | None = None

    def mark(self) -> None:
        self.first = self.first or time.perf_counter()

    def speed(self, tokens: int) -> str:
        now = time.perf_counter()
        if self.first is None or tokens < 2:
            return f"{now - self.began:.2f} s"
        rate = (tokens - 1) / max(now - self.first, 1e-9)
        return f"first after {self.first - self.began:.2f} s, then {rate:.1f} tokens/s"


def _inputs(prompt: str | None, given: str | None, system: str | None, *, generates: bool) -> dict[str, Any]:
    if given == "-" and prompt == "-":
        raise UsageError("Both the prompt and --input are to come from stdin.", hint="Give one of them in place.")
    inputs = _parse_input(given) if given is not None else {}
    if prompt == "-" or (prompt is None and given is None and not sys.stdin.isatty()):
        prompt = _read_stdin()
    if prompt is None and given is None:
        raise UsageError("There is no prompt.", hint='Give one: `edgecli ai run MODEL "…"`, or --input with JSON.')
    if not generates:
        return inputs if prompt is None else inputs | {"text": prompt}
    if system is not None:
        earlier = inputs.pop("messages", [])
        asked = prompt if prompt is not None else inputs.pop("prompt", None)
        last = [] if asked is None else [{"role": "user", "content": asked}]
        return inputs | {"messages": [{"role": "system", "content": system}, *earlier, *last]}
    return inputs if prompt is None else inputs | {"prompt": prompt}


def _parse_input(given: str) -> dict[str, Any]:
    source = given
    try:
        if given == "-":
            source = _read_stdin()
        elif given.startswith("@"):
            source = Path(given[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The file `{given[1:]}` of --input cannot be read: {error.strerror or error}.",
            hint="Give --input @FILE a file that exists, or `-` for stdin.",
        ) from error
    except UnicodeDecodeError as error:
        raise _not_utf8(f"The file `{given[1:]}` of --input") from error
    try:
        inputs: Any = json.loads(source)
    except ValueError as error:
        raise UsageError(
            f"--input is not valid JSON: {error}.",
            hint="Write JSON in single quotes, or `@file`, or `-` for stdin.",
        ) from error
    if not isinstance(inputs, dict):
        raise UsageError(f"--input holds a JSON {type(inputs).__name__}, an object is needed.")
    return inputs


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8("What `-` reads, stdin,") from error


def _not_utf8(what: str) -> UsageError:
    return UsageError(
        f"{what} is not UTF-8 text.",
        hint="Convert it first, for example with `iconv -f GB18030 -t UTF-8`.",
        code="bad_encoding",
    )


def _show_stream(path: str, inputs: dict[str, Any], timer: _Timer) -> dict[str, Any] | None:
    usage: dict[str, Any] | None = None
    last = "\n"
    for event in common().client(project=False).events("POST", path, json=inputs):
        timer.mark()
        usage = event.get("usage") or usage
        if common().json:
            console.print_ndjson(event)
        elif text := str(event.get("response") or ""):
            console.write(text)
            last = text
    if not common().json and not last.endswith("\n"):
        console.write("\n")
    return usage


def _show(result: Any, *, generates: bool) -> None:
    if common().json or not generates:
        console.print_json(result)
    else:
        console.out(str(result["response"]))


def _say_how(facts: dict[str, Any], usage: dict[str, Any] | None, timer: _Timer) -> None:
    """Say on stderr what ran where, and how fast."""
    console.note(f"model   {facts['name']}")
    console.note(f"engine  {facts['engine']} on {facts['device']}")
    if facts.get("layers"):
        console.note(f"layers  {facts['layers']['gpu']} of {facts['layers']['total']} on a GPU")
    console.note(f"context {facts['context']} tokens")
    if usage:
        made = usage["completion_tokens"]
        console.note(f"tokens  {usage['prompt_tokens']} in, {made} out: {timer.speed(made)}")
