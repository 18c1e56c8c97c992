"""`models`: what can be called now, for the clients of both APIs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from anthropic.types import ModelInfo
from openai.types import Model
from pydantic import TypeAdapter

from edgecli.ai.v1.models import listing, model_object
from edgecli.models.catalog import Catalog
from edgecli.models.schema import InstalledModel
from edgecli.models.view import ModelView, view

IDS = ("@cf/meta/llama-3.2-1b-instruct", "@edge/smollm2-135m-instruct", "@edge/all-minilm-l6-v2")


@pytest.fixture
def views(tmp_path: Any) -> list[ModelView]:
    catalog = Catalog.load()
    installed = InstalledModel("", tmp_path, 1, "2026-11-24T06:00:00+00:00", {})
    served = [view(catalog.resolve(model), installed) for model in IDS]
    others = [view(catalog.resolve("@edge/whisper-tiny.en"), installed), view(catalog.resolve(IDS[0]), None)]
    return [*served, *others]


def test_what_is_installed_and_served_is_listed(views: list[ModelView]) -> None:
    said = listing(views, {})
    assert [each["id"] for each in said["data"]] == [*IDS]
    assert (said["object"], said["has_more"], said["first_id"], said["last_id"]) == ("list", False, IDS[0], IDS[-1])
    assert [each["owned_by"] for each in said["data"]] == ["meta", "edgecli", "edgecli"]
    for each in said["data"]:
        Model.model_validate(each)
        TypeAdapter(ModelInfo).validate_python(each)


def test_a_stand_in_is_named(views: list[ModelView]) -> None:
    said = model_object(replace(views[0], stand_in=IDS[1]))
    assert (said["id"], said["display_name"]) == (IDS[0], f"{IDS[0]} (stand-in: {IDS[1]})")
    assert said["created"] == 1_795_500_000


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({"limit": "2"}, IDS[:2], True),
        ({"limit": "2", "after_id": IDS[1]}, IDS[2:], False),
        ({"limit": "1", "before_id": IDS[2]}, IDS[1:2], True),
        ({"after_id": IDS[2]}, (), False),
        ({"limit": "many", "after_id": "@edge/none"}, IDS, False),
        ({"limit": "0"}, IDS[:1], True),
    ],
)
def test_pages(views: list[ModelView], query: dict[str, str], ids: tuple[str, ...], more: bool) -> None:
    said = listing(views, query)
    assert tuple(each["id"] for each in said["data"]) == ids
    assert said["has_more"] is more
