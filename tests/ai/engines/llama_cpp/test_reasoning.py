"""What a model thinks comes apart from what it says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from edgecli.ai.engines.generation import GenerationRequest, Piece, Tool
from edgecli.ai.engines.llama_cpp.answer import AnswerWriter
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.process import LlamaProcess
from edgecli.ai.engines.llama_cpp.reasoning import ReasoningMarks, ReasoningStream, reasoning_marks
from edgecli.ai.engines.llama_cpp.tool_formats import HERMES
from edgecli.ai.engines.llama_cpp.tool_stream import ToolStream
from tests.ai.engines.llama_cpp.running import chat, raw

MARKS = ReasoningMarks("<think>", "</think>")


def divide(text: str, *, inside: bool, length: int) -> tuple[str, str]:
    stream = ReasoningStream(MARKS, inside=inside)
    parts = [stream.feed(text[at : at + length]) for at in range(0, len(text), length)] + [stream.finish()]
    return "".join(thought for thought, _ in parts), "".join(said for _, said in parts)


@pytest.mark.parametrize("length", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "inside", "expected"),
    [
        ("<think>\nIs 2 < 3?\n</think>\n\nYes.\n", False, ("Is 2 < 3?", "Yes.\n")),
        ("Is 2 < 3?\n</think>\n\nYes.", True, ("Is 2 < 3?", "Yes.")),
        ("<think>\nTwice.</think>Yes.", True, ("Twice.", "Yes.")),
        ("<think>\n\n</think>\n\nYes.", False, ("", "Yes.")),
        (" Yes </think> <think>no</think>", False, ("", " Yes </think> <think>no</think>")),
        ("<thinking about it", False, ("", "<thinking about it")),
        ("<thi", False, ("", "<thi")),
        ("<think>cut </thi", False, ("cut </thi", "")),
        ("cut off \n", True, ("cut off", "")),
        ("a</think>b</think>", True, ("a", "b</think>")),
        ("  \n", False, ("", "  \n")),
    ],
)
def test_an_answer_is_divided(text: str, inside: bool, expected: tuple[str, str], length: int) -> None:
    assert divide(text, inside=inside, length=length) == expected


def test_thoughts_are_given_out_as_they_come() -> None:
    stream = ReasoningStream(MARKS, inside=False)
    assert stream.feed("<think>\nFirst, ") == ("First,", "")
    assert stream.feed("a sum.\n</th") == (" a sum.", "")
    assert stream.feed("ink>\n\nIt is ") == ("", "It is ")


def test_what_is_thought_is_no_call_of_a_tool() -> None:
    tools = ToolStream(HERMES, [Tool("add")])
    writer = AnswerWriter((), tools, ReasoningStream(MARKS, inside=False))
    call = b'<tool_call>{"name": "add", "arguments": {}}</tool_call>'
    pieces = [writer.feed(b"<think>I write " + call + b"?</think>"), writer.feed(call), writer.finish()]
    assert "".join(piece.reasoning for piece in pieces) == f"I write {call.decode()}?"
    assert [part.name for piece in pieces for part in piece.tool_calls if part.name] == ["add"]
    assert "".join(piece.text for piece in pieces) == ""


def test_templates_tell_the_marks() -> None:
    assert reasoning_marks("{{ content.split('</think>')[-1] }}") == MARKS
    assert reasoning_marks("{{ '[THINK]' + content + '[/THINK]' }}") == ReasoningMarks("[THINK]", "[/THINK]")
    assert reasoning_marks("{{ messages[0].content }}") is None
    assert reasoning_marks(None) is None


def with_template(folder: Path, template: str, target: Path) -> None:
    """Copy a model with another template, of as many bytes."""
    source = next(folder.rglob("*.gguf"))
    model = GgufModel(source, gpu_layers=0)
    old = (model.chat_template or "").encode()
    model.close()
    data = source.read_bytes()
    assert data.count(old) == 1
    target.write_bytes(data.replace(old, f"{{# {' ' * (len(old) - len(template.encode()) - 6)} #}}{template}".encode()))


@pytest.mark.models
@pytest.mark.slow
def test_a_model_that_thinks(generation_folder: Path, tmp_path: Path) -> None:
    template = "{# </think> #}{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n"
    with_template(generation_folder, template, tmp_path / "model.gguf")

    async def answer(model: LlamaProcess, request: GenerationRequest) -> tuple[str, str]:
        pieces: list[Piece] = [piece async for piece in model.generate(request)]
        return "".join(piece.reasoning for piece in pieces), "".join(piece.text for piece in pieces)

    async def main() -> None:
        model = await LlamaProcess.start(LoadOptions(path=str(tmp_path), context=256, threads=1, slots=1))
        try:
            asked = chat("Name three colours.", max_tokens=8)
            thought, said = await answer(model, replace(asked, split_reasoning=True))
            assert (bool(thought), said) == (True, "")
            assert thought in (await answer(model, asked))[1]
            assert (await answer(model, raw("One, two,", max_tokens=4, split_reasoning=True)))[0] == ""
        finally:
            await model.close()

    asyncio.run(main())
