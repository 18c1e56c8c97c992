"""What text embeddings take, refuse and give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecli.ai.tasks import text_embeddings
from edgecli.errors import UsageError
from edgecli.models.catalog import Catalog

CONTEXTS, QUERIES = ("contexts",), ("queries",)
CATALOG = Catalog.load()


def test_one_text_is_a_list_of_one() -> None:
    assert text_embeddings.read_input({"text": "退款"}).text == ["退款"]
    assert text_embeddings.read_input({"text": ["a", " "], "pooling": "cls"}).text == ["a", " "]


@pytest.mark.parametrize(
    ("inputs", "problem", "capabilities"),
    [
        ({}, "required properties at '/' are 'text'", ()),
        ({"text": ""}, "'/text/0' is \"\"", ()),
        ({"text": ["a", ""]}, "'/text/1' is \"\"", ()),
        ({"text": []}, "'/text' is []", ()),
        ({"text": ["a"] * 101}, "at most 100 items, not 101", ()),
        ({"text": 5}, "Type mismatch of '/text', 'array' not in 'integer'", ()),
        ({"text": ["a", 1]}, "Type mismatch of '/text/1', 'string' not in 'integer'", ()),
        ({"text": "a", "pooling": "max"}, "'/pooling' is \"max\": input should be 'mean' or 'cls'", ()),
        ({"query": "a"}, "'/query' is not taken by this model", ()),
        ({"queries": "a"}, "'/queries' is not taken by this model", CONTEXTS),
        ({"contexts": [{"text": "a"}]}, "'/contexts' is not taken by this model", QUERIES),
        ({"text": "a", "instruction": "b"}, "'/instruction' is not taken by this model", ()),
        ({"query": "a"}, "0 matches: required properties at '/' are 'text', required", CONTEXTS),
        ({"text": "a", "contexts": [{"text": "a"}]}, "'/text' and '/contexts' are mutually exclusive", CONTEXTS),
        ({"contexts": []}, "'/contexts' is []", CONTEXTS),
        ({"contexts": ["a"]}, "Type mismatch of '/contexts/0', 'object' not in 'string'", CONTEXTS),
        ({"contexts": [{"text": ""}]}, "'/contexts/0/text' is \"\"", CONTEXTS),
        ({}, "required properties at '/' are 'documents'", QUERIES),
        ({"text": "a", "documents": "b"}, "'/text' and '/documents' are mutually exclusive", QUERIES),
        ({"queries": [""]}, "'/queries/0' is \"\"", QUERIES),
    ],
)
def test_refusals_name_the_field_and_the_value(
    inputs: dict[str, Any], problem: str, capabilities: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        text_embeddings.read_input(inputs, capabilities)
    assert caught.value.message.startswith("AiError: Bad input: Error: ")
    assert problem in caught.value.message
    assert caught.value.cf_code == 5006


def test_the_shape_of_an_answer() -> None:
    vectors = np.ones((2, 3), dtype=np.float32)
    result = text_embeddings.read_input({"text": ["a", "b"]}).result(vectors, "mean")
    assert (result["shape"], result["pooling"]) == ([2, 3], "mean")
    assert result["data"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_contexts_are_compared_with_the_query() -> None:
    spec = CATALOG.resolve("@cf/baai/bge-m3")
    asked = {"query": "q", "contexts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    checked = text_embeddings.read_input(asked, spec.capabilities)
    assert checked.texts(spec) == ["q", "a", "b", "c"]
    vectors = np.array([[2, 0], [0, 1], [3, 0], [1, 1]], dtype=np.float32)
    response = checked.result(vectors, "cls")["response"]
    assert [each["id"] for each in response] == [1, 2, 0]
    assert [each["score"] for each in response] == pytest.approx([1, 0.5**0.5, 0])
    alone = text_embeddings.read_input({"contexts": asked["contexts"]}, spec.capabilities)
    assert alone.texts(spec) == ["a", "b", "c"]
    result = alone.result(vectors[1:], "cls")
    assert (result["response"].tolist(), result["shape"]) == ([[0, 1], [3, 0], [1, 1]], [3, 2])
    assert result["pooling"] == "cls"


def test_queries_have_their_instruction_and_documents_none() -> None:
    spec = CATALOG.resolve("@cf/qwen/qwen3-embedding-0.6b")
    asked = {"queries": ["q", "r"], "documents": "d"}
    search = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
    assert text_embeddings.read_input(asked, QUERIES).texts(spec) == [search + "q", search + "r", "d"]
    own = text_embeddings.read_input(asked | {"instruction": "Find code"}, QUERIES)
    assert own.texts(spec) == ["Instruct: Find code\nQuery:q", "Instruct: Find code\nQuery:r", "d"]
    stand_in = CATALOG.resolve("@edge/all-minilm-l6-v2")
    assert own.texts(stand_in) == ["q", "r", "d"]
    assert text_embeddings.read_input({"text": "t"}, QUERIES).texts(spec) == ["t"]
