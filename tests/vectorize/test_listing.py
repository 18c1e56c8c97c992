"""Lists of ids: pages of one moment, and cursors that are of no use."""

from __future__ import annotations

import base64
import json
import os
import time

import pytest

from edgecli.errors import UsageError
from tests.vectorize.conftest import Life

IDS = ["甲", 'q"', "line\nbreak", *map(str, range(7))]


@pytest.fixture
def listed(life: Life) -> Life:
    life(life.service.create("listed", 1, "cosine"))
    life(life.service.upsert("listed", [{"id": each, "values": [1]} for each in IDS]))
    return life


def pages(life: Life, count: int) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        page = life(life.service.list_vectors("listed", count, cursor))
        assert (page.count, page.total_count) == (len(page.vectors), len(IDS))
        assert page.is_truncated == (page.next_cursor is not None) == (page.cursor_expiration_timestamp is not None)
        found.append([vector.id for vector in page.vectors])
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("count", [1, 3, 5, 10, 1000])
def test_pages_are_whole_and_in_the_order_of_insertion(listed: Life, count: int) -> None:
    found = pages(listed, count)
    assert [each for page in found for each in page] == IDS
    assert all(len(page) == count for page in found[:-1])


def test_a_list_is_of_one_moment_and_goes_on_in_another_process(listed: Life) -> None:
    first = listed(listed.service.list_vectors("listed", 4))
    listed(listed.service.delete_by_ids("listed", IDS[5:]))
    listed(listed.service.upsert("listed", [{"id": "new", "values": [1]}]))
    listed.reopen()
    rest = listed(listed.service.list_vectors("listed", 1000, first.next_cursor))
    assert [vector.id for vector in rest.vectors] == IDS[4:]
    assert rest.total_count == len(IDS)
    now = listed(listed.service.list_vectors("listed", 1000))
    assert [vector.id for vector in now.vectors] == [*IDS[:5], "new"]


def test_an_empty_index_has_an_empty_list(life: Life) -> None:
    life(life.service.create("none", 1, "cosine"))
    page = life(life.service.list_vectors("none", 5))
    assert page.to_wire() == {"count": 0, "totalCount": 0, "isTruncated": False, "vectors": []}


def test_a_cursor_of_another_index_is_refused(listed: Life) -> None:
    cursor = listed(listed.service.list_vectors("listed", 4)).next_cursor
    listed(listed.service.create("other", 1, "cosine"))
    with pytest.raises(UsageError, match='belongs to another index than "other"'):
        listed(listed.service.list_vectors("other", 4, cursor))
    listed(listed.service.delete("listed"))
    assert list((listed.directory / "lists").iterdir()) == []
    listed(listed.service.create("listed", 1, "cosine"))
    with pytest.raises(UsageError, match="another index"):
        listed(listed.service.list_vectors("listed", 4, cursor))


def test_a_cursor_expires_and_its_file_goes(listed: Life) -> None:
    cursor = listed(listed.service.list_vectors("listed", 4)).next_cursor
    (file,) = (listed.directory / "lists").iterdir()
    os.utime(file, (0, time.time() - 3601))
    with pytest.raises(UsageError, match="expired"):
        listed(listed.service.list_vectors("listed", 4, cursor))
    listed(listed.service.upsert("listed", [{"id": "new", "values": [1]}]))
    listed(listed.service.list_vectors("listed", 4))
    assert not file.exists()


def test_what_is_no_cursor_is_refused(listed: Life) -> None:
    uid = listed(listed.service.uid("listed"))

    def encoded(*parts: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()

    cursor = listed(listed.service.list_vectors("listed", 4)).next_cursor
    assert cursor is not None
    _, token, offset, total = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    wrong = ["", "x", "字", "e30", encoded(uid), encoded(uid, "../../secret", 0, 1), encoded(uid, token, -1, 1)]
    for text in [*wrong, encoded(uid, token, 1.5, total), encoded(uid, token, offset - 1, total), encoded(1, 2, 3, 4)]:
        with pytest.raises(UsageError, match="cursor is none"):
            listed(listed.service.list_vectors("listed", 4, text))


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_a_page_has_1_to_1000_ids(listed: Life, count: int) -> None:
    with pytest.raises(UsageError, match="count is 1 to 1000"):
        listed(listed.service.list_vectors("listed", count))
