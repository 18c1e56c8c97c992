"""The chat's routes: `python -m pytest`."""

import pytest


def test_the_page_is_whole_and_needs_no_network(call):
    page = call("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "发送" in page.text


@pytest.mark.parametrize("question", ["What is the capital of France?", "你好！"])
def test_an_answer_is_streamed(call, question):
    answer = call("POST", "/api/chat", {"messages": [{"role": "user", "content": question}]})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.events()
    assert len(events) > 2
    assert "".join(event.get("response") or "" for event in events).strip()


def test_a_long_conversation_is_answered(call):
    history = [{"role": role, "content": "a lantern " * 100} for role in ("user", "assistant") * 5]
    answer = call("POST", "/api/chat", {"messages": [*history, {"role": "user", "content": "And now?"}]})
    assert answer.status == 200
    assert answer.events()


@pytest.mark.parametrize(
    "body",
    [
        "{",
        {},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "Hello"}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x" * 2001}]},
        {"messages": [{"role": "user", "content": 5}]},
    ],
    ids=["no JSON", "nothing", "empty", "assistant", "system", "long", "number"],
)
def test_what_is_no_conversation_is_refused(call, body):
    answer = call("POST", "/api/chat", body)
    assert answer.status == 400
    assert "messages" in answer.json()["error"]


def test_other_paths_are_not_found(call):
    assert call("GET", "/nothing").status == 404
