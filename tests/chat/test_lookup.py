"""Names are checked against what the API knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecli.chat.lookup import Lookup
from edgecli.client import Client
from edgecli.config import load_project
from edgecli.errors import NotFoundError
from tests.chat.far_side import CONTEXT, FarSide


@pytest.fixture
def client(talk: Path) -> Iterator[Client]:
    with Client.connect(load_project(cwd=talk)) as client:
        yield client


def test_models_for_text_and_indexes_are_found(client: Client) -> None:
    lookup = Lookup(client, {"DOCS": "handbook"})
    assert list(lookup.models()) == ["@edge/talker", "@edge/walker"]
    assert lookup.find_model("@edge/walker").context == CONTEXT
    assert lookup.context("@edge/walker") == CONTEXT
    assert lookup.find_index("handbook") == lookup.find_index("DOCS") == "handbook"


def test_an_unknown_name_comes_with_the_nearest(client: Client) -> None:
    lookup = Lookup(client, {})
    with pytest.raises(NotFoundError) as caught:
        lookup.find_index("handbok")
    assert "`handbook`" in (caught.value.hint or "")
    with pytest.raises(NotFoundError) as caught:
        lookup.find_index("zzz")
    assert caught.value.hint == "The indexes are `handbook`, `help-centre`."
    with pytest.raises(NotFoundError) as caught:
        lookup.find_model("@edge/runner-up")
    assert caught.value.hint == "`edgecli models list` shows the models."


def test_a_stand_in_is_never_silent(client: Client, far_side: FarSide) -> None:
    far_side.stand_in = "@edge/small"
    lookup = Lookup(client, {})
    assert lookup.shown("@edge/talker") == "@edge/talker (stand-in: @edge/small)"
    assert lookup.shown("@edge/elsewhere") == "@edge/elsewhere"
