"""Send a file of vectors, batch after batch, and say where it stopped if it stops."""

from __future__ import annotations

from typing import Any, Literal

from edgecli import console
from edgecli.cli import common
from edgecli.errors import EdgeError, UpstreamError
from edgecli.vectorize.calls import path, say
from edgecli.vectorize.vector_file import Fault, FileBatch, VectorFile, find_fault

Verb = Literal["insert", "upsert"]
NOUNS: dict[Verb, str] = {"insert": "insertion", "upsert": "upsertion"}


def upload(name: str, file: VectorFile, verb: Verb, rows: int) -> int:
    """Write the vectors of a file into an index, `rows` with each call, and return how many they are.

    Raises the API's error with the line of the file that is at fault, how much was written before, and how to go on.
    """
    written = 0
    sent: FileBatch | None = None
    after = file.line + 1
    """The line to go on with."""
    try:
        with console.progress(*_columns()) as bars:
            bar: Any = bars.add_task("0 vectors", total=file.size)
            for sent in file.batches(rows):
                answer = (
                    common()
                    .client()
                    .envelope(
                        "POST", path(name, verb), body=b"\n".join(sent.lines), content_type="application/x-ndjson"
                    )
                )
                for each in answer["messages"]:
                    console.warn(f"Lines {sent.numbers[0]} to {sent.numbers[-1]} of {file.shown}: {each['message']}.")
                written += len(sent.lines)
                after = sent.numbers[-1] + 1
                say(
                    f"✨ Enqueued {len(sent.lines)} vectors into index '{name}' for {NOUNS[verb]}. "
                    f"Mutation changeset identifier: {answer['result']['mutationId']}"
                )
                bars.update(bar, completed=file.bytes_read, description=f"{written:,} vectors")
                sent = None
    except EdgeError as error:
        raise _explained(error, sent, file, written, after) from error
    except (KeyboardInterrupt, SystemExit):
        console.note(_progress(file, written, after, certain=False))
        raise
    return written


def _columns() -> tuple[Any, ...]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)
    return text, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True)


def _explained(error: EdgeError, batch: FileBatch | None, file: VectorFile, written: int, after: int) -> EdgeError:
    fault = None if batch is None else _fault(error, batch)
    details = error.details | {"file": file.file, "written": written, "next_line": after}
    state = _progress(file, written, after, certain=not isinstance(error, UpstreamError))
    if fault is not None:
        message = f"Line {fault.line} of {file.shown} {fault.what}"
        details["line"] = fault.line
        hint = " ".join(filter(None, [fault.hint, "Correct the line.", state]))
    else:
        message = error.message
        hint = " ".join(filter(None, [error.hint, state if written else ""]))
    return type(error)(
        message,
        hint=hint or None,
        code=error.code,
        cf_code=error.cf_code,
        status=error.status,
        details=details,
    )


def _fault(error: EdgeError, batch: FileBatch) -> Fault | None:
    """Find the line of the file that an error speaks of; the API knows its place in the batch."""
    if error.status != 400:
        return None
    unreadable = find_fault(batch)
    row = error.details.get("row")
    if not isinstance(row, int) or not 1 <= row <= len(batch.numbers):
        return unreadable
    line = batch.numbers[row - 1]
    if unreadable is not None and unreadable.line <= line:
        return unreadable
    return Fault(line, f"was refused: {error.message}", "")


def _progress(file: VectorFile, written: int, after: int, *, certain: bool) -> str:
    if not written:
        return "Nothing was written." if certain else "No batch was confirmed."
    if certain:
        said = f"The {written:,} vectors before line {after} were written."
    else:
        said = f"The {written:,} vectors before line {after} were written, perhaps some after it."
    return f"{said} Go on with {file.rest_from(after)}."
