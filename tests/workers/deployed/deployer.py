"""wrangler's requests to a real server."""

from __future__ import annotations

from typing import Any

import httpx

from tests.server.conftest import Server
from tests.workers.deployed.forms import Parts, files

SCRIPTS = "/client/v4/accounts/any/workers/scripts"


class Deployer:
    """Who deploys with the server's token."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = server.own()

    def put(self, name: str, parts: Parts) -> httpx.Response:
        return self.http.put(f"{SCRIPTS}/{name}", files=files(parts))

    def deploy(self, name: str, parts: Parts) -> Any:
        answer = self.put(name, parts)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, f"{SCRIPTS}/{path}", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def fetch(self, name: str, path: str = "/", **options: Any) -> httpx.Response:
        with self.server.http() as stranger:
            return stranger.get(f"/_workers/{name}{path}", **options)
