"""The routes over recorded answers, and the real clients that call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import anthropic
import httpx2
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from edgecli.ai.v1.failures import refused
from edgecli.ai.v1.routes import routes
from edgecli.errors import EdgeError
from tests.ai.v1.recorded import RecordedService
from tests.server.conftest import Server

BASE = "http://localhost/client/v4/accounts/any/ai"


@pytest.fixture
def service() -> RecordedService:
    return RecordedService()


@pytest.fixture
def transport(service: RecordedService) -> httpx2.ASGITransport:
    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, EdgeError)
        return refused(error, request.url.path)

    app = Starlette(routes=routes(), exception_handlers={EdgeError: refuse})
    app.state.runtime = SimpleNamespace(ai=service)
    return httpx2.ASGITransport(app)


@pytest.fixture
def openai_client(transport: httpx2.ASGITransport) -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(api_key="any", base_url=f"{BASE}/v1", http_client=http, max_retries=0)


@pytest.fixture
def anthropic_client(transport: httpx2.ASGITransport) -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=transport)
    return anthropic.AsyncAnthropic(api_key="any", base_url=BASE, http_client=http, max_retries=0)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[str]:
    """The address of a real server with the starter models, up to `/ai`."""
    root = tmp_path_factory.mktemp("served")
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    server = Server(root, edgecli_home)
    try:
        yield f"{server.ready['address']}/client/v4/accounts/any/ai"
    finally:
        server.end()
