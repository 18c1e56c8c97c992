"""The prefix cache over a model of llama.cpp's cells: it never loses a cell, never counts one twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgecli.ai.engines.llama_cpp.prefix_cache import Node, PrefixCache, common_length

SEQUENCES = 6
texts = st.lists(st.integers(0, 2), min_size=2, max_size=10)


@dataclass
class Cells:
    """llama.cpp's unified cache: each cell has a position, a token and the sequences that own it."""

    cells: list[tuple[int, int, set[int]]] = field(default_factory=list[tuple[int, int, set[int]]])

    def compute(self, sequence: int, start: int, tokens: list[int]) -> None:
        self.cells += [(start + offset, token, {sequence}) for offset, token in enumerate(tokens)]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        for position, _, owners in self.cells:
            if source in owners and start <= position < end:
                assert target not in owners, "a cell was given to a sequence twice"
                owners.add(target)

    def forget(self, sequence: int, start: int = 0, end: int = -1) -> None:
        for position, _, owners in self.cells:
            if position >= start and (end < 0 or position < end):
                owners.discard(sequence)
        self.cells = [cell for cell in self.cells if cell[2]]

    def text(self, sequence: int) -> list[int]:
        found = sorted((position, token) for position, token, owners in self.cells if sequence in owners)
        assert [position for position, _ in found] == list(range(len(found))), "a text with holes or doubles"
        return [token for _, token in found]


@dataclass
class Running:
    tokens: list[int]
    sequence: int
    node: Node
    shared: int
    done: int
    adapter: str


class Life(RuleBasedStateMachine):
    """Requests come, compute and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = Cells()
        self.cache = PrefixCache(self.cells, SEQUENCES)
        self.running: list[Running] = []

    @rule(tokens=texts, adapter=st.sampled_from(["", "lora"]))
    def come(self, tokens: list[int], adapter: str) -> None:
        node, length = self.cache.match(adapter, tokens, len(tokens) - 1)
        assert length < len(tokens)
        self.cache.pin(node)
        sequence = self.cache.take_sequence()
        if sequence is None:
            self.cache.release(node)
            assert self.running, "nobody runs, and no sequence is free"
            return
        assert self.cells.text(sequence) == []
        self.cache.read(node, length, sequence)
        assert self.cells.text(sequence) == tokens[:length]
        self.running.append(Running(tokens, sequence, node, length, length, adapter))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), count=st.integers(1, 4))
    def compute(self, data: st.DataObject, count: int) -> None:
        one = data.draw(st.sampled_from(self.running))
        new = one.tokens[one.done : one.done + count]
        self.cells.compute(one.sequence, one.done, new)
        one.done += len(new)
        assert self.cells.text(one.sequence) == one.tokens[: one.done]

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.running))
        self.running.remove(one)
        if one.done:
            self.cache.insert(one.adapter, one.tokens[: one.done], one.sequence, one.shared)
            _, length = self.cache.match(one.adapter, one.tokens, len(one.tokens))
            assert length >= one.done
        else:
            self.cache.give_back(one.sequence)
        self.cache.release(one.node)

    @rule(cells=st.integers(1, 12))
    def evict(self, cells: int) -> None:
        before = len(self.cells.cells)
        freed = self.cache.evict(cells)
        assert len(self.cells.cells) == before - freed

    @invariant()
    def every_cell_is_counted_once(self) -> None:
        own = sum(one.done - one.shared for one in self.running)
        assert len(self.cells.cells) == self.cache.size + own

    @invariant()
    def nobody_lost_a_token(self) -> None:
        for one in self.running:
            assert self.cells.text(one.sequence) == one.tokens[: one.done]

    def teardown(self) -> None:
        while self.running:
            one = self.running.pop()
            self.cache.insert(one.adapter, one.tokens[: one.done], one.sequence, one.shared)
            self.cache.release(one.node)
        self.cache.clear()
        assert (self.cache.size, self.cells.cells) == (0, [])


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_common_length() -> None:
    assert common_length([], [1]) == 0
    assert common_length([1, 2, 3], [1, 2, 3, 4]) == 3
    assert common_length([1, 2, 3], [2, 2, 3]) == 0
    for same in range(20):
        assert common_length([0] * same + [1] * 20, [0] * same + [2] * 20) == same
