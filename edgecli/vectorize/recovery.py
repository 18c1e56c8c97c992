"""Bring the mirror up to date with Chroma after a crash, a restored backup, or a damaged copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecli.vectorize.chroma import ABSENT, Chroma, state_mark
from edgecli.vectorize.mirror import Intent, Mirror
from edgecli.vectorize.records import IndexRecord

_READ_IDS = 5000


def bring_up_to_date(mirror: Mirror, open_chroma: Callable[[], Chroma], directory: Path) -> None:
    """Make the mirror hold what Chroma holds; Chroma is opened only if that is not proven already."""
    intents = mirror.intents()
    mark = state_mark(directory)
    changed_by_others = not intents and (mirror.mark or ABSENT) != mark
    if not intents and not changed_by_others:
        return
    chroma = open_chroma()
    records = {record.uid: record for record in chroma.records()}
    for record in mirror.records():
        if record.uid not in records or changed_by_others:
            mirror.remove(record.uid, None)
    known = {record.uid for record in mirror.records()}
    for record in records.values():
        if record.uid not in known:
            _copy(mirror, chroma, record)
    for record in mirror.records():
        if record != records[record.uid]:
            mirror.change(records[record.uid], mutation=None, mark=None)
    for intent in intents:
        if intent.uid in known:
            _reread(mirror, chroma, intent)
    for uid in known:
        if mirror.progress(uid).count != chroma.count(uid):
            mirror.remove(uid, None)
            _copy(mirror, chroma, records[uid])
    mirror.settle(state_mark(directory))


def _copy(mirror: Mirror, chroma: Chroma, record: IndexRecord) -> None:
    mirror.add(record, None)
    for batch in chroma.read_all(record.uid):
        mirror.write(record.uid, batch, mutation=None, mark=None)


def _reread(mirror: Mirror, chroma: Chroma, intent: Intent) -> None:
    for start in range(0, len(intent.ids), _READ_IDS):
        ids = intent.ids[start : start + _READ_IDS]
        batch = chroma.read(intent.uid, ids)
        mirror.write(intent.uid, batch, mutation=intent.mutation, mark=None)
        gone = sorted(set(ids) - set(batch.ids))
        mirror.erase(intent.uid, gone, mutation=intent.mutation, mark=None)
