"""Find passages: by vector, by keyword, or by both fused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecli.errors import ConfigError, UsageError
from edgecli.rag.fusion import add_groups, rank_groups, reciprocal_rank_fusion, spread, without_chance
from edgecli.rag.ingest import resolve_index
from edgecli.rag.lexical import cjk_share, identifiers, lone_word, terms
from edgecli.rag.schema import Hit, Mode, QueryRequest, QueryResult
from edgecli.rag.store import KnownIndex, RagStore

if TYPE_CHECKING:
    from edgecli.ai.service import AiService
    from edgecli.config.project import Project
    from edgecli.vectorize.filters import Filter
    from edgecli.vectorize.service import VectorizeService

CANDIDATES = 100
"""Passages that each way of searching proposes to the fusion."""
KEYWORD_WEIGHTS = (2.0, 2.0, 1.0)
"""BM25 weights of title, heading and body."""
VECTOR_WEIGHT = 2.0
"""What a rank by meaning counts against one by words."""
FOREIGN_VECTOR_WEIGHT = 0.25
"""The same for a question in a script that the embedding model was not trained for."""
DOCUMENT_WEIGHT = 2.0
"""What the rank of a passage's document counts against a passage's rank by words: see `_fuse`."""
NAME_WEIGHT = 8.0
"""What a passage with a rare name of the question counts: more than all other rankings can give together."""
RARE_DOCUMENTS = 3
"""Documents that may hold a name which still is rare; in a small index a fifth of them."""
RARE_PASSAGES = 10
COMMON_SHARE = 0.2
"""Share of an index's passages from which a word that they hold says nothing of what a question is about."""
FILTERED_KEYWORD_LIMIT = 2000
"""Keyword matches that are looked at when a filter may reject most of them."""
_OWN_KEYS = frozenset({"docId", "file", "title", "heading", "start", "end", "text"})


class RetrievalService:
    """Search the indexes of one project."""

    def __init__(self, project: Project, ai: AiService, vectorize: VectorizeService, store: RagStore) -> None:
        self._project = project
        self._ai = ai
        self._vectorize = vectorize
        self._store = store

    async def query(self, request: QueryRequest) -> QueryResult:
        """Return the passages that fit a query best.

        Raises UsageError for an empty query or a bad filter, NotFoundError for an unknown index.
        """
        from edgecli.vectorize.filters import parse_filter

        started = time.perf_counter()
        if not request.query.strip():
            raise UsageError("The query is empty.", hint="Say in a few words what you look for.", code="empty_query")
        name = resolve_index(self._project, request.index)
        mode: Mode = request.mode or self._project.settings.rag.mode
        condition = parse_filter(request.filter) if request.filter is not None else None
        known = await self._store.find_index(await self._vectorize.uid(name))
        top_k = request.top_k or self._project.settings.rag.top_k
        timings: dict[str, float] = {}
        by_vector = await self._by_vector(name, known, request, timings) if mode != "keyword" else {}
        by_keyword = await self._by_keyword(known, request, condition) if mode != "vector" and known else {}
        hidden = await self._store.hidden(known) if known else set[str]()
        ranked = by_vector if mode == "vector" else by_keyword
        if mode == "hybrid":
            ranked = await self._fuse(request, name, known, by_vector, by_keyword)
        shown = [chunk_id for chunk_id in ranked if _document_of(chunk_id) not in hidden]
        if request.spread and mode == "hybrid":
            shown = spread({chunk_id: ranked[chunk_id] for chunk_id in shown}, _document_of)
        hits = await self._hits(name, shown[:top_k], ranked, by_vector, by_keyword)
        metric = (await self._vectorize.get(name)).config.metric
        for hit in hits:
            hit.similarity = _similarity(metric, hit.vector_score)
        timings["total"] = time.perf_counter() - started
        timings["search"] = timings["total"] - timings.get("embed", 0.0)
        return QueryResult(
            query=request.query,
            index=name,
            mode=mode,
            embedding_model=self._embedding_model(known),
            count=len(hits),
            hits=hits,
            timings={key: round(value, 4) for key, value in timings.items()},
        )

    def _embedding_model(self, known: KnownIndex | None) -> str:
        """Return the model whose vectors the index holds.

        Raises ConfigError if another one stands in for it now: their vectors cannot be compared.
        """
        if known is None:
            return self._project.settings.embedding_model
        now = self._ai.spec(known.embedding_model).id
        if now != known.embedding_model:
            raise ConfigError(
                f"The index `{known.name}` was filled with `{known.embedding_model}`, for which `{now}` stands in now.",
                hint=f"Take the stand-in back, or delete `{known.name}`, create it again and ingest.",
                code="other_embedding_model",
            )
        return known.embedding_model

    async def _by_vector(
        self, name: str, known: KnownIndex | None, request: QueryRequest, timings: dict[str, float]
    ) -> dict[str, float]:
        from edgecli.vectorize.schema import QueryRequest as VectorQuery

        started = time.perf_counter()
        model = self._embedding_model(known)
        vector = (await self._ai.embed(model, [self._ai.spec(model).query_prefix + request.query]))[0]
        timings["embed"] = time.perf_counter() - started
        result = await self._vectorize.query(
            name, VectorQuery(vector=vector.tolist(), top_k=CANDIDATES, filter=request.filter)
        )
        return {match.id: match.score for match in result.matches}

    async def _by_keyword(self, known: KnownIndex, request: QueryRequest, condition: Filter | None) -> dict[str, float]:
        limit = CANDIDATES if condition is None else FILTERED_KEYWORD_LIMIT
        found = await self._store.search(known, request.query, limit=limit, weights=KEYWORD_WEIGHTS)
        if condition is not None:
            metadata = await self._vectorize.get_metadata(known.name, [chunk_id for chunk_id, _ in found])
            found = [(chunk_id, score) for chunk_id, score in found if condition.matches(metadata.get(chunk_id, {}))]
        return dict(found[:CANDIDATES])

    async def _fuse(
        self,
        request: QueryRequest,
        name: str,
        known: KnownIndex | None,
        by_vector: Mapping[str, float],
        by_keyword: Mapping[str, float],
    ) -> Mapping[str, float]:
        """Return fused scores: of the passages' ranks, and of their documents' ranks by several passages each."""
        multilingual = "multilingual" in self._ai.spec(self._embedding_model(known)).capabilities
        foreign = not multilingual and cjk_share(request.query) > 0.3
        weight = FOREIGN_VECTOR_WEIGHT if foreign else VECTOR_WEIGHT
        order: Sequence[str] = list(by_vector)
        documents: list[tuple[Sequence[str], float]] = []
        if known and (await self._vectorize.get(name)).config.metric == "cosine":
            sizes = await self._store.sizes(known, {_document_of(chunk_id) for chunk_id in by_vector})
            near = without_chance(by_vector, lambda chunk_id: sizes.get(_document_of(chunk_id), 1))
            order = list(near)
            documents.append((rank_groups(near, _document_of), weight))
        passages = reciprocal_rank_fusion([(order, weight), (list(by_keyword), 1.0)])
        documents.append((rank_groups(passages, _document_of), DOCUMENT_WEIGHT))
        fused = add_groups(passages, documents, _document_of)
        named = await self._named(known, request.query) if known and by_keyword else set[str]()
        leading = [chunk_id for chunk_id in by_keyword if chunk_id in named]
        return add_groups(fused, [(leading, NAME_WEIGHT)], str) if leading else fused

    async def _named(self, known: KnownIndex, question: str) -> set[str]:
        """Return the passages that hold a rare name of the question, or the one rare word that it consists of.

        Nobody asks for `zq200x` to read of something like it: an embedding knows no such word and finds it near to
        whatever looks alike, so its ranks must not outvote the only places where it stands.
        """
        word = lone_word(question)
        named: set[str] = set()
        for name in identifiers(question) or ([word] if word else []):
            found = await self._store.holders(known, name, limit=RARE_PASSAGES + 1)
            documents, _ = await self._store.extent(known)
            holders = {_document_of(chunk_id) for chunk_id in found}
            if len(found) <= RARE_PASSAGES and len(holders) <= min(RARE_DOCUMENTS, max(1, documents // 5)):
                named.update(found)
        return named

    async def common_words(self, index: str, question: str) -> frozenset[str]:
        """Return the words of a question that so many passages of an index hold that they tell none of them apart."""
        known = await self._store.find_index(await self._vectorize.uid(index))
        if known is None:
            return frozenset()
        _, passages = await self._store.extent(known)
        counts = await self._store.frequencies(known, terms(question)[:64])
        return frozenset(word for word, count in counts.items() if count > max(5, passages * COMMON_SHARE))

    async def _hits(
        self,
        name: str,
        ids: Sequence[str],
        ranked: Mapping[str, float],
        by_vector: Mapping[str, float],
        by_keyword: Mapping[str, float],
    ) -> list[Hit]:
        metadata = await self._vectorize.get_metadata(name, ids)
        return [
            _hit(chunk_id, ranked[chunk_id], metadata[chunk_id], by_vector.get(chunk_id), by_keyword.get(chunk_id))
            for chunk_id in ids
            if chunk_id in metadata
        ]


def _document_of(chunk_id: str) -> str:
    return chunk_id.rsplit(":", 1)[0]


def _similarity(metric: str, score: float | None) -> float | None:
    """Return the cosine similarity behind a score, for vectors of length 1."""
    if score is None or metric == "cosine":
        return score
    return 1 - score * score / 2 if metric == "euclidean" else abs(score)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _hit(
    chunk_id: str, score: float, metadata: Mapping[str, Any], vector_score: float | None, keyword_score: float | None
) -> Hit:
    return Hit(
        id=chunk_id,
        score=round(score, 6),
        file=str(metadata.get("file", "")),
        heading=str(metadata.get("heading", "")),
        text=str(metadata.get("text", "")),
        start=_whole(metadata.get("start")),
        end=_whole(metadata.get("end")),
        vector_score=None if vector_score is None else round(vector_score, 6),
        keyword_score=None if keyword_score is None else round(keyword_score, 6),
        metadata={key: value for key, value in metadata.items() if key not in _OWN_KEYS},
    )
