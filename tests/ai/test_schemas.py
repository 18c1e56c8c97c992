"""The JSON Schemas of models, against what the models take and give."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgecli.ai.schemas import schemas
from edgecli.ai.tasks import text_embeddings
from edgecli.envelope import to_json
from edgecli.errors import EngineError
from edgecli.models.catalog import Catalog
from tests.ai.tasks.test_text_run import CALLS, CHAT, JSON, TEXT, Recorded, whole

CATALOG = Catalog.load()
LLAMA, GLM, BGE = "@cf/meta/llama-3.1-8b-instruct", "@cf/zai-org/glm-4.7-flash", "@cf/baai/bge-base-en-v1.5"
M3, QWEN = "@cf/baai/bge-m3", "@cf/qwen/qwen3-embedding-0.6b"


def valid(schema: dict[str, Any], value: Any) -> bool:
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    return validator.is_valid(value)


@pytest.mark.parametrize(
    ("model", "inputs", "fits"),
    [
        (LLAMA, {"prompt": "a", "top_k": 50}, True),
        (LLAMA, {"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_object"}}, True),
        (LLAMA, {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, False),
        (LLAMA, {}, False),
        (LLAMA, {"prompt": ""}, False),
        (LLAMA, {"prompt": "a", "top_k": 51}, False),
        (LLAMA, {"prompt": "a", "presence_penalty": -1}, False),
        (GLM, {"prompt": "a", "presence_penalty": -1, "n": 2}, True),
        (GLM, {"prompt": "a", "n": 17}, False),
        (BGE, {"text": "a"}, True),
        (BGE, {"text": ["a", "b"], "pooling": "cls"}, True),
        (BGE, {"text": []}, False),
        (BGE, {}, False),
        (M3, {"text": "a", "truncate_inputs": True}, True),
        (M3, {"query": "q", "contexts": [{"text": "a"}]}, True),
        (M3, {"contexts": "a"}, False),
        (M3, {"query": "q"}, False),
        (M3, {"text": "a", "contexts": [{"text": "a"}]}, False),
        (QWEN, {"queries": "a", "documents": ["b"], "instruction": "c"}, True),
        (QWEN, {"instruction": "c"}, False),
        (BGE, {"text": ["a"] * 101}, False),
    ],
)
def test_inputs(model: str, inputs: dict[str, Any], fits: bool) -> None:
    assert valid(schemas(CATALOG.resolve(model))["input"], inputs) is fits


@pytest.mark.parametrize("pieces", [TEXT, CALLS, JSON])
@pytest.mark.parametrize(("model", "capabilities"), [(LLAMA, ()), (GLM, CHAT)])
def test_outputs_of_text_generation(model: str, capabilities: tuple[str, ...], pieces: Any) -> None:
    output = schemas(CATALOG.resolve(model))["output"]["oneOf"][0]
    result = whole(Recorded(pieces), {}, *capabilities).result
    assert valid(output, result)
    assert not valid(output, {"answer": "?"})


def test_outputs_of_embeddings() -> None:
    for model, inputs in (
        (BGE, {"text": "a"}),
        (M3, {"text": "a"}),
        (M3, {"query": "q", "contexts": [{"text": "a"}]}),
        (M3, {"contexts": [{"text": "a"}, {"text": "b"}]}),
        (QWEN, {"queries": "a"}),
    ):
        spec = CATALOG.resolve(model)
        checked = text_embeddings.read_input(inputs, spec.capabilities)
        result = checked.result(np.ones((2, 3), dtype=np.float32), "mean")
        assert valid(schemas(spec)["output"], json.loads(to_json(result)))
        assert not valid(schemas(spec)["output"], {"answer": "?"})


def test_defaults_are_the_models_own() -> None:
    properties = schemas(CATALOG.resolve(GLM))["input"]["properties"]
    assert properties["max_tokens"]["default"] == 2000


def test_a_model_that_nothing_runs() -> None:
    with pytest.raises(EngineError, match="no engine"):
        schemas(CATALOG.resolve("@cf/openai/whisper"))
