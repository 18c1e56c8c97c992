"""`edgecli ai`: run models, and look through the catalog."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgecli import console
from edgecli.ai import display
from edgecli.ai.given import read_object, read_stdin
from edgecli.ai.wire import usage_of, was_cut
from edgecli.cli import EdgeTyper, common, finite
from edgecli.errors import UsageError

app = EdgeTyper(help="Run models, and look through the catalog, as Workers AI has it.")

MODELS_PER_PAGE = 1000


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
    max_tokens: Annotated[
        int | None, typer.Option(help="Longest answer in tokens; else 256, or the project's.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(callback=finite, help="Randomness, 0 to 5; 0 is none.")] = None,
    top_p: Annotated[
        float | None, typer.Option(callback=finite, help="Draw from the likeliest tokens of this share.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from this many of the likeliest tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same answer.")] = None,
    json_schema: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="The answer is JSON that fits this schema.")
    ] = None,
    lora: Annotated[str | None, typer.Option(help="A LoRA adapter to lay over the model.")] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream", help="Show text as it comes; not with --json or --json-schema, unless asked."
        ),
    ] = None,
) -> None:
    """Run a model on a prompt or on JSON inputs.

    Text comes as it is generated. --json prints the API's result; with --stream its events, one a line.
    """
    client = common().client(project=False)
    facts: dict[str, Any] = client.call("GET", "/edge/ai/describe", params={"model": model})
    generates = facts["task"] == "Text Generation"
    inputs = _inputs(prompt, input, system, generates=generates)
    options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    inputs |= {name: value for name, value in (options | {"lora": lora}).items() if value is not None}
    if json_schema is not None:
        schema = read_object(json_schema, "--json-schema")
        inputs["response_format"] = {"type": "json_schema", "json_schema": schema}
    inputs.pop("stream", None)
    path = f"/client/v4/accounts/local/ai/run/{quote(model, safe='/@')}"
    timer = display.Timer()
    if generates and (not common().json and json_schema is None if stream is None else stream):
        events = client.events("POST", path, json=inputs | {"stream": True})
        usage, cut = display.follow_answer(events, timer, as_json=common().json)
    else:
        body = client.envelope("POST", path, json=inputs)
        result: dict[str, Any] = body["result"]
        usage = usage_of(result)
        display.tell_of_changes({"truncated": result.get("truncated"), "messages": body["messages"]})
        _show(result, lambda said: display.show_answer(said, generates=generates))
        cut = was_cut(result)
    if cut or common().verbose:
        facts = client.call("GET", "/edge/ai/describe", params={"model": model})
    if cut and usage:
        display.tell_of_cut(usage, facts["context"])
    if common().verbose:
        display.show_run(facts, usage, timer)


@app.command()
def models(
    task: Annotated[str | None, typer.Option(help="Only this task, as text-embeddings.")] = None,
    search: Annotated[str | None, typer.Option(help="Only models that hold these words.")] = None,
    author: Annotated[str | None, typer.Option(help="Only models of this author, as meta.")] = None,
) -> None:
    """List the models of Workers AI that edgecli knows, with their prices there.

    What of them is on this machine, `edgecli models list` says.
    """
    wanted = {"task": task, "search": search, "author": author, "per_page": MODELS_PER_PAGE}
    _show(_call("GET", "/client/v4/accounts/local/ai/models/search", params=wanted), display.show_models)


@app.command()
def tasks() -> None:
    """List the tasks that models do."""
    _show(_call("GET", "/client/v4/accounts/local/ai/tasks/search"), display.show_tasks)


@app.command()
def schema(model: Annotated[str, typer.Argument(help="The model's id.", show_default=False)]) -> None:
    """Print the JSON Schemas of what a model takes and gives."""
    console.print_json(_call("GET", "/client/v4/accounts/local/ai/models/schema", params={"model": model}))


def _call(method: str, target: str, **request: Any) -> Any:
    return common().client(project=False).call(method, target, **request)


def _show(result: Any, draw: Callable[[Any], None]) -> None:
    if common().json:
        console.print_json(result)
    else:
        draw(result)


def _inputs(prompt: str | None, given: str | None, system: str | None, *, generates: bool) -> dict[str, Any]:
    if given == "-" and prompt == "-":
        raise UsageError("Both the prompt and --input are to come from stdin.", hint="Give one of them in place.")
    inputs = read_object(given, "--input") if given is not None else {}
    if prompt == "-" or (prompt is None and given is None and not sys.stdin.isatty()):
        prompt = read_stdin()
    if not prompt and given is None:
        raise UsageError(
            "There is no prompt." if prompt is None else "The prompt is empty.",
            hint='Give one: `edgecli ai run MODEL "…"`, by a pipe, or --input with JSON.',
        )
    if prompt is not None and (twice := next((key for key in ("prompt", "text") if key in inputs), None)):
        raise UsageError(f"The prompt is given twice, also as `{twice}` of --input.", hint="Give one of the two.")
    if not generates:
        return inputs if prompt is None else inputs | {"text": prompt}
    asked = prompt if prompt is not None else inputs.pop("prompt", None)
    if system is None and "messages" not in inputs:
        return inputs if asked is None else inputs | {"prompt": asked}
    first = [] if system is None else [{"role": "system", "content": system}]
    last = [] if asked is None else [{"role": "user", "content": asked}]
    return inputs | {"messages": [*first, *inputs.get("messages", []), *last]}
