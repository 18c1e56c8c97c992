"""The Worker's routes: `python -m pytest`. The documents must be in the index; see README.md."""

import pytest

QUESTION = "How+long+do+I+have+to+ask+for+a+refund%3F"


def test_a_question_is_answered_from_the_documents(call):
    answer = call("GET", f"/?q={QUESTION}")
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["answer"].strip()
    assert "docs/refunds.md" in [source["file"] for source in body["sources"]]
    assert [source["n"] for source in body["sources"]] == [1, 2, 3, 4]
    assert any("30 days" in source["text"] for source in body["sources"])


def test_a_question_in_json_finds_chinese_documents(call):
    answer = call("POST", "/", {"question": "退款政策"})
    assert answer.status == 200, answer.text
    assert any("zh/" in source["file"] for source in answer.json()["sources"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", None),
        ("GET", "/?q=%20", None),
        ("GET", "/?q=" + "x" * 2001, None),
        ("POST", "/", "{"),
        ("POST", "/", []),
        ("POST", "/", {"question": 5}),
    ],
)
def test_what_is_no_question_is_refused(call, method, path, body):
    answer = call(method, path, body)
    assert answer.status == 400
    assert "question" in answer.json()["error"]


def test_a_search_shows_the_sources_only(call):
    body = call("GET", f"/search?q={QUESTION}").json()
    assert list(body) == ["sources"]
    assert len(body["sources"]) == 4


def test_the_stream_begins_with_the_sources(call):
    answer = call("GET", f"/stream?q={QUESTION}")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *rest = answer.events()
    assert first["sources"][0]["n"] == 1
    assert "".join(event.get("response") or "" for event in rest).strip()


def test_other_paths_are_not_found(call):
    assert call("GET", "/nothing").status == 404
