"""Workers AI on a running server, through Cloudflare's own SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudflare
import pytest

from tests.server.conftest import Server

pytestmark = [pytest.mark.models, pytest.mark.slow]

SMOL, GLM = "@edge/smollm2-135m-instruct", "@cf/zai-org/glm-4.7-flash"
MINILM = "@edge/all-minilm-l6-v2"
ACCOUNT = {"account_id": "local"}
BRIEF: dict[str, Any] = {"prompt": "Say hello.", "max_tokens": 8, "seed": 1}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[Server]:
    """A server in whose project a small model stands in for a newer one."""
    root = tmp_path_factory.mktemp("workers-ai")
    (root / "wrangler.toml").write_text(f'name = "test"\n[edgecli.models."{GLM}"]\nuse = "{SMOL}"\n', "utf-8")
    server = Server(root, edgecli_home)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def client(running: Server) -> cloudflare.Cloudflare:
    return cloudflare.Cloudflare(api_token="any", base_url=f"{running.ready['address']}/client/v4", max_retries=0)


def test_text_and_chat_completions(client: cloudflare.Cloudflare) -> None:
    said: Any = client.ai.run(SMOL, **ACCOUNT, **BRIEF)
    assert said["response"]
    assert said["usage"]["total_tokens"] == said["usage"]["prompt_tokens"] + said["usage"]["completion_tokens"]
    completion: Any = client.ai.run(GLM, **ACCOUNT, **BRIEF)
    assert completion["choices"][0]["message"]["content"] == said["response"]
    assert completion["model"] == GLM


def test_a_stream(client: cloudflare.Cloudflare) -> None:
    said: Any = client.ai.run(SMOL, **ACCOUNT, **BRIEF)
    body = BRIEF | {"stream": True}
    with client.ai.with_streaming_response.run(SMOL, **ACCOUNT, **body) as answer:  # type: ignore[arg-type]
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(event["response"] for event in events) == said["response"]
    assert events[-1]["usage"]["completion_tokens"] == said["usage"]["completion_tokens"]


def test_many_at_once(running: Server) -> None:
    async def main() -> list[Any]:
        async with cloudflare.AsyncCloudflare(
            api_token="any", base_url=f"{running.ready['address']}/client/v4"
        ) as client:
            return await asyncio.gather(*(client.ai.run(SMOL, **ACCOUNT, **BRIEF) for _ in range(12)))

    assert len({answer["response"] for answer in asyncio.run(main())}) == 1


def test_errors_are_the_sdks_own(client: cloudflare.Cloudflare) -> None:
    with pytest.raises(cloudflare.BadRequestError) as caught:
        client.ai.run(SMOL, **ACCOUNT, prompt="a", top_k=51)
    assert caught.value.errors[0].code == 5006
    with pytest.raises(cloudflare.BadRequestError) as caught:
        client.ai.run("@cf/none/at-all", **ACCOUNT, prompt="a")
    assert caught.value.errors[0].code == 5007
    with pytest.raises(cloudflare.BadRequestError, match="9031 tokens"):
        client.ai.run(SMOL, **ACCOUNT, prompt="hello " * 9000)


def test_the_catalog_page_by_page(client: cloudflare.Cloudflare) -> None:
    items: list[Any] = list(client.ai.models.list(**ACCOUNT, per_page=40))
    names = [item["name"] for item in items]
    assert len(names) == len(set(names)) > 100
    assert [item["name"] for item in client.ai.models.list(**ACCOUNT, search="glm-4.7")] == [GLM]
    schema = client.ai.models.schema.get(**ACCOUNT, model=GLM)
    assert schema is not None
    assert len(list(client.ai.tasks.list(**ACCOUNT))) == 12
    assert list(client.ai.authors.list(**ACCOUNT))


def test_a_batch(running: Server) -> None:
    path = f"/client/v4/accounts/local/ai/run/{MINILM}?queueRequest=true"
    with running.http() as client:
        queued = client.post(path, json={"requests": [{"text": "a", "external_reference": "x"}]}).json()["result"]
        result: dict[str, Any] = queued
        while "status" in result:
            result = client.post(path, json={"request_id": queued["request_id"]}).json()["result"]
    assert result["responses"][0]["result"]["shape"] == [1, 384]
    assert result["responses"][0]["external_reference"] == "x"
