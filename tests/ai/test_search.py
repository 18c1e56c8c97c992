"""The catalog as Cloudflare shows it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from edgecli.ai.catalog_items import TASKS, author_of, model_item, prices_of, stable_id, task_item
from edgecli.ai.search import read_query, search
from edgecli.errors import NotFoundError, UsageError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import Task

CATALOG = Catalog.load({"@cf/meta/llama-3.2-1b-instruct": {"use": "@edge/smollm2-135m-instruct"}})


def find(**query: str) -> list[str]:
    return [item["name"] for item in search(CATALOG.list(), read_query({"per_page": "1000"} | query))[0]]


def properties(name: str) -> dict[str, Any]:
    return {each["property_id"]: each["value"] for each in model_item(CATALOG.resolve(name))["properties"]}


def test_an_embedding_model() -> None:
    item = model_item(CATALOG.resolve("@cf/baai/bge-base-en-v1.5"))
    assert list(item) == ["id", "source", "name", "description", "task", "created_at", "tags", "properties"]
    assert item["id"] == stable_id("@cf/baai/bge-base-en-v1.5")
    assert uuid.UUID(item["id"]).version == 5
    assert item["task"]["id"] == "0137cdcf-162a-4108-94f2-1ca59e8c65ee"
    assert item["properties"] == [
        {"property_id": "context_window", "value": "512"},
        {"property_id": "output_dimensions", "value": "768"},
        {"property_id": "max_input_tokens", "value": "512"},
        {"property_id": "async_queue", "value": "true"},
        {
            "property_id": "price",
            "value": [{"unit": "per M input tokens", "price": 0.067, "currency": "USD"}],
        },
    ]


@pytest.mark.parametrize(
    ("name", "prices"),
    [
        ("@cf/meta/llama-3.1-8b-instruct", [0.282, 0.827]),
        ("@cf/deepseek-ai/deepseek-v4-flash-0731", [0.44, 0.014, 1.32]),
        ("@cf/moonshotai/kimi-k2.7-code", [0.95, 0.19, 4.0]),
        ("@cf/ibm-granite/granite-4.0-h-micro", [0.017, 0.112]),
        ("@cf/black-forest-labs/flux-1-schnell", [0.0000528, 0.0001056]),
        ("@cf/openai/whisper", [0.0004525]),
        ("@edge/smollm2-135m-instruct", []),
    ],
)
def test_prices_are_those_that_cloudflare_publishes(name: str, prices: list[float]) -> None:
    assert [each["price"] for each in prices_of(CATALOG.resolve(name))] == prices


def test_what_a_model_can_do() -> None:
    found = properties("@cf/meta/llama-3.3-70b-instruct-fp8-fast")
    assert (found["function_calling"], found["async_queue"], found["context_window"]) == ("true", "true", "24000")
    assert properties("@cf/mistral/mistral-7b-instruct-v0.2-lora")["lora"] == "true"


def test_a_stand_in_is_named() -> None:
    item = model_item(CATALOG.resolve("@cf/meta/llama-3.2-1b-instruct"))
    assert item["name"] == "@cf/meta/llama-3.2-1b-instruct"
    assert "`@edge/smollm2-135m-instruct` stands in" in item["description"]
    found = properties("@cf/meta/llama-3.2-1b-instruct")
    assert (found["context_window"], found["price"][0]["price"]) == ("8192", 0.027)


def test_each_parameter_of_the_query() -> None:
    everything = find()
    assert len(everything) == len(CATALOG.ids())
    assert find(search="GUARD-3 llama") == ["@cf/meta/llama-guard-3-8b"]
    assert set(find(task="Text Embeddings")) == set(find(task="text-embeddings"))
    assert all(name.split("/")[1] == "zai-org" for name in find(author="Zai-Org"))
    assert len(find(author="zai-org")) == 4
    assert all(name.startswith("@hf/") for name in find(source="2"))
    assert len(find(source="1")) + len(find(source="2")) == len(everything)
    assert find(hide_experimental="true", include_deprecated="false", unknown="x") == everything
    assert find(source="", task="", format="") == everything
    assert find(search="no such words") == []


def test_pages_end_with_an_empty_one() -> None:
    seen: list[str] = []
    page = 1
    while True:
        found, info = search(CATALOG.list(), read_query({"per_page": "50", "page": str(page)}))
        assert info == {
            "page": page,
            "per_page": 50,
            "count": len(found),
            "total_count": len(CATALOG.ids()),
            "total_pages": 3,
        }
        if not found:
            break
        seen += [item["name"] for item in found]
        page += 1
    assert page == 4
    assert seen == CATALOG.ids()


def test_the_form_for_a_marketplace() -> None:
    [item], _ = search(CATALOG.list(), read_query({"search": "glm-4.7-flash", "format": "openrouter"}))
    assert (item["id"], item["context_length"]) == ("@cf/zai-org/glm-4.7-flash", 131072)
    assert item["pricing"] == {"prompt": "0.0000000605", "completion": "0.0000004004", "input_cache_read": "0"}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"page": "0"}, "'/page' is \"0\""),
        ({"per_page": "many"}, "'/per_page' is \"many\""),
        ({"per_page": "1001"}, "'/per_page' is \"1001\""),
        ({"format": "xml"}, "'/format' is \"xml\""),
    ],
)
def test_wrong_queries(query: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_query(query)
    assert problem in caught.value.message


def test_an_unknown_task() -> None:
    with pytest.raises(NotFoundError, match="No such task"):
        find(task="dancing")


def test_every_task_has_an_id() -> None:
    assert set(TASKS) == set(Task)
    assert task_item(Task.TRANSLATION)["id"] == "f57d07cb-9087-487a-bbbf-bc3e17fecc4b"
    assert len({task_item(task)["id"] for task in Task}) == len(Task)


def test_authors() -> None:
    assert author_of(CATALOG.resolve("@hf/thebloke/zephyr-7b-beta-awq")) == "thebloke"
    assert author_of(CATALOG.resolve("@edge/smollm2-135m-instruct")) == "edge"
