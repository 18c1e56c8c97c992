"""The configuration that is written for workerd, where no process is needed to see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.workers.process import Place, WorkerError
from edgecli.workers.workerd.capnp import Embed, Word, to_text
from edgecli.workers.workerd.config import unsupported
from edgecli.workers.workerd.sourcemap import SourceMap, map_trace
from tests.workers.workerd.serving import spec_of


def test_the_text_form_of_capnproto() -> None:
    value = {"a": [1, True, Word("host")], "b": {"c": Embed('/x/"q"')}, "d": 'é"\\\n中\x7f'}
    assert to_text(value) == (
        '(a = [\n1,\ntrue,\nhost\n], b = (c = embed "/x/\\x22q\\x22"), d = "é\\x22\\x5c\\x0a中\\x7f")'
    )
    with pytest.raises(TypeError, match="float"):
        to_text(1.5)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ({"durable_objects": {"bindings": [{"name": "ROOM", "class_name": "Room"}]}}, ["`ROOM` (Durable Object)"]),
        ({"queues": {"producers": [{"binding": "JOBS", "queue": "q"}], "consumers": []}}, ["`JOBS` (Queue)"]),
        ({"services": [{"binding": "AUTH", "service": "auth"}]}, ["`AUTH` (Worker)"]),
        ({"hyperdrive": [{"binding": "PG", "id": "x"}], "images": {"binding": "IMG"}}, ["`PG`", "`IMG`"]),
        ({"flagship": [{"binding": "FLAGS"}]}, ["`FLAGS` (Flagship)"]),
    ],
)
def test_a_binding_that_nothing_answers_is_named(tmp_path: Path, raw: dict[str, object], names: list[str]) -> None:
    problem = unsupported(spec_of(tmp_path, raw=raw))
    assert isinstance(problem, WorkerError) and problem.code == "unsupported_binding"
    assert all(name in problem.message for name in names)
    assert "Vectorize" in (problem.hint or "")


def test_what_binds_nothing_or_is_easily_missed_is_no_problem(tmp_path: Path) -> None:
    raw: dict[str, object] = {
        "queues": {"consumers": [{"queue": "q"}]},
        "services": [],
        "durable_objects": {"bindings": []},
    }
    raw |= {"version_metadata": {"binding": "VERSION"}}
    assert unsupported(spec_of(tmp_path, raw=raw)) is None


def a_map(tmp_path: Path, mappings: str, sources: list[str]) -> SourceMap:
    file = tmp_path / "out.js.map"
    file.write_text(json.dumps({"version": 3, "sources": sources, "mappings": mappings, "names": []}))
    return SourceMap(file, tmp_path)


def test_a_source_map_is_read_as_the_standard_says(tmp_path: Path) -> None:
    # Line 1: column 0 -> a.ts 1:1, column 4 -> a.ts 1:17. Line 3: column 2 -> b.ts 6:3, column 9 -> nobody.
    known = a_map(tmp_path, "AAAA,IAAgB;;ECKd,O", ["src/a.ts", "%E6%96%87/b.ts"])
    assert known.place(1, 1) == Place("src/a.ts", 1, 1)
    assert known.place(1, 9) == Place("src/a.ts", 1, 17)
    assert known.place(2, 1) is None
    assert known.place(3, 2) is None
    assert known.place(3, 3) == Place("文/b.ts", 6, 3)
    assert known.place(99, 1) is None


def encoded(number: int) -> str:
    value, text = abs(number) << 1 | (number < 0), ""
    while True:
        digit, value = value & 31, value >> 5
        text += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[digit | 32 * (value > 0)]
        if not value:
            return text


POSITION = st.tuples(st.integers(0, 2), st.integers(0, 10**6), st.integers(0, 10**6))
LINE = st.dictionaries(st.integers(0, 10**6), POSITION | st.none(), max_size=6)


@settings(deadline=None)
@given(lines=st.lists(LINE, max_size=6))
def test_what_was_written_into_a_map_is_read_from_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[int, tuple[int, int, int] | None]]
) -> None:
    texts: list[str] = []
    last = (0, 0, 0)
    for line in lines:
        segments: list[str] = []
        before = 0
        for column, position in sorted(line.items()):
            numbers = [column - before]
            before = column
            if position is not None:
                numbers += [new - old for new, old in zip(position, last, strict=True)]
                last = position
            segments.append("".join(map(encoded, numbers)))
        texts.append(",".join(segments))
    known = a_map(tmp_path_factory.mktemp("map"), ";".join(texts), ["a", "b", "c"])
    for number, line in enumerate(lines, 1):
        for column, position in line.items():
            if position is not None:
                source, source_line, source_column = position
                assert known.place(number, column + 1) == Place("abc"[source], source_line + 1, source_column + 1)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"sources": [], "mappings": "AAAA"}', '{"sources": 1, "mappings": "?"}']
)
def test_a_broken_source_map_leaves_the_trace_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / "out.js.map").write_text(content)
    trace = "Error: x\n    at f (out.js:1:5)"
    assert map_trace(trace, {"out.js": SourceMap(tmp_path / "out.js.map", tmp_path)}) == (trace, None)


def test_a_trace_loses_edgeclis_frames_and_gets_the_users_places(tmp_path: Path) -> None:
    known = {"out.js": a_map(tmp_path, "AAAA", ["a.ts"])}
    trace = "Error: x\n    at f (file:///bundle/out.js:1:1)\n    at g (out.js:1:3)\n    at h (edgecli-entry.mjs:9:9)"
    assert map_trace(trace, known) == ("Error: x\n    at f (a.ts:1:1)\n    at g (a.ts:1:1)", Place("a.ts", 1, 1))
