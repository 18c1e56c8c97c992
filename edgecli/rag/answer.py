"""Answer questions from retrieved passages, with every citation checked before it is shown."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from edgecli.ai.choice import check_task
from edgecli.errors import UsageError
from edgecli.models.schema import Task
from edgecli.rag.citations import SentenceStream, Statement, judge, read_markers
from edgecli.rag.evidence import Evidence, Passage
from edgecli.rag.lexical import all_terms, cjk_share, held_content, terms
from edgecli.rag.schema import Answer, AskRequest, Dropped, Hit, Method, QueryRequest, QueryResult, Source

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors
    from edgecli.ai.service import AiService
    from edgecli.config.project import Project
    from edgecli.rag.retrieve import RetrievalService

SYSTEM_PROMPT = (
    "You answer questions from the numbered sources that the user gives. Use only what the sources say. "
    "Answer in one to three short sentences, in the language of the question, "
    "and end each sentence with the number of its source in brackets, like [1]. "
    "If the sources do not hold the answer, say that you cannot find it."
)
MIN_SIMILARITY = 0.3
"""Cosine similarity from which a passage counts as evidence, whatever its words."""
MIN_WORD_SHARE = 0.5
"""Share of the question's words that a passage must hold to count as evidence without that similarity."""
MANY_CHARACTERS = 6
"""Characters of a Chinese question, three words, that suffice without that share: long questions tell a story."""
PATIENCE = 2
"""Unsupported statements in a row after which the model is not listened to any longer."""
_STOPS = " \n.,;:!?。，；：！？"
NO_EVIDENCE = "I found nothing about this in the documents of this index."
NO_EVIDENCE_CHINESE = "在这个索引的文档中没有找到相关内容。"


class AnswerService:
    """Answer questions from the indexes of one project."""

    def __init__(self, project: Project, ai: AiService, retrieval: RetrievalService) -> None:
        self._settings = project.settings
        self._ai = ai
        self._retrieval = retrieval

    async def ask(self, request: AskRequest) -> Answer:
        """Answer a question; see `stream`."""
        last: dict[str, Any] = {}
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                last = event
        last.pop("event")
        return Answer.model_validate(last)

    async def stream(self, request: AskRequest) -> AsyncGenerator[dict[str, Any]]:
        """Answer a question: yield `sources`, then pieces of the answer as `response`, then `done` with it all.

        A piece is a whole sentence with the citations that hold; sentences that no source supports are left out
        and listed. If nothing is left, the sentences that fit the question best are quoted. Without evidence the
        model is not asked, and the answer says so. Raises UsageError for an empty question.
        """
        started = time.perf_counter()
        if not request.question.strip():
            raise UsageError("The question is empty.", hint='Ask something: `edgecli rag ask "…"`.', code="empty_query")
        model = request.model or self._settings.generation_model
        check_task(self._ai.spec(model), Task.TEXT_GENERATION)
        found = await self._retrieve(request)
        multilingual = "multilingual" in self._ai.spec(found.embedding_model).capabilities
        common = await self._retrieval.common_words(found.index, request.question)
        evidence = [
            hit for hit in found.hits if is_evidence(hit, request.question, understands_cjk=multilingual, common=common)
        ]
        chosen, dropped = await self._fit(model, evidence)
        sources = [_source(number, hit) for number, hit in enumerate(chosen, start=1)]
        retrieved = time.perf_counter()
        yield {
            "event": "sources",
            "sources": [source.model_dump() for source in sources],
            "dropped": [one.model_dump() for one in dropped],
        }
        draft = await self._draft(request, found.embedding_model, sources)
        if sources:
            async with aclosing(self._generate(model, request, sources, draft)) as pieces:
                async for piece in pieces:
                    yield {"response": piece}
        if draft.method == "none":
            for piece in draft.quote(request.question):
                yield {"response": piece}
        answer = Answer(
            answer=draft.text().strip(),
            method=draft.method,
            sources=sources,
            cited=draft.cited(),
            grounded=draft.grounded(),
            unsupported=draft.unsupported,
            dropped=dropped,
            model=self._ai.spec(model).display_name,
            usage=draft.usage,
            timings={
                "retrieve": round(retrieved - started, 4),
                "generate": round(time.perf_counter() - retrieved, 4),
                "total": round(time.perf_counter() - started, 4),
            },
        )
        yield {"event": "done", **answer.model_dump()}

    async def _draft(self, request: AskRequest, embedding_model: str, sources: Sequence[Source]) -> _Draft:
        """Prepare the check of the answer: the sources' sentences and the question, embedded."""
        multilingual = "multilingual" in self._ai.spec(embedding_model).capabilities
        evidence = Evidence([Passage(one.heading, one.text, one.file) for one in sources], understands_cjk=multilingual)
        if evidence.sentences:
            vectors = _normalised(await self._ai.embed(embedding_model, [*evidence.sentences, request.question]))
            evidence.ask(request.question, vectors[:-1], vectors[-1])
        return _Draft(evidence, embedding_model, len(sources))

    async def _retrieve(self, request: AskRequest) -> QueryResult:
        return await self._retrieval.query(
            QueryRequest(
                query=_search_text(request),
                index=request.index,
                top_k=request.top_k,
                mode=request.mode,
                filter=request.filter,
                spread=False,
            )
        )

    async def _fit(self, model: str, hits: Sequence[Hit]) -> tuple[list[Hit], list[Dropped]]:
        """Keep the best passages that fit into the token budget, whole; say which do not."""
        budget = self._settings.rag.context_tokens
        counts = await self._ai.count_tokens(model, [_rendered(1, hit.file, hit.heading, hit.text) for hit in hits])
        chosen: list[Hit] = []
        dropped: list[Dropped] = []
        for hit, tokens in zip(hits, counts, strict=True):
            if tokens <= budget:
                chosen.append(hit)
                budget -= tokens
            else:
                dropped.append(Dropped(id=hit.id, file=hit.file, heading=hit.heading, tokens=tokens))
        return chosen, dropped

    async def _generate(
        self, model: str, request: AskRequest, sources: Sequence[Source], draft: _Draft
    ) -> AsyncGenerator[str]:
        inputs: dict[str, Any] = {
            "messages": _messages(request, self._settings.rag.system_prompt, sources),
            "max_tokens": request.max_tokens or self._settings.rag.max_tokens,
            "temperature": 0.0 if request.temperature is None else request.temperature,
            "repetition_penalty": 1.1,
            "split_reasoning": True,
            "seed": request.seed or 1,  # the same question always gets the same answer
        }
        async with aclosing(self._sentences(model, inputs, draft)) as sentences:
            async for sentence in sentences:
                text, claimed = read_markers(sentence)
                vector = _normalised(await self._ai.embed(draft.embedding_model, [text]))[0] if text.strip() else None
                if piece := draft.say(text, claimed, vector):
                    yield piece
                if draft.lost:
                    break
        if not draft.usage["total_tokens"]:  # the model was stopped, so it told no usage
            prompt = await self._ai.count_prompt(model, inputs)
            written = (await self._ai.count_tokens(model, [draft.heard]))[0]
            draft.usage = {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
            }

    async def _sentences(self, model: str, inputs: dict[str, Any], draft: _Draft) -> AsyncGenerator[str]:
        stream = SentenceStream()
        async with aclosing(self._ai.stream(model, inputs)) as events:
            async for event in events:
                draft.usage = event.get("usage") or draft.usage
                piece = event.get("response") or ""
                draft.heard += piece
                for sentence in stream.push(piece):
                    yield sentence
        for sentence in stream.finish():
            yield sentence


class _Draft:
    """The answer as far as it has been said. What the sources contradict or do not hold is left out."""

    def __init__(self, evidence: Evidence, embedding_model: str, sources: int) -> None:
        self.embedding_model = embedding_model
        self.usage: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        self.heard = ""
        """All that the model has said."""
        self.unsupported: list[str] = []
        self.method: Method = "none"
        self.lost = False
        """Whether the model has left the sources, so that asking it further is of no use."""
        self._evidence = evidence
        self._sources = sources
        self._said: list[Statement] = []
        self._opening = ""
        self._in_a_row = 0

    def say(self, text: str, claimed: list[int], vector: Vectors | None) -> str:
        """Take the model's next sentence; return what of it may be shown."""
        statement = judge(text, claimed, self._evidence.support(text, vector), sources=self._sources)
        if statement.kind == "empty":
            if text.strip(_STOPS) or not text.strip():
                self._opening += text
            return ""
        if any(_same(statement.text, earlier.text) for earlier in self._said):
            self.lost = True
            return ""
        if statement.kind in ("unsupported", "contradicted", "echo"):
            if statement.kind != "echo":
                self.unsupported.append(text.strip())
            self._in_a_row += 1
            self.lost = self._in_a_row >= PATIENCE or (statement.kind == "contradicted" and not self._said)
            return ""
        opening, self._opening, self._in_a_row = self._opening, "", 0
        self.method = "generated"
        if opening.strip():
            self._said.append(Statement(opening, (), "empty"))
        self._said.append(statement)
        return opening + statement.marked()

    def quote(self, question: str) -> Iterator[str]:
        """Let the sources speak where the model had nothing to say that they hold."""
        quotes = self._evidence.quotes()
        for number, sentence in quotes:
            self._said.append(Statement(f"“{sentence}”\n", (number,), "supported"))
            self.method = "quoted"
            yield self._said[-1].marked()
        if not quotes:
            self._said.append(Statement(_no_evidence(question), (), "empty"))
            yield self._said[-1].marked()

    def text(self) -> str:
        return "".join(statement.marked() for statement in self._said)

    def cited(self) -> list[int]:
        return sorted({number for statement in self._said for number in statement.cited})

    def grounded(self) -> bool:
        return bool(self.cited()) and all(one.kind in ("supported", "empty") for one in self._said)


def _normalised(vectors: Vectors) -> Vectors:
    """Return the vectors with length 1; not every model's engine gives them so."""
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _same(one: str, other: str) -> bool:
    return terms(one) == terms(other)


def is_evidence(hit: Hit, question: str, *, understands_cjk: bool, common: frozenset[str] = frozenset()) -> bool:
    """Tell whether a passage may speak to a question: near in meaning, or holding half of its content.

    A model that was not trained on Chinese finds any two Chinese texts alike: then words alone count, and of these
    not the ones that are `common` in the index.
    """
    foreign = cjk_share(question) >= 0.3
    if (understands_cjk or not foreign) and hit.similarity is not None and hit.similarity >= MIN_SIMILARITY:
        return True
    found, whole = held_content(question, f"{hit.heading} {hit.text}", common=common if foreign else ())
    return found > 0 and (found >= MIN_WORD_SHARE * whole or (foreign and found >= MANY_CHARACTERS))


def _no_evidence(question: str) -> str:
    return NO_EVIDENCE_CHINESE if cjk_share(question) > 0.3 else NO_EVIDENCE


def _search_text(request: AskRequest) -> str:
    """Return what to search for: a short follow-up question leans on the user's last one."""
    earlier = [turn.content for turn in request.history if turn.role == "user"]
    if earlier and _is_short(request.question):
        return f"{earlier[-1]} {request.question}"
    return request.question


def _is_short(question: str) -> bool:
    """Tell whether a question is too short to stand alone. `灯油可以退吗` does: all CJK pairs count."""
    return len(all_terms(question) if cjk_share(question) > 0.3 else terms(question)) < 4


def _source(number: int, hit: Hit) -> Source:
    return Source(n=number, id=hit.id, file=hit.file, heading=hit.heading, score=hit.score, text=hit.text)


def _rendered(number: int, file: str, heading: str, text: str) -> str:
    place = f"{file} › {heading}" if heading else file
    return f"[{number}] {place}\n{text}\n"


def _messages(request: AskRequest, own_prompt: str, sources: Sequence[Source]) -> list[dict[str, str]]:
    context = "\n".join(_rendered(one.n, one.file, one.heading, one.text) for one in sources)
    return [
        {"role": "system", "content": request.system_prompt or own_prompt or SYSTEM_PROMPT},
        *({"role": turn.role, "content": turn.content} for turn in request.history),
        {"role": "user", "content": f"Sources:\n\n{context}\nQuestion: {request.question}"},
    ]
