"""The door of the channels: a Worker's own bindings, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve

BINDINGS = (Binding("STORE", "kv", "ours"), Binding("BROWSER", "browser"), Binding("AI", "ai"))


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("channels"), BINDINGS) as bound:
        yield bound


def test_a_token_opens_its_own_bindings_only(bound: Bound) -> None:
    other = bound.grant(Binding("STORE", "kv", "theirs"), Binding("MORE", "kv", "ours"), name="other")
    assert bound.binding("STORE").put("/a?urlencoded=true", content=b"ours").status_code == 200
    assert bound.binding("STORE", other).get("/a?urlencoded=true").status_code == 404
    assert bound.binding("MORE", other).get("/a?urlencoded=true").content == b"ours"
    for name, token in (("STORE", "wrong"), ("STORE", ""), ("MORE", None), ("", None), ("kv", None)):
        answer = bound.binding(name, token).get("/a?urlencoded=true")
        assert (answer.status_code, answer.json()["code"]) == (401, 10000)
    bound.channel.withdraw(other)
    assert bound.binding("MORE", other).get("/a?urlencoded=true").status_code == 401


def test_a_path_does_not_lead_to_another_product(bound: Bound) -> None:
    bound.binding("STORE").put("/..%2Fd1%2Fquery?urlencoded=true", content=b"a key")
    assert bound.binding("STORE").get("/..%2Fd1%2Fquery?urlencoded=true").content == b"a key"
    assert not (bound.root / ".edgecli" / "d1").exists()


def test_the_public_api_has_none_of_them(bound: Bound) -> None:
    assert bound.get("/kv/a?urlencoded=true").status_code == 404


def test_a_browser_is_not_there_yet(bound: Bound) -> None:
    answer = bound.binding("BROWSER").post("/v1/devtools/browser")
    assert answer.status_code == 501
    assert answer.text.startswith("edgecli has no browser for `env.BROWSER` yet.")


def test_a_route_that_is_not_there_is_named(bound: Bound) -> None:
    answer = bound.binding("AI").get("/run")
    assert (answer.status_code, answer.json()["description"]) == (405, "The `ai` binding has no GET /run here.")
