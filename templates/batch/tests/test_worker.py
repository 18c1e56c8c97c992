"""The routes of jobs: `python -m pytest`."""

import json
import time
from pathlib import Path

import pytest

DATA = (Path(__file__).resolve().parents[1] / "data" / "messages.jsonl").read_text(encoding="utf-8")
TEXTS = [json.loads(line) for line in DATA.splitlines()]


def finished(call, job):
    """Return the job when it has ended."""
    for _ in range(180):
        found = call("GET", f"/jobs/{job}").json()
        if found["status"] == "done" or "error" in found:
            return found
        time.sleep(1)
    pytest.fail("the job did not end")


def test_every_text_gets_its_answer(call):
    started = call("POST", "/jobs", DATA)
    assert started.status == 202, started.text
    assert started.json()["texts"] == len(TEXTS)
    job = started.json()["job"]
    assert job in [each["job"] for each in call("GET", "/jobs").json()["jobs"]]

    done = finished(call, job)
    assert done["status"] == "done", done
    assert [{"id": each["id"], "text": each["text"]} for each in done["answers"]] == TEXTS
    assert all(each["answer"] for each in done["answers"])
    assert call("GET", f"/jobs/{job}").json() == done  # from KV, without the queue

    assert call("DELETE", f"/jobs/{job}").status == 204
    assert call("GET", f"/jobs/{job}").status == 404


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", '{"id": "a"}', '{"id": "a", "text": ""}', '{"id": 1, "text": "x"}', '{"id": "a", "text": "x"}\n' * 2],
    ids=["none", "no JSON", "list", "no text", "empty", "number", "twice"],
)
def test_what_is_no_job_is_refused(call, body):
    answer = call("POST", "/jobs", body)
    assert answer.status == 400
    assert answer.json()["error"]


def test_too_many_texts_are_refused(call):
    lines = "\n".join(json.dumps({"id": str(number), "text": "x"}) for number in range(101))
    assert "not 101" in call("POST", "/jobs", lines).json()["error"]


def test_other_paths_are_not_found(call):
    assert call("GET", "/jobs/none").status == 404
    assert call("GET", "/nothing").status == 404
