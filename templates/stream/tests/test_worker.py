"""The stream's routes: `python -m pytest`."""

import pytest


def test_the_page_needs_no_network(call):
    page = call("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "EventSource" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_the_answer_comes_in_pieces(call):
    answer = call("GET", "/stream?prompt=Write+two+sentences+about+the+sea.")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.events()
    assert len(events) > 3
    assert "".join(event.get("response") or "" for event in events).strip()


@pytest.mark.parametrize("query", ["", "?prompt=", "?prompt=%20", "?prompt=" + "x" * 2001])
def test_a_missing_or_long_prompt_is_refused(call, query):
    answer = call("GET", "/stream" + query)
    assert answer.status == 400
    assert "prompt" in answer.json()["error"]


def test_other_paths_are_not_found(call):
    assert call("GET", "/nothing").status == 404
    assert call("POST", "/stream?prompt=x").status == 404
