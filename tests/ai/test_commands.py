"""`edgecli ai run` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ai.conftest import EMBEDDING, GENERATION
from tests.conftest import Run

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("project")]

BRIEF = ("--max-tokens", "8", "--temperature", "0", "--seed", "1")


def test_text_in_a_pipe_is_text_alone(edgecli: Run) -> None:
    done = edgecli("ai", "run", GENERATION, "Name three colours.", *BRIEF)
    assert (done.returncode, done.stderr) == (0, "")
    whole = edgecli("ai", "run", GENERATION, "Name three colours.", *BRIEF, "--no-stream")
    assert whole.stdout.strip() == done.stdout.strip() != ""


def test_json_is_the_api_result(edgecli: Run) -> None:
    done = edgecli("ai", "run", GENERATION, "-", *BRIEF, "--json", "-v", stdin="你好")
    result = json.loads(done.stdout)
    assert list(result) == ["response", "tool_calls", "usage"]
    assert result["usage"]["completion_tokens"] <= 8
    assert GENERATION in done.stderr
    assert "llama_cpp on " in done.stderr
    assert "of 31 on a GPU" in done.stderr


def test_json_streams_one_event_a_line(edgecli: Run) -> None:
    done = edgecli("ai", "run", GENERATION, "Hi", *BRIEF, "--json", "--stream", "--system", "Be brief.")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) > 1
    assert "usage" in events[-1]


def test_inputs_from_a_file_and_a_stand_in(edgecli: Run, project: Path) -> None:
    (project / "wrangler.toml").write_text(
        f'name = "test"\n[edgecli.models."@cf/baai/bge-small-en-v1.5"]\nuse = "{EMBEDDING}"\n',
        encoding="utf-8",
    )
    (project / "texts.json").write_text('{"text": ["refund", "退款"]}', encoding="utf-8")
    done = edgecli("ai", "run", "@cf/baai/bge-small-en-v1.5", "--input", "@texts.json", "--json", "-v")
    assert json.loads(done.stdout)["shape"] == [2, 384]
    assert f"@cf/baai/bge-small-en-v1.5 (stand-in: {EMBEDDING})" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("@edge/smollm2-135m", "hi"), 3, f"Did you mean `{GENERATION}`"),
        ((GENERATION, "--input", "{"), 2, "--input is not valid JSON"),
        ((GENERATION, "--input", "[1]"), 2, "an object is needed"),
        ((GENERATION, "--input", "@missing.json"), 2, "missing.json"),
        ((GENERATION, "hi", "--temperature", "9"), 2, "'/temperature' is 9"),
        ((GENERATION, "hello " * 9000), 2, "supports only 8192"),
        (("@cf/openai/whisper", "hi"), 5, "no engine `whisper`"),
    ],
)
def test_wrong_calls(edgecli: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = edgecli("ai", "run", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
