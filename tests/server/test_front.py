"""Who answers which request, and who cannot get in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from edgecli.config import load_project
from edgecli.runtime import Runtime
from edgecli.server.api import create_app
from edgecli.server.front import Front
from edgecli.workers.channel import BINDING_HEADER, TOKEN_HEADER, Channel
from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.deployed.store import DeployedStore
from edgecli.workers.journal import Event
from edgecli.workers.spec import Binding, WorkerSpec
from edgecli.workers.worker import Worker
from tests.workers.far_side import Machine

INDEXES = "/client/v4/accounts/a/vectorize/v2/indexes"


class Stage:
    """A front with a Worker of the far side's process, or without."""

    def __init__(self, root: Path, *, with_worker: bool, test_scheduled: bool = False) -> None:
        (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
        self.runtime = Runtime(load_project(cwd=root, config=None, env=None))
        self.channel = Channel(Starlette(routes=[Route("/{path:path}", self._asked, methods=["GET", "POST"])]))
        self.machine = Machine()
        self.spec = WorkerSpec("trial", root, root / "worker.py", (Binding("VECTORS", "vectorize", "docs"),))
        worker = Worker(self.spec, self.machine.launch, self.runtime.workers.journal)
        self.worker = self.runtime.workers.own = worker if with_worker else None
        deployed = DeployedWorkers(DeployedStore(root / "deployed"), self._no_other)
        self.front = Front(create_app(self.runtime), self.channel, self.worker, deployed, test_scheduled=test_scheduled)
        self.client = TestClient(self, base_url="http://localhost")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.front.platform(scope, receive, send)
            return
        if self.worker is not None and not self.machine.made:
            await self.worker.start()
        await self.front(scope, receive, send)

    @staticmethod
    def _no_other(spec: WorkerSpec) -> Worker:
        raise AssertionError("nothing is deployed here")

    @property
    def own(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.runtime.token}"}

    @staticmethod
    async def _asked(request: Request) -> Response:
        return JSONResponse({"path": request.url.path, "resource": request.state.binding.resource})


def _open(stage: Stage) -> Iterator[Stage]:
    with stage.client:
        yield stage
        assert stage.client.portal is not None
        if stage.worker is not None:
            stage.client.portal.call(stage.worker.stop)
        stage.client.portal.call(stage.runtime.close)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from _open(Stage(tmp_path, with_worker=True))


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Stage]:
    yield from _open(Stage(tmp_path, with_worker=False))


@pytest.fixture
def scheduled(tmp_path: Path) -> Iterator[Stage]:
    yield from _open(Stage(tmp_path, with_worker=True, test_scheduled=True))


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/client/v4", "/edge", "/edges/x", "/__scheduled"])
def test_the_workers_paths(stage: Stage, path: str) -> None:
    assert stage.client.get(path).text == "1"


def test_the_platforms_paths_beside_it(stage: Stage) -> None:
    assert stage.client.get(INDEXES).json()["success"]
    assert stage.client.get("/edge/healthz").text == "ok\n"
    assert stage.client.get("/edge/status").status_code == 401
    assert stage.client.get("/edge/metrics", headers=stage.own).status_code == 200
    assert stage.client.get("/_workers/nobody/").status_code == 404


def test_without_a_worker_the_server_is_what_it_was(bare: Stage) -> None:
    assert bare.client.get("/healthz").text == "ok\n"
    assert bare.client.get("/metrics", headers=bare.own).status_code == 200
    assert bare.client.get("/").status_code == 404
    assert bare.client.get("/edge/workers", headers=bare.own).json()["result"] == []


def test_the_worker_is_open_as_in_the_cloud(stage: Stage) -> None:
    there = {"host": "app.example", "origin": "https://page.example"}
    answer = stage.client.get("/", headers=there)
    assert answer.text == "1"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("headers", [{"origin": "https://page.example"}, {"origin": "null"}, {"host": "evil.example"}])
def test_pages_of_others_do_not_reach_the_platform(stage: Stage, headers: dict[str, str]) -> None:
    for path in (INDEXES, "/edge/healthz", "/edge/status"):
        answer = stage.client.post(path, headers=headers | {"content-type": "text/plain"}, content=b"{}")
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://page.example", "host": "localhost"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost"}, 401),
    ],
)
def test_nor_by_a_websocket(bare: Stage, headers: dict[str, str], status: int) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        bare.client.websocket_connect("/edge/status", headers=headers),
    ):
        pass
    assert caught.value.status_code == status


def test_the_channel_wants_a_token_that_was_granted(stage: Stage) -> None:
    token = stage.channel.grant(stage.spec)
    given = {TOKEN_HEADER: token, BINDING_HEADER: "VECTORS"}
    assert stage.client.post("/query", headers=given).json() == {"path": "/vectorize/query", "resource": "docs"}
    for wrong in (
        {TOKEN_HEADER: "made-up"},
        {TOKEN_HEADER: ""},
        {TOKEN_HEADER: stage.runtime.token},
        {TOKEN_HEADER: "made-up", BINDING_HEADER: "VECTORS"},
        {TOKEN_HEADER: token, BINDING_HEADER: "OTHER"},
        {TOKEN_HEADER: token},
    ):
        for path in ("/query", "/", INDEXES):
            assert stage.client.post(path, headers=wrong).status_code == 401, wrong
    stage.channel.withdraw(token)
    assert stage.client.post("/query", headers=given).status_code == 401


def test_the_binding_alone_opens_nothing(stage: Stage) -> None:
    assert stage.client.get("/vectorize/query", headers={BINDING_HEADER: "VECTORS"}).text == "1"


def test_names_that_nobody_deployed_are_not_kept_in_mind(bare: Stage) -> None:
    for number in range(5):
        assert bare.client.get(f"/_workers/nobody{number}/").status_code == 404
    assert bare.client.get("/", headers={"host": "nobody.localhost"}).status_code == 404
    assert not bare.front.deployed._locks


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "deployments", {"versions": ["v1"]}),
        ("PUT", "schedules", [{"corn": "* * * * *"}]),
        ("PUT", "schedules", {}),
        ("PATCH", "secrets", {"secrets": ["A"]}),
        ("PATCH", "secrets", {"secrets": {"A": "text"}}),
    ],
)
def test_a_body_of_another_form_is_said_to_be_one(bare: Stage, method: str, path: str, body: object) -> None:
    url = f"/client/v4/accounts/a/workers/scripts/trial/{path}"
    answer = bare.client.request(method, url, json=body, headers=bare.own)
    assert (answer.status_code, answer.json()["success"]) == (400, False)


@pytest.mark.parametrize("path", ["/__scheduled", "/cdn-cgi/handler/scheduled"])
def test_a_cron_by_hand(scheduled: Stage, path: str) -> None:
    answer = scheduled.client.get(path, params={"cron": "*/5 * * * *"})
    assert (answer.status_code, answer.text) == (200, "Ran scheduled event\n")
    assert scheduled.machine.made[0].crons == ["*/5 * * * *"]


def test_the_list_of_workers(stage: Stage) -> None:
    stage.client.get("/")
    (listed,) = stage.client.get("/edge/workers", headers=stage.own).json()["result"]
    assert listed == {
        "name": "trial",
        "main": str(stage.spec.main),
        "language": "python",
        "state": "running",
        "pid": 1,
        "requests": 0,
        "errors": 0,
        "error": None,
        "address": "/",
    }


def _event(method: str, line: str) -> Event:
    event = Event("trial", event={"request": {"url": "http://localhost/", "method": method, "headers": {}}})
    event.log("log", line)
    return event


def test_the_last_events(stage: Stage) -> None:
    journal = stage.runtime.workers.journal
    journal.add(_event("GET", "one"))
    journal.add(_event("POST", "two"))
    found = stage.client.get("/edge/workers/logs", params={"search": "two"}, headers=stage.own).json()["result"]
    assert [each["event"]["request"]["method"] for each in found] == ["POST"]
    for wrong in ({"sampling": "x"}, {"status": "bad"}):
        assert stage.client.get("/edge/workers/logs", params=wrong, headers=stage.own).status_code == 400
    missing = stage.client.get("/edge/workers/logs", params={"worker": "tria"}, headers=stage.own)
    assert missing.status_code == 404
    assert "`trial`" in missing.json()["errors"][0]["edge"]["hint"]


def test_whoever_has_no_token_reads_no_logs(stage: Stage) -> None:
    for path in ("/edge/workers", "/edge/workers/logs", "/edge/workers/tail"):
        assert stage.client.get(path).status_code == 401


def test_an_event_is_json(stage: Stage) -> None:
    stage.runtime.workers.journal.add(_event("GET", "退款"))
    body = stage.client.get("/edge/workers/logs", headers=stage.own).content
    assert json.loads(body)["result"][0]["logs"][0]["message"] == ["退款"]
