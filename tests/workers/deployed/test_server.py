"""Workers that are deployed onto a real server, with the requests of wrangler 4.86."""

from __future__ import annotations

import email
import email.policy
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import Server
from tests.workers.deployed.deployer import SCRIPTS, Deployer
from tests.workers.deployed.forms import PYTHON, SNAKE, files, form, snake

BROKEN = "import os\n\nraise RuntimeError('不行')\n"


def said(answer: httpx.Response) -> tuple[int, int, str]:
    error = answer.json()["errors"][0]
    return answer.status_code, error["code"], error["message"]


def test_a_worker_answers_below_its_path_and_at_its_host(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    answer = cloud.fetch("snake", "/a%20b/c?q=1&q=2").json()
    assert answer["a"] == "1"
    assert answer["url"].endswith("/a%20b/c?q=1&q=2") and "_workers" not in answer["url"]
    with cloud.server.http(host="snake.localhost:1234") as browser:
        assert browser.get("/client/v4/x").json()["url"] == "http://snake.localhost:1234/client/v4/x"
    with cloud.server.http(host="none.localhost") as browser:
        assert said(browser.get("/"))[:2] == (404, 10007)
    assert said(cloud.fetch("none"))[:2] == (404, 10007)
    assert cloud.fetch("snake", "").json()["url"].endswith("/")


def test_pages_of_other_origins_reach_a_worker_but_do_not_deploy(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    assert cloud.fetch("snake", headers={"origin": "https://example.com"}).status_code == 200
    with cloud.server.http(origin="https://example.com") as page:
        assert page.put(f"{SCRIPTS}/snake", files=files(snake())).status_code == 403
    for headers in ({}, {"authorization": "Bearer wrong"}):
        with cloud.server.http(**headers) as stranger:
            for method, path in (
                ("PUT", "snake"),
                ("DELETE", "snake"),
                ("PUT", "snake/secrets"),
                ("PATCH", "snake/settings"),
                ("POST", "snake/versions"),
                ("POST", "snake/deployments"),
                ("PUT", "snake/schedules"),
            ):
                refused = stranger.request(method, f"{SCRIPTS}/{path}", files=files(snake()))
                assert said(refused)[:2] == (401, 10000)
                assert "edgecli workers env" in said(refused)[2], "wrangler shows no hints"
            assert stranger.delete("/client/v4/accounts/any/workers/services/snake").status_code == 401
    assert cloud.fetch("snake").json()["a"] == "1"


@pytest.mark.parametrize(("source", "line"), [(BROKEN, 3), ("def x(:\n", 1), ("x = 1\nimport no_such_module\n", 2)])
def test_a_worker_that_does_not_start_is_refused_and_the_old_one_stays(cloud: Deployer, source: str, line: int) -> None:
    first = cloud.deploy("snake", snake())
    status, code, message = said(cloud.put("snake", snake(source=source)))
    assert (status, code) == (400, 10021)
    assert f"entry.py:{line}" in message
    assert cloud.fetch("snake").json()["a"] == "1"
    assert cloud.call("GET", "snake/versions")["items"][0]["id"] == first["tag"]
    assert said(cloud.put("fresh", snake(source=source)))[:2] == (400, 10021)
    assert said(cloud.fetch("fresh"))[:2] == (404, 10007)
    folders = cloud.server.root / ".edgecli" / "workers"
    assert not (folders / "fresh").exists() and len(list((folders / "snake").iterdir())) == 2


def test_another_deployment_takes_over(cloud: Deployer) -> None:
    cloud.deploy("snake", snake("1"))
    assert cloud.fetch("snake").json()["a"] == "1"
    cloud.deploy("snake", snake("2"))
    assert cloud.fetch("snake").json()["a"] == "2"


def test_versions_are_uploaded_and_deployed_apart(cloud: Deployer) -> None:
    cloud.deploy("snake", snake("1"))
    two = cloud.call(
        "POST", "snake/versions", files=files(snake("2", annotations={"workers/message": "zwei", "workers/tag": "z"}))
    )
    three = cloud.call("POST", "snake/versions", files=files(snake("3")))
    assert cloud.fetch("snake").json()["a"] == "1"
    assert [each["id"] for each in cloud.call("GET", "snake/versions")["items"]][:2] == [three["id"], two["id"]]
    assert cloud.call("GET", f"snake/versions/{three['id']}")["number"] == 3
    assert cloud.call("GET", f"snake/versions/{two['id']}")["metadata"]["author_email"] == "you@localhost"
    assert cloud.http.get(f"{SCRIPTS}/snake/versions/none").status_code == 404

    def deploy(version: str) -> httpx.Response:
        body = {"strategy": "percentage", "versions": [{"version_id": version, "percentage": 100}]}
        return cloud.http.post(f"{SCRIPTS}/snake/deployments", json=body)

    assert deploy(two["id"]).status_code == 200
    assert cloud.fetch("snake").json()["a"] == "2"
    (now,) = cloud.call("GET", "snake/deployments")["deployments"]
    assert (now["versions"][0]["version_id"], now["annotations"]) == (
        two["id"],
        {"workers/message": "zwei", "workers/tag": "z"},
    )
    assert deploy(two["id"]).status_code == 200, "what holds may be deployed again"
    assert deploy(three["id"]).status_code == 200
    assert cloud.fetch("snake").json()["a"] == "3"
    assert deploy(two["id"]).status_code == 400, "only the version that holds is kept"
    other = cloud.call("POST", "other/versions", files=files(snake("4")))
    assert deploy(other["id"]).status_code == 400, "a version of another Worker"
    split = {"versions": [{"version_id": "a", "percentage": 50}, {"version_id": "b", "percentage": 50}]}
    for body in (split, {}, {"versions": [1]}, []):
        assert cloud.http.post(f"{SCRIPTS}/snake/deployments", json=body).status_code == 400


def test_secrets_come_go_and_reach_the_worker_at_once(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    cloud.call("PUT", "snake/secrets", json={"name": "SECRET", "text": "geheim", "type": "secret_text"})
    assert cloud.fetch("snake").json()["secret"] == "geheim"
    inherit = {"type": "plain_text", "name": "A"}
    settings = {"bindings": [inherit, {"type": "secret_text", "name": "SECRET", "text": "neu"}]}
    cloud.call("PATCH", "snake/settings", files={"settings": (None, json.dumps(settings))})
    assert cloud.fetch("snake").json() | {"url": ""} == {"url": "", "a": "1", "secret": "neu"}
    cloud.call("PATCH", "snake/secrets", json={"secrets": {"MORE": {"text": "x"}, "SECRET": None}})
    assert cloud.call("GET", "snake/secrets") == [{"name": "MORE", "type": "secret_text"}]
    cloud.deploy("snake", snake("2"))
    assert [each["name"] for each in cloud.call("GET", "snake/secrets")] == ["MORE"], "a deployment keeps them"
    assert {"name": "MORE", "type": "secret_text"} in cloud.call("GET", "snake/settings")["bindings"]
    cloud.call("DELETE", "snake/secrets/MORE")
    assert said(cloud.http.delete(f"{SCRIPTS}/snake/secrets/MORE"))[:2] == (404, 10056)
    assert said(cloud.http.put(f"{SCRIPTS}/none/secrets", json={"name": "A", "text": "b"}))[:2] == (404, 10007)
    for body in ({}, {"name": "A"}, {"name": 1, "text": "b"}, {"name": "", "text": "b"}, {"name": "A", "text": 1}):
        assert cloud.http.put(f"{SCRIPTS}/snake/secrets", json=body).status_code == 400
    for secrets in ([], {"A": "b"}, {"A": {}}, {"A": {"text": 1}}):
        assert cloud.http.patch(f"{SCRIPTS}/snake/secrets", json={"secrets": secrets}).status_code == 400
    for text in ("{", "[]", "{}", '{"bindings": [1]}'):
        form = {"settings": (None, text)}
        assert cloud.http.patch(f"{SCRIPTS}/snake/settings", files=form).status_code == 400
    assert cloud.call("GET", "snake/secrets") == []


def test_a_secret_with_which_it_does_not_start_is_not_kept(cloud: Deployer) -> None:
    source = "from workers import env\nif getattr(env, 'BAD', None):\n    raise RuntimeError('bad')\n" + SNAKE
    cloud.deploy("snake", snake(source=source))
    answer = cloud.http.put(f"{SCRIPTS}/snake/secrets", json={"name": "BAD", "text": "1"})
    assert answer.status_code >= 400
    assert cloud.call("GET", "snake/secrets") == []
    assert cloud.fetch("snake").json()["a"] == "1"


def test_a_version_that_waits_has_its_secrets_and_the_crons_that_came_later(cloud: Deployer) -> None:
    keep = {"keep_bindings": ["secret_text", "secret_key"]}

    def put(name: str, text: str) -> httpx.Response:
        return cloud.http.put(f"{SCRIPTS}/snake/secrets", json={"name": name, "text": text})

    def upload(a: str, *secrets: dict[str, str], **metadata: Any) -> str:
        bindings = [{"type": "plain_text", "name": "A", "text": a}, *secrets]
        return cloud.call("POST", "snake/versions", files=files(snake(bindings=bindings, **metadata)))["id"]

    def deploy(version: str) -> None:
        cloud.call("POST", "snake/deployments", json={"versions": [{"version_id": version, "percentage": 100}]})

    cloud.deploy("snake", snake("1"))
    assert put("SECRET", "one").status_code == 200
    upload("2", {"type": "secret_text", "name": "SECRET", "text": "two"}, **keep)
    status, code, message = said(put("SECRET", "lost"))
    assert (status, code, "not deployed" in message) == (400, 10215, True)
    three = upload("3", **keep)
    cloud.call("PUT", "snake/schedules", json=[{"cron": "0 5 * * *"}])
    assert cloud.fetch("snake").json()["secret"] == "one"
    deploy(three)
    assert cloud.fetch("snake").json() | {"url": ""} == {"url": "", "a": "3", "secret": "two"}
    assert cloud.call("GET", "snake/schedules")["schedules"] == [{"cron": "0 5 * * *"}]
    assert put("SECRET", "three").status_code == 200, "older versions that wait are in nobody's way"
    deploy(upload("4"))
    assert cloud.fetch("snake").json()["secret"] == "three"
    deploy(upload("5", keep_bindings=["secret_key"]))
    assert cloud.fetch("snake").json()["secret"] is None, "`wrangler versions secret delete` names those that stay"


def test_a_version_is_read_with_the_token(cloud: Deployer) -> None:
    modules: dict[str, tuple[str, bytes | str]] = {"entry.py": (PYTHON, SNAKE), '"d"/文.md': ("text/plain", "文\r\n")}
    cloud.deploy("snake", form(modules, bindings=[{"type": "plain_text", "name": "A", "text": "1"}]))
    (version,) = cloud.call("GET", "snake/versions")["items"]
    path = f"{SCRIPTS}/snake/content/v2?version={version['id']}"
    answer = cloud.http.get(path)
    assert answer.headers["cf-entrypoint"] == "entry.py"
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP).iter_parts()
    found = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}
    assert found == {"entry.py": SNAKE.encode(), "%22d%22/文.md": "文\r\n".encode()}
    assert cloud.http.get(path.partition("?")[0]).headers["cf-entrypoint"] == "entry.py", "the one that holds"
    assert cloud.http.get(f"{path}x").status_code == 404
    with cloud.server.http() as stranger:
        assert stranger.get(path).status_code == 401


def test_crons_are_kept(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    cloud.call("PUT", "snake/schedules", json=[{"cron": "*/5 * * * *"}])
    for body in ({"a": 1}, [1], [{}], [{"cron": "* * L * *"}]):
        assert cloud.http.put(f"{SCRIPTS}/snake/schedules", json=body).status_code == 400
    assert "`* * L * *`" in said(cloud.http.put(f"{SCRIPTS}/snake/schedules", json=[{"cron": "* * L * *"}]))[2]
    assert cloud.call("GET", "snake/schedules")["schedules"] == [{"cron": "*/5 * * * *"}]


@pytest.mark.slow
def test_crons_are_run_also_after_a_restart(tmp_path: Path, edgecli_home: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n')
    source = SNAKE + "    async def scheduled(self, controller):\n        print('定时', controller.cron)\n"
    first = Server(tmp_path, edgecli_home, "--no-warm")
    try:
        cloud = Deployer(first)
        cloud.deploy("snake", snake(source=source))
        cloud.call("PUT", "snake/schedules", json=[{"cron": "* * * * *"}, {"cron": "0 0 30 2 *"}])
    finally:
        first.end()
    second = Server(tmp_path, edgecli_home, "--no-warm")
    try:
        cloud = Deployer(second)

        def crons() -> list[list[str]]:
            events = cloud.http.get("/edge/workers/logs").json()["result"]
            return [each["logs"][0]["message"] for each in events if each["event"] and "cron" in each["event"]]

        before = time.monotonic()
        while not crons() and time.monotonic() < before + 90:
            time.sleep(1)
        assert crons() == [["定时 * * * * *"]]
    finally:
        code, _ = second.end()
    assert code == 143


def test_deleting_ends_it(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    assert cloud.call("GET", "snake/references")["services"]["incoming"] == []
    service = "/client/v4/accounts/any/workers/services/snake?force=false"
    assert cloud.http.delete(service).json()["success"]
    assert said(cloud.fetch("snake"))[:2] == (404, 10007)
    assert said(cloud.http.delete(service))[:2] == (404, 10007)
    assert not (cloud.server.root / ".edgecli" / "workers" / "snake").exists()


def test_what_is_not_here_says_what_to_do(cloud: Deployer) -> None:
    cloud.deploy("snake", snake())
    status, _, message = said(cloud.http.post(f"{SCRIPTS}/snake/tails", json={"filters": []}))
    assert (status, f"`edgecli tail snake --cwd '{cloud.server.root}'`" in message) == (501, True)
    with cloud.server.http() as stranger:
        assert "/_workers/NAME/" in said(stranger.get("/_workers/"))[2]
    assets = cloud.http.post(f"{SCRIPTS}/snake/assets-upload-session", json={"manifest": {}})
    assert (assets.status_code, "static assets" in said(assets)[2]) == (400, True)
    assert "queues" in said(cloud.http.get("/client/v4/accounts/any/queues?name=jobs"))[2]
    room = {"type": "durable_object_namespace", "name": "ROOM", "class_name": "Room"}
    assert "`ROOM`" in said(cloud.put("snake", snake(bindings=[room])))[2]
    assert said(cloud.put("UP", snake()))[:2] == (400, 10016)
    assert said(cloud.put("snake", form({"../x.py": ("text/x-python", "")})))[:2] == (400, 10021)


def test_deployed_workers_share_the_stores_with_the_api(cloud: Deployer) -> None:
    source = (
        "from workers import Response, WorkerEntrypoint\n\nclass Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n        return Response(await self.env.KV.get('k'))\n"
    )
    made = cloud.http.post("/client/v4/accounts/any/storage/kv/namespaces", json={"title": "shared"}).json()["result"]
    cloud.http.put(f"/client/v4/accounts/any/storage/kv/namespaces/{made['id']}/values/k", content="值".encode())
    bindings = [{"type": "kv_namespace", "name": "KV", "namespace_id": made["id"]}]
    cloud.deploy("reader", snake(source=source, bindings=bindings))
    assert cloud.fetch("reader").text == "值"


def test_the_commands(cloud: Deployer) -> None:
    command = cloud.server.command
    cloud.deploy("snake", snake())
    address = f"{cloud.server.ready['address']}/_workers/snake/"
    (listed,) = json.loads(command("workers", "list", "--json").stdout)
    assert (listed["name"], listed["state"], listed["language"], listed["address"]) == (
        "snake",
        "running",
        "python",
        address,
    )
    assert address in command("workers", "list").stdout
    cloud.fetch("snake", "/seen")
    logs = json.loads(command("workers", "logs", "snake", "--json").stdout)
    assert [each for each in logs if each["event"] and each["event"]["request"]["url"].endswith("/seen")]
    assert any(address in str(each["logs"]) for each in logs), "where it was deployed to"
    assert command("workers", "logs", "none").returncode == 3
    variables = json.loads(command("workers", "env", "--json").stdout)
    assert variables["CLOUDFLARE_API_TOKEN"] == cloud.server.token
    assert f"export CLOUDFLARE_API_TOKEN={cloud.server.token}" in command("workers", "env").stdout
    with httpx.Client(headers={"authorization": f"Bearer {variables['CLOUDFLARE_API_TOKEN']}"}) as http:
        base = f"{variables['CLOUDFLARE_API_BASE_URL']}/accounts/{variables['CLOUDFLARE_ACCOUNT_ID']}"
        assert http.get(f"{base}/workers/scripts/snake/secrets").status_code == 200
    assert command("workers", "delete", "none", "--yes").returncode == 3
    unasked = command("workers", "delete", "snake")
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert json.loads(command("workers", "delete", "snake", "--yes", "--json").stdout) == {"deleted": "snake"}
    assert json.loads(command("workers", "list", "--json").stdout) == []
    assert "wrangler deploy" in command("workers", "list").stderr


def test_without_a_server_the_commands_say_so(project: Path, edgecli: Any) -> None:
    for words in (("list",), ("logs",), ("env",), ("delete", "x", "--yes")):
        done = edgecli("workers", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "edgecli serve" in done.stderr and "--cwd" in done.stderr


def test_deployed_workers_are_there_again_after_a_restart(tmp_path: Path, edgecli_home: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n')
    first = Server(tmp_path, edgecli_home, "--no-warm")
    try:
        cloud = Deployer(first)
        cloud.deploy("snake", snake("kept"))
        cloud.call("PUT", "snake/secrets", json={"name": "SECRET", "text": "s"})
        cloud.call("POST", "snake/versions", files=files(snake("never deployed")))
    finally:
        _, complaints = first.end()
    assert f"{first.ready['address']}/_workers/snake/" in complaints
    second = Server(tmp_path, edgecli_home, "--no-warm")
    try:
        cloud = Deployer(second)
        assert [each["state"] for each in cloud.http.get("/edge/workers").json()["result"]] == ["idle"]
        answer = cloud.fetch("snake").json()
        assert (answer["a"], answer["secret"]) == ("kept", "s")
        assert [each["state"] for each in cloud.http.get("/edge/workers").json()["result"]] == ["running"]
    finally:
        second.end()
