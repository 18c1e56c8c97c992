"""What the KV cache holds, as trees of token prefixes, and who may use its sequences.

A path from a root is a text whose keys and values have been computed. Texts that begin alike share the first nodes,
and in the cache they share the cells: llama.cpp lets a cell belong to several sequences. Each leaf is held by one
sequence that has all cells of its path; taking that sequence away frees what no other path shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Memory(Protocol):
    """What is needed of llama.cpp's KV cache: see `context.LlamaContext`."""

    def copy(self, source: int, target: int, start: int, end: int) -> None: ...

    def forget(self, sequence: int, start: int = 0, end: int = -1) -> None: ...


class Node:
    """A run of tokens that follows its parent's."""

    __slots__ = ("children", "end", "holder", "parent", "pins", "tokens", "used")

    def __init__(self, tokens: Sequence[int], parent: Node | None, holder: int | None = None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: dict[int, Node] = {}
        self.holder = holder
        """The sequence that has the path's cells, of a leaf; inner nodes are held by their leaves."""
        self.end: int = len(tokens) + (parent.end if parent else 0)
        """Tokens of the path up to here."""
        self.pins = 0
        """Running requests that read cells of this node or of one below."""
        self.used = 0
        """When it was asked for last."""


class PrefixCache:
    """The computed prefixes of one model: one tree for the bare model, and one for each adapter over it."""

    def __init__(self, memory: Memory, sequences: int) -> None:
        self._memory = memory
        self._free = list(range(sequences - 1, -1, -1))
        self._roots: dict[str, Node] = {}
        self._clock = 0
        self.size = 0
        """Cells that the trees hold."""

    def match(self, adapter: str, tokens: Sequence[int], limit: int) -> tuple[Node, int]:
        """Return the node that holds the longest known prefix of `tokens` and the prefix's length, at most `limit`."""
        self._clock += 1
        node, length = self._roots.setdefault(adapter, Node((), None)), 0
        while length < limit and (child := node.children.get(tokens[length])) is not None:
            child.used = self._clock
            same = common_length(child.tokens, tokens[length:limit])
            node, length = child, length + same
            if same < len(child.tokens):
                break
        return node, length

    def take_sequence(self) -> int | None:
        """Return an empty sequence, at the cost of prefixes that were not used for long; None if all are in use."""
        while not self._free:
            leaf = self._oldest_leaf()
            if leaf is None:
                return None
            self._remove(leaf)
        return self._free.pop()

    def give_back(self, sequence: int) -> None:
        """Empty a sequence and free it."""
        self._memory.forget(sequence)
        self._free.append(sequence)

    def pin(self, node: Node) -> None:
        """Keep the node's path until `release`."""
        for each in _up(node):
            each.pins += 1

    def release(self, node: Node) -> None:
        """End what `pin` began."""
        for each in _up(node):
            each.pins -= 1

    def read(self, node: Node, length: int, sequence: int) -> None:
        """Let an empty sequence have the first `length` tokens of the node's path. Pin the node first."""
        if length:
            self._memory.copy(_holder(node), sequence, 0, length)

    def insert(self, adapter: str, tokens: Sequence[int], sequence: int, own_from: int) -> None:
        """Take over a path that `sequence` has computed, and the sequence.

        The sequence's cells before position `own_from` came from here.
        """
        node, length = self.match(adapter, tokens, len(tokens))
        if length > own_from:  # somebody else computed the same meanwhile: one copy is enough
            self._memory.forget(sequence, own_from, length)
            self._memory.copy(_holder(node), sequence, own_from, length)
        if length == len(tokens):
            self.give_back(sequence)
            return
        if length < node.end:
            node = _split(node, length)
        leaf = Node(tokens[length:], node, sequence)
        leaf.used = self._clock
        node.children[tokens[length]] = leaf
        self.size += len(leaf.tokens)
        if node.holder is not None:  # it was a leaf; the longer path has its cells too
            self.give_back(node.holder)
            node.holder = None

    def evict(self, cells: int) -> int:
        """Free `cells` cells, the ends of those prefixes first that were not used for longest; return how many it were.

        What running requests read stays, so it may be fewer.
        """
        freed = 0
        while freed < cells and (leaf := self._oldest_leaf()) is not None:
            count = min(cells - freed, len(leaf.tokens))
            freed += count
            if count == len(leaf.tokens):
                self._remove(leaf)
            else:
                self._shorten(leaf, count)
        return freed

    def _oldest_leaf(self) -> Node | None:
        return min((leaf for leaf in self._leaves() if not leaf.pins), key=lambda leaf: leaf.used, default=None)

    def _shorten(self, leaf: Node, count: int) -> None:
        assert leaf.holder is not None
        leaf.tokens = leaf.tokens[:-count]
        leaf.end -= count
        self.size -= count
        self._memory.forget(leaf.holder, leaf.end)

    def _remove(self, leaf: Node) -> None:
        parent, holder = leaf.parent, leaf.holder
        assert parent is not None and holder is not None
        del parent.children[leaf.tokens[0]]
        self.size -= len(leaf.tokens)
        if parent.children or parent.parent is None:
            self.give_back(holder)
        else:
            self._memory.forget(holder, parent.end)
            parent.holder = holder

    def _leaves(self) -> Iterator[Node]:
        waiting = [child for root in self._roots.values() for child in root.children.values()]
        while waiting:
            node = waiting.pop()
            if node.holder is not None:
                yield node
            waiting += node.children.values()

    def clear(self) -> None:
        """Forget all prefixes that no request reads."""
        self.evict(self.size)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts share at their beginning."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    low, high = 0, most  # `low` are the same, `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _holder(node: Node) -> int:
    """Return a sequence that has the cells of the node's path."""
    while node.holder is None:
        node = next(iter(node.children.values()))
    return node.holder


def _up(node: Node | None) -> Iterator[Node]:
    while node is not None:
        yield node
        node = node.parent


def _split(node: Node, length: int) -> Node:
    """Cut a node in two, at `length` tokens of its path; return the upper part."""
    parent = node.parent
    assert parent is not None
    at = length - parent.end
    upper = Node(node.tokens[:at], parent)
    upper.used, upper.pins = node.used, node.pins
    parent.children[node.tokens[0]] = upper
    node.tokens, node.parent = node.tokens[at:], upper
    upper.children[node.tokens[0]] = node
    return upper
