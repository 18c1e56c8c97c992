"""Bring the mirror up to date with Chroma after a crash, a restored backup, a damaged copy, or others' writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from pathlib import Path

import orjson

from edgecli.vectorize.chroma import ABSENT, Chroma, damaged, same_transactions, state_mark
from edgecli.vectorize.chroma_reader import Reading, UnreadableError
from edgecli.vectorize.comparison import compare
from edgecli.vectorize.mirror import Intent, Mirror
from edgecli.vectorize.places import Directory
from edgecli.vectorize.records import IndexRecord

_READ_IDS = 5000


ReadChroma = Callable[[Sequence[str] | None], AbstractContextManager[Iterator[Reading]]]


def bring_up_to_date(mirror: Mirror, open_chroma: Callable[[], Chroma], directory: Path, read: ReadChroma) -> None:
    """Make the mirror hold what Chroma holds in its directory; it is opened only if that is not proven already.

    Raises StateError, code `vector_store_damaged`, if Chroma cannot read its rows, or if they changed without it.
    """
    if mirror.damage is not None:
        raise damaged(Directory(directory), mirror.damage)
    intents = mirror.intents()
    mark = state_mark(directory)
    if not intents and (mirror.mark or ABSENT) == mark:
        return
    try:
        stale = _stale(mirror, read, mark, {intent.uid for intent in intents})
    except UnreadableError as error:
        mirror.set_damage(str(error))
        raise damaged(Directory(directory), str(error)) from error
    chroma = open_chroma()
    chroma.tidy()
    records = {record.uid: record for record in chroma.records()}
    if stale:
        mirror.unsettle()
    _take_over(mirror, chroma, records, stale)
    for uid in _read_again(mirror, chroma, records, intents):
        # A write that was cut off while Chroma kept its files may have changed more than its rows.
        if mirror.progress(uid).count != chroma.count(uid):
            _take_over(mirror, chroma, records, {uid})
    mirror.settle(chroma.mark())


def _stale(mirror: Mirror, read: ReadChroma, mark: str, intended: set[str]) -> set[str]:
    """Return which indexes of the mirror are not Chroma's, having read all that is in doubt."""
    known = {record.uid for record in mirror.records()}
    if intended:
        if intended & known:
            with read(sorted(intended & known)) as readings:
                deque(readings, maxlen=0)
        return set()
    if mark == ABSENT:
        raise UnreadableError("its database `chroma.sqlite3` is missing or empty")
    stale: set[str] = set()
    with read(None) as readings:
        for uid, rows in groupby(readings, lambda reading: reading.record.uid):
            # What is not known is read all the same, to see that it can be.
            look = partial(compare, mirror, uid) if uid in known else partial(deque[Reading], maxlen=0)
            if differences := look(rows):
                if same_transactions(mark, mirror.mark):
                    raise UnreadableError(f"files changed outside Chroma; rows in it are {differences}")
                stale.add(uid)
    return stale


def follow(mirror: Mirror, chroma: Chroma) -> set[str]:
    """Take over what others have written on a server, and return the indexes that changed."""
    records = {record.uid: record for record in chroma.records()}
    mark = chroma.mark()
    intents = mirror.intents()
    if mark == mirror.mark and not intents:
        return set()
    seen, found = _mutations(mirror.mark), _mutations(mark)
    changed = {uid for uid in seen.keys() | found.keys() if seen.get(uid) != found.get(uid)}
    _take_over(mirror, chroma, records, changed)
    for uid in changed & found.keys():
        mutation, processed_on, *_ = *found[uid].split(" "), ""
        mirror.resume(uid, mutation or None, processed_on or None)
    changed |= _read_again(mirror, chroma, records, intents)
    for uid in changed & records.keys():
        mark = chroma.note_again(uid)
    for intent in intents:
        if intent.uid in records and intent.mutation is not None:
            mark = chroma.note(intent.uid, intent.mutation)
    # What was written meanwhile is found by the next look, because the mark is from before.
    mirror.settle(mark)
    return changed


def _mutations(mark: str | None) -> dict[str, str]:
    return orjson.loads(mark) if mark else {}


def _take_over(mirror: Mirror, chroma: Chroma, records: dict[str, IndexRecord], stale: Iterable[str]) -> None:
    """Make the mirror have these indexes and no others, those that are stale anew."""
    for record in mirror.records():
        if record.uid not in records or record.uid in stale:
            mirror.remove(record.uid, None)
    known = {record.uid: record for record in mirror.records()}
    for record in records.values():
        if record.uid not in known:
            mirror.add(record, None)
            for batch in chroma.read_all(record.uid):
                mirror.write(record.uid, batch, mutation=None, mark=None)
        elif known[record.uid] != record:
            mirror.change(record, mutation=None, mark=None)


def _read_again(mirror: Mirror, chroma: Chroma, records: dict[str, IndexRecord], intents: list[Intent]) -> set[str]:
    """Read the rows of unfinished writes again, and return the indexes they are in."""
    for intent in intents:
        if intent.uid not in records:
            continue
        for start in range(0, max(len(intent.ids), 1), _READ_IDS):
            ids = intent.ids[start : start + _READ_IDS]
            batch = chroma.read(intent.uid, ids) if ids else None
            if batch is not None:
                mirror.write(intent.uid, batch, mutation=intent.mutation, mark=None)
            gone = sorted(set(ids) - set(batch.ids if batch else []))
            mirror.erase(intent.uid, gone, mutation=intent.mutation, mark=None)
    return {intent.uid for intent in intents if intent.uid in records}
