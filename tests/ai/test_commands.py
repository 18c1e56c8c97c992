"""`edgecli ai` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecli.ai.display import tell_of_changes
from tests.ai.conftest import EMBEDDING, GENERATION
from tests.conftest import Run

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("project")]

GLM = "@cf/zai-org/glm-4.7-flash"
BRIEF = ("--max-tokens", "8", "--temperature", "0", "--seed", "1")


@pytest.mark.slow
def test_text_in_a_pipe_is_text_alone(edgecli: Run) -> None:
    done = edgecli("ai", "run", GENERATION, "Name three colours.", *BRIEF)
    assert done.returncode == 0
    assert done.stderr == "warning: The answer was cut at 8 tokens; `--max-tokens 16` lets it go on.\n"
    whole = edgecli("ai", "run", GENERATION, "Name three colours.", *BRIEF, "--no-stream")
    assert whole.stdout.strip() == done.stdout.strip() != ""
    assert whole.stderr == done.stderr
    short = edgecli("ai", "run", GENERATION, "Hi", "--max-tokens", "400", *BRIEF[2:])
    assert (short.returncode, short.stderr) == (0, "")


@pytest.mark.slow
def test_json_is_the_api_result(edgecli: Run) -> None:
    done = edgecli("ai", "run", GENERATION, "-", *BRIEF, "--json", "-v", stdin="你好")
    result = json.loads(done.stdout)
    assert list(result) == ["response", "tool_calls", "usage", "finish_reason"]
    assert result["usage"]["completion_tokens"] <= 8
    assert GENERATION in done.stderr
    assert "llama_cpp on " in done.stderr
    assert "of 31 on a GPU" in done.stderr


@pytest.mark.slow
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
        (("@cf/qwen/qwen3.8-27b", "hi"), 3, "Let another Text Generation model stand in"),
        ((GENERATION, "--input", "{"), 2, "--input is not valid JSON"),
        ((GENERATION, "--input", "[1]"), 2, "an object is needed"),
        ((GENERATION, "--input", "@missing.json"), 2, "missing.json"),
        ((GENERATION, "hi", "--temperature", "9"), 2, "'/temperature' is 9"),
        ((GENERATION, "hi", "--temperature", "nan"), 2, "'--temperature': nan is not a finite number"),
        ((GENERATION, "hi", "--top-p", "-inf"), 2, "'--top-p': -inf is not a finite number"),
        ((GENERATION, ""), 2, "The prompt is empty."),
        ((GENERATION, "hi", "--input", '{"prompt": "ho"}'), 2, "given twice, also as `prompt` of --input"),
        ((EMBEDDING, "hi", "--input", '{"text": "ho"}'), 2, "given twice, also as `text` of --input"),
        ((GENERATION, "hi", "--top-k", "51"), 2, "'/top_k' is 51"),
        ((GENERATION, "hi", "--top-p", "3"), 2, "'/top_p' is 3"),
        ((GENERATION, "hi", "--lora", "mine"), 3, "No such LoRA adapter `mine`"),
        ((GENERATION, "hi", "--json-schema", "[]"), 2, "--json-schema holds a JSON list"),
        ((GENERATION, "hi", "--json-schema", "{}", "--stream"), 2, "does not support streaming"),
        ((GENERATION, "hello " * 9000), 2, "supports only 8192"),
        (("@cf/openai/whisper", "hi"), 5, "no engine `whisper`"),
    ],
)
@pytest.mark.slow
def test_wrong_calls(edgecli: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = edgecli("ai", "run", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_prompt_goes_on_with_the_conversation_of_the_input(edgecli: Run) -> None:
    turns = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}'
    whole = turns[:-2] + ', {"role": "user", "content": "Name a colour."}]}'
    said = edgecli("ai", "run", GENERATION, "--input", whole, *BRIEF)
    done = edgecli("ai", "run", GENERATION, "Name a colour.", "--input", turns, *BRIEF)
    assert (done.returncode, done.stdout) == (0, said.stdout)


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
@pytest.mark.slow
def test_a_model_that_answers_with_chat_completions(edgecli: Run, project: Path, options: tuple[str, ...]) -> None:
    (project / "wrangler.toml").write_text(
        f'name = "test"\n[edgecli.models."{GLM}"]\nuse = "{GENERATION}"\n', encoding="utf-8"
    )
    said = edgecli("ai", "run", GENERATION, "Name three colours.", *BRIEF)
    done = edgecli("ai", "run", GLM, "Name three colours.", *BRIEF, *options)
    assert (done.returncode, done.stdout.strip()) == (0, said.stdout.strip())


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (GENERATION, ()),
        (GENERATION, ("--no-stream", "--json")),
        (GLM, ("--json-schema", '{"const":1}')),
        pytest.param(GENERATION, ("--json-schema", '{"const":1}'), marks=pytest.mark.slow),
        pytest.param(GLM, (), marks=pytest.mark.slow),
        pytest.param(GLM, ("--no-stream",), marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_changes_to_the_prompt_are_told(edgecli: Run, project: Path, model: str, options: tuple[str, ...]) -> None:
    (project / "wrangler.toml").write_text(
        f'name = "test"\n[edgecli.generation]\ncontext = 512\n[edgecli.models."{GLM}"]\nuse = "{GENERATION}"\n',
        encoding="utf-8",
    )
    long = json.dumps({"prompt": "word " * 900, "truncate": "head", "max_tokens": 2})
    done = edgecli("ai", "run", model, "--input", long, *options)
    assert (done.returncode, done.stderr.count("The prompt was too long")) == (0, 1)


@pytest.mark.slow
def test_an_answer_that_filled_the_context(edgecli: Run, project: Path) -> None:
    (project / "wrangler.toml").write_text('name = "test"\n[edgecli.generation]\ncontext = 64\n', encoding="utf-8")
    done = edgecli("ai", "run", GENERATION, "Count from 1 to 1000.", "--max-tokens", "500", "--temperature", "0")
    assert done.returncode == 0
    assert "the context of 64 tokens is full" in done.stderr


def test_what_an_envelope_says_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_changes({"truncated": None, "messages": [{"code": 1000, "message": "The turns were merged."}]})
    assert capsys.readouterr().err == "warning: The turns were merged.\n"


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
@pytest.mark.slow
def test_the_responses_api(edgecli: Run, project: Path, options: tuple[str, ...]) -> None:
    model = "@cf/openai/gpt-oss-20b"
    (project / "wrangler.toml").write_text(
        f'name = "test"\n[edgecli.models."{model}"]\nuse = "{GENERATION}"\n', encoding="utf-8"
    )
    inputs = json.dumps({"input": "Name three colours.", "max_output_tokens": 8, "temperature": 0})
    done = edgecli("ai", "run", model, "--input", inputs, "-v", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert " in, 8 out: " in done.stderr


@pytest.mark.slow
def test_the_catalog_as_a_table_and_as_the_api_has_it(edgecli: Run) -> None:
    done = edgecli("ai", "models", "--search", "llama-3.1-8b-instruct fp8-fast")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["model", "task", "context", "$/M", "in", "$/M", "out", "can"],
        ["@cf/meta/llama-3.1-8b-instruct-fp8-fast", "Text", "Generation", "32000", "0.045", "0.384"],
    ]
    items = json.loads(edgecli("ai", "models", "--task", "text-embeddings", "--author", "baai", "--json").stdout)
    assert {item["task"]["name"] for item in items} == {"Text Embeddings"}
    assert "@cf/baai/bge-m3" in {item["name"] for item in items}
    nothing = edgecli("ai", "models", "--search", "no-such-model")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    wrong = edgecli("ai", "models", "--task", "embedding")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert "text-embeddings" in wrong.stderr


@pytest.mark.slow
def test_tasks_and_schemas(edgecli: Run) -> None:
    tasks = edgecli("ai", "tasks")
    assert len(tasks.stdout.splitlines()) == 13
    assert len(json.loads(edgecli("ai", "tasks", "--json").stdout)) == 12
    schema = json.loads(edgecli("ai", "schema", GENERATION).stdout)
    assert schema["input"]["properties"]["top_k"]["anyOf"][0]["maximum"] == 50
    unknown = edgecli("ai", "schema", "@cf/none/at-all")
    assert (unknown.returncode, unknown.stdout) == (3, "")
