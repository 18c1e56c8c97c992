"""`simulate_delay`: writes are durable at once and visible later."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edgecli.config.settings import Settings, seconds
from edgecli.errors import NotFoundError, StateError, UsageError
from edgecli.vectorize.schema import NewMetadataIndex, QueryRequest
from tests.vectorize.conftest import Life


def late(delay: str, **more: Any) -> Settings:
    settings = Settings()
    return dataclasses.replace(
        settings, vectorize=dataclasses.replace(settings.vectorize, simulate_delay=delay, **more)
    )


@pytest.fixture
def hours(life: Life) -> Life:
    """An index whose writes wait for an hour."""
    life(life.service.create("late", 2, "cosine"))
    life.reopen(late("1h"))
    return life


def rows(**values: list[float]) -> list[dict[str, Any]]:
    return [{"id": name, "values": each, "namespace": "n", "metadata": {"k": name}} for name, each in values.items()]


def stored(life: Life) -> dict[str, list[float]]:
    return {vector.id: vector.values for vector in life(life.service.get_by_ids("late", ["a", "b", "c"]))}


def waiting(life: Life) -> list[Path]:
    return sorted(life.directory.glob("pending*/*.mutation"))


def test_writes_wait_and_are_applied_in_order(hours: Life) -> None:
    service = hours.service
    hours(service.upsert("late", rows(a=[1, 1], b=[1, 1])))
    hours(service.insert("late", rows(a=[2, 2], c=[2, 2])))
    hours(service.delete_by_ids("late", ["b"]))
    last = hours(service.upsert("late", rows(b=[0.1, -0.0])))
    assert stored(hours) == {}
    before = hours(service.info("late"))
    assert (before.vector_count, before.processed_up_to_mutation) == (0, None)
    hours.reopen(late("1h"))
    assert stored(hours) == {}
    assert len(waiting(hours)) == 4
    hours.reopen(late("1ms"))
    time.sleep(0.002)
    info = hours(hours.service.info("late"))
    assert (info.vector_count, info.processed_up_to_mutation) == (3, last.mutation_id)
    assert {name: [float(v) for v in each] for name, each in stored(hours).items()} == {
        "a": [1, 1],
        "c": [2, 2],
        "b": [pytest.approx(0.1), 0],
    }
    assert waiting(hours) == []
    found = hours(hours.service.query("late", QueryRequest(vector=[2, 2], namespace="n", filter={"k": "c"})))
    assert [match.id for match in found.matches] == ["c"]


def test_a_write_becomes_visible_without_a_restart(life: Life) -> None:
    life(life.service.create("late", 2, "cosine"))
    service = life.reopen(late("300ms"))
    receipt = life(service.upsert("late", rows(a=[1, 1])))
    assert life(service.info("late")).processed_up_to_mutation is None
    deadline = time.monotonic() + 30
    while life(service.info("late")).processed_up_to_mutation != receipt.mutation_id:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stored(life) == {"a": [1, 1]}


def test_without_a_delay_what_waited_is_applied_first(hours: Life) -> None:
    hours(hours.service.upsert("late", rows(a=[1, 1])))
    service = hours.reopen()
    hours(service.insert("late", rows(a=[2, 2])))
    assert stored(hours) == {"a": [1, 1]}


def test_a_write_is_checked_at_once(hours: Life) -> None:
    with pytest.raises(UsageError, match="expected 2 dimensions"):
        hours(hours.service.upsert("late", rows(a=[1])))
    with pytest.raises(NotFoundError):
        hours(hours.service.upsert("none", []))
    assert waiting(hours) == []


def test_a_file_that_was_half_written_or_applied_already_does_no_harm(hours: Life) -> None:
    hours(hours.service.insert("late", rows(a=[1, 1])))
    hours(hours.service.delete_by_ids("late", ["a"]))
    first, _ = waiting(hours)
    kept = first.read_bytes()
    first.with_name("000000000003.new").write_bytes(kept[:50])
    hours.reopen()
    assert stored(hours) == {}
    # As after a crash between applying the first and deleting its file.
    hours(hours.service.insert("late", rows(b=[3, 3])))
    first.write_bytes(kept)
    hours.reopen()
    assert stored(hours) == {"a": [1, 1], "b": [3, 3]}


def test_what_waits_for_a_deleted_index_goes_with_it(hours: Life) -> None:
    hours(hours.service.upsert("late", rows(a=[1, 1])))
    hours(hours.service.delete("late"))
    hours(hours.service.create("late", 2, "cosine"))
    hours.reopen()
    assert hours(hours.service.info("late")).vector_count == 0


def test_metadata_indexes_wait_in_line(life: Life) -> None:
    life(life.service.create("late", 2, "cosine"))
    service = life.reopen(late("1h"))
    life(service.upsert("late", rows(a=[1, 1])))
    life(service.create_metadata_index("late", NewMetadataIndex(property_name="k", index_type="string")))
    life(service.upsert("late", rows(b=[1, 1])))
    assert life(service.metadata_indexes("late")).metadata_indexes == []
    for number in range(9):
        wanted = NewMetadataIndex(property_name=f"p{number}", index_type="number")
        life(service.create_metadata_index("late", wanted))
    with pytest.raises(UsageError, match="max is 10"):
        wanted = NewMetadataIndex(property_name="p9", index_type="number")
        life(service.create_metadata_index("late", wanted))
    service = life.reopen(late("0s", strict_metadata_indexes=True))
    found = life(service.query("late", QueryRequest(vector=[1, 1], filter={"k": {"$in": ["a", "b"]}})))
    assert [match.id for match in found.matches] == ["b"]


def test_a_clock_that_was_ahead_holds_nothing_back(hours: Life) -> None:
    hours(hours.service.upsert("late", rows(a=[1, 1])))
    (file,) = waiting(hours)
    line, _, values = file.read_bytes().partition(b"\n")
    header = json.loads(line) | {"written": time.time() + 1_000_000}
    file.write_bytes(json.dumps(header).encode() + b"\n" + values)
    hours.reopen(late("1h"))
    assert stored(hours) == {"a": [1, 1]}


def test_a_damaged_write_holds_nothing_back_once_it_is_deleted(hours: Life) -> None:
    hours(hours.service.upsert("late", rows(a=[1, 1])))
    hours(hours.service.upsert("late", rows(b=[1, 1])))
    service = hours.reopen(late("0s"))
    first, _ = waiting(hours)
    first.write_bytes(b"{")
    with pytest.raises(StateError, match="damaged") as caught:
        stored(hours)
    assert "Delete the file" in (caught.value.hint or "")
    first.unlink()
    assert stored(hours) == {"b": [1, 1]}
    hours(service.delete_by_ids("late", ["b"]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_that_cannot_be_kept_is_an_error(hours: Life, tmp_path: Path) -> None:
    hours.directory.chmod(0o500)
    try:
        with pytest.raises(StateError, match="pending"):
            hours(hours.service.upsert("late", rows(a=[1, 1])))
    finally:
        hours.directory.chmod(0o700)


@pytest.mark.parametrize(("text", "value"), [("0s", 0), ("500ms", 0.5), ("2s", 2), ("1.5m", 90), (" 1 h ", 3600)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "2", "2 sec", "-1s", "1e3s", "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)
