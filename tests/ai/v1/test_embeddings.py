"""`embeddings` in OpenAI's form."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest
from openai.types import CreateEmbeddingResponse

from edgecli.ai.v1.embeddings import check_dimensions, read_input, result, shortened
from edgecli.errors import UsageError
from edgecli.models.catalog import Catalog
from tests.ai.v1.recorded import RecordedService

MODEL = "@edge/all-minilm-l6-v2"
SPEC = Catalog.load().resolve(MODEL)
MATRYOSHKA = Catalog.load().resolve("@cf/qwen/qwen3-embedding-0.6b")


def read(**body: Any) -> Any:
    return read_input({"model": MODEL, "input": "退款"} | body)


def test_inputs() -> None:
    assert read().input == ["退款"]
    assert read(input=["a", "b"], dimensions=None).input == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"input": None}, "required properties at '/' are 'input'"),
        ({"input": ""}, "'/input/0' is \"\""),
        ({"input": ["a", ""]}, "'/input/1' is \"\""),
        ({"input": []}, "'/input' is []"),
        ({"input": ["a"] * 2049}, "'/input' is"),
        ({"input": [1, 2]}, "'/input' holds token ids"),
        ({"input": [[1, 2], [3]]}, "'/input' holds token ids"),
        ({"encoding_format": "hex"}, "'/encoding_format' is \"hex\""),
        ({"dimensions": 0}, "'/dimensions' is 0"),
    ],
)
def test_refusals(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**body)
    assert problem in caught.value.message


def test_only_some_vectors_can_be_shortened() -> None:
    check_dimensions(None, SPEC)
    check_dimensions(384, SPEC)
    with pytest.raises(UsageError, match="have 384 and mean nothing when they are cut"):
        check_dimensions(128, SPEC)
    check_dimensions(128, MATRYOSHKA)
    with pytest.raises(UsageError, match="have 1024"):
        check_dimensions(1025, MATRYOSHKA)
    assert "matryoshka" not in replace(SPEC).capabilities


def test_shortened_vectors_have_length_one() -> None:
    vectors = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert shortened(vectors, None) is vectors
    assert shortened(vectors, 3) is vectors
    short = shortened(vectors, 2)
    assert short.dtype == np.float32
    assert np.allclose(short, [[0.6, 0.8], [0.0, 0.0]])


def test_an_answer() -> None:
    vectors = np.array([[0.5, -1.0]], dtype=np.float32)
    said = result(read(encoding_format="base64"), MODEL, vectors, 3)
    assert said == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL8="}],
        "model": MODEL,
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    numbers = result(read(), MODEL, vectors, 3)
    numbers["data"][0]["embedding"] = numbers["data"][0]["embedding"].tolist()
    CreateEmbeddingResponse.model_validate(numbers, strict=True)


def test_the_client_reads_them(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    del service

    async def scene() -> None:
        create = openai_client.embeddings.create
        said = await create(model=MODEL, input=["a b", "c"])
        assert [len(each.embedding) for each in said.data] == [384, 384]
        assert said.data[0].embedding[:2] == [3.0, 6.0]
        assert said.usage.prompt_tokens == 3
        assert (await create(model=MODEL, input="a", encoding_format="float")).data[0].embedding[:2] == [1.0, 2.0]
        with pytest.raises(openai.BadRequestError) as refused:
            await create(model=MODEL, input="a", dimensions=5)
        assert "mean nothing" in str(refused.value.body)

    asyncio.run(scene())
