"""Continuous batching: many requests on one KV cache, each step one batch of what all of them need next.

A request that writes needs one token computed a step; one whose prompt is still being read needs as many as there is
room for. Requests join and leave between steps. What was computed stays in the prefix cache until its room is needed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgecli.ai.engines.generation import FinishReason, Piece
from edgecli.ai.engines.llama_cpp.adapters import Adapters
from edgecli.ai.engines.llama_cpp.counters import Counters
from edgecli.ai.engines.llama_cpp.job import Job
from edgecli.ai.engines.llama_cpp.logprobs import logprob
from edgecli.ai.engines.llama_cpp.prefix_cache import PrefixCache, common_length
from edgecli.ai.engines.llama_cpp.sampling import Sampler
from edgecli.errors import EdgeError, EngineError

if TYPE_CHECKING:
    from edgecli.ai.engines.llama_cpp.context import LlamaContext, Logits
    from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel

log = logging.getLogger("edgecli.ai")

WORTH_WAITING = 32
"""Tokens of a prefix that another request is computing just now, from which on waiting for it is better."""
RESERVE = 128
"""Cells kept for what an admitted request will write; one that writes more may have to make room later."""
EVICT_AT_LEAST = 64
"""Cells that are freed at once when a running request needs another."""
STEP_SECONDS = 0.25
"""What a step may take while others wait for their next token: prompts are read in pieces of about this. Half of it let
a stream flow more evenly, and made eight that come together a third slower: those that begin first write alone."""
IDLE_STEP_SECONDS = 1.5
"""The same where nobody waits; new requests and cancellations are seen between steps."""
FIRST_PIECE = 128
"""What is read at first, as long as nothing is known of the machine's speed."""
SMALLEST_PIECE = 32
"""What is read at least: fewer tokens cost nearly as much."""
_NOTHING = Piece()


class Batcher:
    """Run requests over one context, step by step. All calls come from one thread."""

    def __init__(
        self, model: GgufModel, context: LlamaContext, counters: Counters, *, slots: int, longest: int, exact: bool
    ) -> None:
        """`slots` requests run at once; each has at most `longest` tokens, prompt and answer.

        `exact` runs one request at a time, from an empty cache and in always the same pieces, so that the same request
        gives the same bits whatever ran before or runs elsewhere.
        """
        self._model = model
        self._context = context
        self._adapters = Adapters(model, context)
        self._slots = slots
        self._longest = longest
        self._exact = exact
        self._shares = not (exact or model.recurrent)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._cache = PrefixCache(context, context.sequences)
        self._turn = 0
        self._round = 0
        self._read_rate = 0.0  # tokens of prompts a second, of late
        self.counters = counters

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._running or self._waiting)

    @property
    def running(self) -> int:
        """Requests that run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    @property
    def cells_used(self) -> int:
        """Cells of the cache that hold something."""
        return self._cache.size + sum(job.done - job.shared for job in self._running)

    def add(self, job: Job) -> None:
        """Let a request wait for its turn."""
        self._waiting.append(job)

    def remove(self, job: Job) -> None:
        """End a request, if it has not ended; nothing more is heard of it."""
        if job in self._waiting:
            self._waiting.remove(job)
        elif job not in self._running:
            return
        self.counters.cancelled += 1
        self._end(job)

    def step(self) -> None:
        """Start what can start, and compute the next batch."""
        self._admit()
        if self._running:
            self._compute()

    # Joining

    def _admit(self) -> None:
        """Start waiting requests, the first first, while there is room."""
        for job in list(self._waiting):
            if len(self._running) >= self._slots:
                return
            started = self._start(job)
            if started is None:  # what it needs is being computed by another
                continue
            if not started:  # those behind it may not overtake it
                return
            self._waiting.remove(job)
            self._running.append(job)

    def _start(self, job: Job) -> bool | None:
        """Give a request its place in the cache; False if there is no room, None if it should rather wait."""
        limit = len(job.tokens) - 1 if self._shares else 0
        node, length = self._cache.match(job.adapter, job.tokens, limit)
        other, same = self._computing(job, limit)
        if other is not None and same >= length + WORTH_WAITING:
            if other.done < same:
                return None
            self._publish(other, same)
            # Even where it failed: prefixes may have left to make room for it.
            node, length = self._cache.match(job.adapter, job.tokens, limit)
        if self._exact:  # the same cells each time
            self._cache.clear()
            self._context.clear()
        self._cache.pin(node)
        missing = self._committed(job, length) - self._free()
        if missing > 0 and self._cache.evict(missing) < missing:
            self._cache.release(node)
            return False
        sequence = self._cache.take_sequence()
        if sequence is None:
            self._cache.release(node)
            return False
        self._cache.read(node, length, sequence)
        self._turn += 1
        job.sequence, job.node, job.shared, job.done, job.turn = sequence, node, length, length, self._turn
        if job.cached is None:
            job.cached = length
            self._begin(job)
        return True

    def _begin(self, job: Job) -> None:
        """What happens once for each request."""
        job.sampler = Sampler(
            self._model.lib, job.request, context=self._longest, vocabulary=self._model.vocabulary_size
        )
        self.counters.begin(job.prompt, job.cached or 0, waited=time.perf_counter() - job.arrived)
        if job.cut or job.warning:
            job.receive(Piece(cut=job.cut, warning=job.warning))

    def _computing(self, job: Job, limit: int) -> tuple[Job | None, int]:
        """Return the running request that shares the longest beginning with `job`, and its length."""
        best: tuple[Job | None, int] = (None, 0)
        for other in self._running:
            if other.adapter == job.adapter:
                same = min(common_length(other.tokens, job.tokens), limit)
                if same > best[1]:
                    best = (other, same)
        return best

    def _publish(self, job: Job, length: int) -> None:
        """Put the first tokens of a running request into the cache, for others to read, if there is a sequence."""
        sequence = self._cache.take_sequence()
        if sequence is None:
            return
        assert job.sequence is not None and job.node is not None
        tokens = job.tokens[:length]
        self._context.copy(job.sequence, sequence, 0, length)
        self._cache.insert(job.adapter, tokens, sequence, job.shared)
        node, _ = self._cache.match(job.adapter, tokens, length)
        self._cache.pin(node)
        self._cache.release(job.node)
        self._context.forget(job.sequence, 0, length)
        self._cache.read(node, length, job.sequence)
        job.node, job.shared = node, length

    # Room

    def _free(self) -> int:
        """Cells that no prefix holds and no running request has been promised."""
        return self._context.cells - self._cache.size - sum(self._committed(job, job.shared) for job in self._running)

    def _committed(self, job: Job, shared: int) -> int:
        return len(job.tokens) - shared + min(RESERVE, self._may_make(job))

    def _may_make(self, job: Job) -> int:
        return min(job.request.max_tokens - job.made, self._longest - len(job.tokens))

    def _make_room(self) -> None:
        """See that what is to be computed next fits: prefixes go first, then the requests that came last."""
        while (missing := self._cache.size + self._to_hold() - self._context.cells) > 0:
            if self._cache.evict(max(missing, EVICT_AT_LEAST)) >= missing or len(self._running) == 1:
                return
            last = max(self._running, key=lambda job: job.turn)
            self._leave(last)
            self._waiting.appendleft(last)
            self.counters.preempted += 1

    def _to_hold(self) -> int:
        """Cells that the running requests need, beyond what they share, for all tokens they have."""
        return sum(len(job.tokens) - job.shared for job in self._running)

    # Working

    def _compute(self) -> None:
        began = time.perf_counter()
        self._make_room()
        lane = self._lane()
        batch = self._context.batch
        batch.clear()
        asked: list[tuple[Job, int]] = []
        read = self._fill(lane, asked)
        try:
            self._adapters.use(lane[0].request.lora)
            computing = time.perf_counter()
            logits = self._context.decode()
            computed = time.perf_counter()
            if logits is None:
                raise EngineError("The KV cache is full though it should not be.", code="cache_full")
        except EngineError as error:
            self.fail_all(error)
            return
        for row, (job, index) in enumerate(asked):
            self._advance(job, index, logits[row])
        if read >= SMALLEST_PIECE:  # small pieces say little: they cost the weights all the same
            rate = batch.used / max(computed - computing, 1e-6)
            self._read_rate = rate if not self._read_rate else 0.7 * self._read_rate + 0.3 * rate
        self.counters.step(batch.used, computed - computing, time.perf_counter() - began - (computed - computing))

    def _lane(self) -> list[Job]:
        """Return the requests that may share a batch and whose turn it is: those of one adapter."""
        lanes: dict[str, list[Job]] = {}
        for job in self._running:
            lanes.setdefault(job.adapter, []).append(job)
        self._round += 1
        return list(lanes.values())[self._round % len(lanes)]

    def _fill(self, lane: Sequence[Job], asked: list[tuple[Job, int]]) -> int:
        """Write the batch; note in `asked` whose logits come and where; return the tokens of prompts in it."""
        batch = self._context.batch
        for job in lane:
            if job.pending == 1:
                assert job.sequence is not None
                batch.add(job.tokens[-1:], sequence=job.sequence, position=job.done, output=True)
                asked.append((job, batch.used - 1))
                job.done += 1
        writing = batch.used
        room = min(batch.room, self._piece(writing=bool(writing)))
        for job in lane:
            count = min(job.pending, room)
            if count < 1:
                continue
            assert job.sequence is not None
            whole = count == job.pending
            batch.add(job.tokens[job.done : job.done + count], sequence=job.sequence, position=job.done, output=whole)
            if whole:
                asked.append((job, batch.used - 1))
            job.done += count
            room -= count
        return batch.used - writing

    def _piece(self, *, writing: bool) -> int:
        """Return how many tokens of prompts this step may read."""
        if self._exact:
            return self._context.batch.size
        seconds = STEP_SECONDS if writing else IDLE_STEP_SECONDS
        return max(SMALLEST_PIECE, int(self._read_rate * seconds) or FIRST_PIECE)

    def _advance(self, job: Job, index: int, logits: Logits) -> None:
        """Draw a request's next token."""
        try:
            self._draw(job, index, logits)
        except EdgeError as error:
            self._fail(job, error)
        except Exception as error:
            log.exception("a request failed")
            self._fail(job, EngineError(f"Unexpected {type(error).__name__}: {error}", code="internal"))

    def _draw(self, job: Job, index: int, logits: Logits) -> None:
        assert job.sampler is not None
        raw = logits.copy() if job.request.logprobs is not None else None
        if job.matcher is not None:
            if job.matcher.ended:
                self._finish(job, "stop")
                return
            job.matcher.restrict(logits)
        token = job.sampler.draw(self._context.handle, index, logits)
        if job.made == 0:
            self.counters.first(time.perf_counter() - job.arrived)
        if self._model.ends(token):
            self._finish(job, "stop")
            return
        job.tokens.append(token)
        self.counters.made += 1
        if job.matcher is not None:
            job.matcher.accept(token)
        piece = job.writer.feed(job.structure.get(token) or self._model.piece(token))
        if raw is not None:
            known = logprob(raw, token, job.request.logprobs or 0, self._model.piece)
            piece = replace(piece, logprobs=(known,))
        if piece != _NOTHING:
            job.receive(piece)
        if job.writer.stopped:
            self._finish(job, "stop")
        elif self._may_make(job) < 1:
            self._finish(job, "length")

    # Leaving

    def _finish(self, job: Job, reason: FinishReason) -> None:
        """End a request whose answer is complete."""
        if (rest := job.writer.finish()) != _NOTHING:
            job.receive(rest)
        met = job.writer.stop_sequence
        job.receive(Piece(finish_reason=job.writer.reason(reason), stop_sequence=met, usage=job.usage))
        self.counters.finished += 1
        self._end(job)

    def _fail(self, job: Job, error: EdgeError) -> None:
        job.receive(error)
        self.counters.failed += 1
        self._end(job)

    def _end(self, job: Job) -> None:
        self._leave(job)
        if job.sampler is not None:
            job.sampler.close()

    def _leave(self, job: Job) -> None:
        """Take a request off the cache; what it has computed stays there for others."""
        if job in self._running:
            self._running.remove(job)
        if job.sequence is None:
            return
        sequence, node = job.sequence, job.node
        assert node is not None
        if job.done and self._shares:
            self._cache.insert(job.adapter, job.tokens[: job.done], sequence, job.shared)
        else:
            self._cache.give_back(sequence)
        self._cache.release(node)
        job.sequence = job.node = None
        job.done = job.shared = 0

    def fail_all(self, error: EngineError) -> None:
        """End everything that runs or waits: the cache's content is not certain any more."""
        for job in [*self._running, *self._waiting]:
            job.receive(error)
            self.counters.failed += 1
            if job.sampler is not None:
                job.sampler.close()
        self._running.clear()
        self._waiting.clear()
        self._context.clear()
        self._cache = PrefixCache(self._context, self._context.sequences)
