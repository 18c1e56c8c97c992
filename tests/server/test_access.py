"""Who may call, by address, token, host and origin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edgecli.config import load_project
from edgecli.runtime import Runtime
from edgecli.server.access import is_loopback
from edgecli.server.api import create_app

INDEXES = "/client/v4/accounts/a/vectorize/v2/indexes"


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    return Runtime(load_project(cwd=tmp_path, config=None, env=None))


def _client(runtime: Runtime, **rules: object) -> Iterator[TestClient]:
    with TestClient(create_app(runtime, **rules), base_url="http://localhost") as client:  # type: ignore[arg-type]
        yield client
        assert client.portal is not None
        client.portal.call(runtime.close)


@pytest.fixture
def local(runtime: Runtime) -> Iterator[TestClient]:
    yield from _client(runtime)


@pytest.fixture
def local_with_token(runtime: Runtime) -> Iterator[TestClient]:
    yield from _client(runtime, public_token="secret")


@pytest.fixture
def public(runtime: Runtime) -> Iterator[TestClient]:
    yield from _client(runtime, public_token="secret", loopback=False)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.168.1.1", "127.0.0.1.example.com", "127.example.com", "localhost.example.com"]
)
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_on_this_machine_cloudflares_paths_are_open(local: TestClient) -> None:
    for headers in ({}, {"authorization": "Bearer anything"}, {"x-auth-key": "k", "x-auth-email": "e"}):
        assert local.get(INDEXES, headers=headers).status_code == 200


def test_own_paths_want_the_local_token(local: TestClient, runtime: Runtime) -> None:
    assert local.get("/edge/status").status_code == 401
    assert local.get("/edge/status", headers={"authorization": f"Bearer {runtime.token}"}).status_code == 200


def test_a_token_of_the_user_is_wanted_everywhere(local_with_token: TestClient, runtime: Runtime) -> None:
    assert local_with_token.get("/healthz").status_code == 200
    for path in (INDEXES, "/edge/status"):
        assert local_with_token.get(path).status_code == 401
        for token in ("secret", runtime.token):
            for headers in (
                {"authorization": f"Bearer {token}"},
                {"authorization": f"bearer {token}"},
                {"x-api-key": token},
                {"x-auth-key": token, "x-auth-email": "somebody@example.com"},
            ):
                assert local_with_token.get(path, headers=headers).status_code == 200
        assert local_with_token.get(path, headers={"x-api-key": "wrong"}).status_code == 401


def test_a_refusal_has_the_form_of_the_api_that_was_called(local_with_token: TestClient) -> None:
    base = "/client/v4/accounts/a/ai/v1"
    said = local_with_token.post(f"{base}/messages", json={})
    assert (said.status_code, said.json()["error"]["type"]) == (401, "authentication_error")
    assert said.json()["type"] == "error"
    said = local_with_token.post(f"{base}/responses", json={})
    assert (said.status_code, said.json()["error"]["code"]) == (401, "invalid_api_key")
    said = local_with_token.post(f"{base}/chat/completions", json={}).json()
    assert said["errors"][0]["code"] == 10000
    assert said["error"]["message"].startswith(said["errors"][0]["message"])


def test_on_other_addresses_any_host_may_be_named_but_not_without_the_token(public: TestClient) -> None:
    there = {"host": "models.example", "origin": "https://app.example"}
    assert public.get("/healthz", headers=there).status_code == 200
    assert public.get(INDEXES, headers=there).status_code == 401
    assert public.get(INDEXES, headers=there | {"authorization": "Bearer Secret"}).status_code == 401
    assert public.get(INDEXES, headers=there | {"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1"])
def test_other_hosts_are_refused_even_with_the_token(local: TestClient, runtime: Runtime, host: str) -> None:
    for path in ("/healthz", INDEXES, "/edge/status"):
        answer = local.get(path, headers={"host": host, "authorization": f"Bearer {runtime.token}"})
        assert (answer.status_code, answer.json()["errors"][0]["edge"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "null",
        "file://",
        "http://localhost:5173",
        "http://127.0.0.1",
        "http://[::1]:80",
    ],
)
def test_pages_of_others_are_refused_without_a_token(local: TestClient, runtime: Runtime, origin: str) -> None:
    for path in ("/healthz", INDEXES, "/edge/status"):
        answer = local.post(path, headers={"origin": origin, "content-type": "text/plain"}, content=b"{}")
        problem = answer.json()["errors"][0]["edge"]
        assert (answer.status_code, problem["code"]) == (403, "forbidden")
        assert "Authorization" in problem["hint"]
    there = {"origin": origin, "authorization": f"Bearer {runtime.token}"}
    assert local.get(INDEXES, headers=there).status_code == 200


def test_a_page_of_this_server_is_not(local: TestClient) -> None:
    assert local.get(INDEXES, headers={"origin": "http://localhost"}).status_code == 200
    at_a_port = {"host": "127.0.0.1:8787", "origin": "http://127.0.0.1:8787"}
    assert local.get(INDEXES, headers=at_a_port).status_code == 200


def test_what_does_not_exist_has_cloudflares_envelope(local: TestClient) -> None:
    body = local.get("/client/v4/nothing").json()
    assert (body["success"], body["result"], body["messages"], body["errors"][0]["code"]) == (False, None, [], 7000)
    assert local.get(INDEXES + "/").status_code == 404
    wrong = local.patch(INDEXES)
    assert wrong.status_code == 405
    assert "POST" in wrong.json()["errors"][0]["edge"]["hint"]
    answer = local.post(INDEXES, content=b"{")
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert local.post("/client/v4/accounts/a/ai/run/@cf/nobody/nothing", json={}).json()["result"] == {}
