"""Finds the passages for a query: vector and full-text search, fused by weight, then reranked."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipeline.breakers import Breakers, Guarded
from pipeline.context.cache import CacheScope, SearchHit, SemanticCache, differ
from pipeline.context.condenser import split
from pipeline.context.fusion import (
    Numbers,
    Pool,
    Weights,
    best,
    fuse,
    joined,
    measured,
    neighbours,
    ranks,
    strangers,
)
from pipeline.context.patience import LOCAL, Patience, SearchBreakers
from pipeline.context.rerank import beginning, capped, coded, introduced
from pipeline.context.reranker import Candidates, CrowdError, EmbeddedReranker, Reranker, RerankError
from pipeline.context.widen import widen
from pipeline.errors import AnswerdeckError, KnowledgeError
from pipeline.knowledge.beside import OWN, Beside
from pipeline.knowledge.embedding import EmbedError, checked
from pipeline.knowledge.found import Retrieved, RetrievedChunk, Vector
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.shelf import Keys, Scores, Shelf, StoredChunk
from pipeline.text.definitions import titled
from traces.recorder import OpenSpan, Recorder
from traces.records import Passage

log = logging.getLogger(__name__)
MOST_NEAR = 200  # chunks of a page looked at for its beginning


@dataclass(frozen=True, slots=True)
class Search:
    """One search under way: what is asked, of which version, and where its steps are recorded."""

    query: str
    kb: str
    guards: SearchBreakers
    shelf: Shelf
    recorder: Recorder
    parent: int


@dataclass(frozen=True, slots=True)
class Trail:
    """The 1-based ranks of a chunk among all; None where a search did not reach it."""

    vector_rank: int | None
    text_rank: int | None
    fused_rank: int | None
    candidates: int  # how many the fusion passes on, one a page first
    version: str  # of the knowledge base that was searched


@dataclass(frozen=True, slots=True)
class CacheReply:
    """What the cache said to a question, and the span that tells of it."""

    scope: CacheScope
    hit: SearchHit | None
    span: OpenSpan


class Retriever:
    """Hybrid retrieval from a knowledge base."""

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        candidates: int = 20,
        passages: int = 5,
        weights: Weights = Weights(),
        reranker: Reranker = EmbeddedReranker(),
        cache: SemanticCache | None = None,
        breakers: Breakers | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._knowledge = knowledge
        self._breakers = breakers or Breakers()
        self._embedder = Guarded(self._breakers.get("embedder", LOCAL), patience.embed, EmbedError)
        self._patience = patience
        self._cache = cache
        self._reranker = reranker
        rests = self._breakers.get(f"reranker {reranker.name}", LOCAL)
        self._reranking = Guarded(rests, patience.rerank, RerankError, _is_crowd)
        self._guards: dict[str, SearchBreakers] = {}
        self._candidates = candidates
        self._passages = passages
        self._weights = weights

    async def retrieve(
        self, query: str, kb: str, recorder: Recorder, scope: CacheScope | None = None, own: str | None = None
    ) -> Retrieved:
        """Return the candidates for the query, best first; none when the knowledge base is empty.

        `own` names a person's own documents, searched beside it; OWN as `kb`: searched alone.
        With a scope, passages kept for the same question in it may be served. Raises KnowledgeError
        store_missing or store_damaged. When one of the two searches cannot run, the other answers
        alone and `degraded` says why.
        """
        guards, shelf, missing = await self._beside(kb, own)
        query = shelf.respelt(query)
        search = Search(query, kb, guards, shelf, recorder, recorder.current)
        text_search = asyncio.create_task(_by_text(search))
        try:
            vector, degraded = await self._embed(shelf, query, recorder, search.parent)
            degraded = degraded or missing
            served = self._served(search, scope, vector)
            if served is not None and served.hit is not None and not served.hit.checked:
                return served.hit.retrieved
            began = time.perf_counter()
            fresh = await self._search(search, vector, degraded, text_search)
        finally:
            text_search.cancel()
        if served is not None:
            self._keep(served, fresh, time.perf_counter() - began)
        return fresh

    def _served(self, search: Search, scope: CacheScope | None, vector: Vector | None) -> CacheReply | None:
        """Look the question up in the cache; None when this turn takes no part in it."""
        if self._cache is None or scope is None or vector is None:
            return None
        owner = scope.owner if self._cache.share == "user" else ""
        scope = replace(scope, owner=owner)
        with search.recorder.span("semantic cache", "cache", search.parent) as span:
            hit = self._cache.find(scope, search.query, vector, search.kb, search.shelf.version)
            span.note(hit=hit is not None)
            if hit is not None:
                span.note(similarity=round(hit.similarity, 4), checked=hit.checked)
                span.note(saved_seconds=0.0 if hit.checked else hit.seconds)
        return CacheReply(scope, hit, span)

    def _keep(self, served: CacheReply, fresh: Retrieved, seconds: float) -> None:
        """Keep what was found; tell how a hit that was checked compares with it."""
        assert self._cache is not None
        if served.hit is not None and fresh.degraded is None:
            served.span.note(false=differ(served.hit.retrieved, fresh))
        if not fresh.fallback:
            self._cache.put(served.scope, fresh, seconds)

    async def _search(
        self,
        search: Search,
        vector: Vector | None,
        degraded: str | None,
        text_search: asyncio.Task[Scores | None],
    ) -> Retrieved:
        """Search by vector and by words, fuse, rerank and widen."""
        query, kb, recorder, parent = search.query, search.kb, search.recorder, search.parent
        guards, shelf = search.guards, search.shelf
        cosines = Scores.none()
        if vector is not None:
            try:
                with recorder.span("vector search", "retrieval", parent, chunks=shelf.chunks):
                    cosines = await guards.rows.call(partial(shelf.by_vector, vector))
            except KnowledgeError as error:
                log.warning("the query is searched by words only: %s", error)
                vector, degraded = None, error.error_class
        texts = await text_search
        if texts is None:
            if vector is None:
                raise KnowledgeError(f"neither search of knowledge base {kb!r} can run now", "store_damaged")
            degraded, texts = "text_index_missing", Scores.none()
        with recorder.span("fuse", "retrieval", parent, text_weight=self._weights.text) as span:
            missing = strangers(texts, cosines, shelf.chunks)
            if vector is not None and len(missing):
                cosines = joined(
                    cosines, missing, await guards.rows.call(partial(shelf.cosines, vector, missing)), texts
                )
            pool = await self._fused(search, cosines, texts)
            places = best(pool, self._candidates)
            span.note(pool=len(pool.keys), candidates=len(places), sparse=self._hears(shelf))
        with recorder.span("rerank", "retrieval", parent) as span:
            rows = await guards.rows.call(partial(shelf.rows, pool.keys[places].tolist()))
            places, rows = await self._introduced(search, pool, places, rows)
            seconds = neighbours(pool, places)
            spread = (cosines.mean, cosines.deviation)
            scores = await self._score(
                Candidates(query, vector, rows, pool.fused[places], seconds, *spread), span
            )
            fallback = "instead_of" in span.attributes
            candidates = self._found(pool, places, rows, scores, query, kb)
        if candidates:
            leader = next(i for i, row in enumerate(rows) if row.chunk_id == candidates[0].passage.chunk_id)
            around = pool.keys[pool.pages == pool.pages[places[leader]]]
            candidates = await self._widened(search, candidates, around.tolist())
        return Retrieved(query, vector, candidates, kb, shelf.version, shelf.embedder, degraded, fallback)

    async def _introduced(
        self, search: Search, pool: Pool, places: Keys, rows: list[StoredChunk]
    ) -> tuple[Keys, list[StoredChunk]]:
        """Add the beginning of the page that is named after what is asked for, where the pool has it."""
        question = split(search.query)[0]
        named = [number for number, row in enumerate(rows) if titled(question, row.title)]
        if not named or any(beginning(row, question) for row in rows):
            return places, rows
        near = np.flatnonzero(np.isin(pool.pages, pool.pages[places[named]]))[:MOST_NEAR]
        chunks = await search.guards.rows.call(partial(search.shelf.rows, pool.keys[near].tolist()))
        begins = [number for number, row in enumerate(chunks) if beginning(row, question)]
        return np.concatenate([places, near[begins]]), rows + [chunks[number] for number in begins]

    async def _widened(
        self, search: Search, candidates: tuple[RetrievedChunk, ...], around: list[int]
    ) -> tuple[RetrievedChunk, ...]:
        """Return the candidates, the first one with what stands around it on its page."""
        try:
            with search.recorder.span("widen", "retrieval", search.parent):
                neighbours = await search.guards.rows.call(partial(search.shelf.rows, around))
                return (widen(candidates[0], neighbours), *candidates[1:])
        except KnowledgeError as error:
            log.warning("the first passage stays as short as it is: %s", error)
            return candidates

    async def _beside(self, kb: str, own: str | None) -> tuple[SearchBreakers, Shelf, str | None]:
        """Return what is searched, and why the own documents are not among it although they should be."""
        shelf: Shelf | None = None
        missing, private = None, self._knowledge.private
        if own is not None and private is not None:
            if OWN not in self._guards:  # everybody's together: one person's are no dependency by themselves
                self._guards[OWN] = SearchBreakers(OWN, self._breakers, self._patience)
            try:
                shelf = await self._guards[OWN].open.call(partial(private.open, own))
                if shelf.embedder != self._knowledge.embedder.fingerprint:
                    shelf, missing = None, "embedder_changed"
            except KnowledgeError as error:
                log.warning("a person's own documents are not searched: %s", error)
                shelf, missing = None, error.error_class
        if kb == OWN and shelf is not None:
            return self._guards[OWN], Beside(None, shelf), None
        guards, base = await self._open(kb)
        return guards, base if shelf is None else Beside(base, shelf), missing

    async def _open(self, kb: str) -> tuple[SearchBreakers, Shelf]:
        """Return the knowledge base; one that does not exist, a user's word perhaps, gets no breaker."""
        if kb not in self._guards:
            if not self._knowledge.exists(kb):
                await self._knowledge.open(kb)  # raises store_missing
            self._guards[kb] = SearchBreakers(kb, self._breakers, self._patience)
        guards = self._guards[kb]
        return guards, await guards.open.call(partial(self._knowledge.open, kb))

    async def _embed(
        self, shelf: Shelf, query: str, recorder: Recorder, parent: int
    ) -> tuple[Vector | None, str | None]:
        """Return the query's vector, or None and the reason for going on without."""
        embedder = self._knowledge.embedder
        if shelf.embedder != embedder.fingerprint:
            log.error("the index was embedded by %r, queries by %r", shelf.embedder, embedder.fingerprint)
            return None, "embedder_changed"
        try:
            with recorder.span("embed query", "retrieval", parent, embedder=embedder.fingerprint):

                async def embedded() -> Vector:
                    vector = checked(await embedder.embed_query(query), shelf.dimensions)
                    question, topic = split(query)
                    if not topic:
                        return vector
                    alone = checked(await embedder.embed_query(question), shelf.dimensions)
                    return _between(vector, alone)

                return await self._embedder.call(embedded), None
        except EmbedError as error:
            log.warning("the query is searched by words only: %s", error)
            return None, error.error_class

    async def trail(self, query: str, kb: str, name: str, recorder: Recorder) -> Trail | None:
        """Return how the searches rank a chunk, or the best chunk of a document; None: not indexed."""
        guards, shelf = await self._open(kb)
        keys = await guards.rows.call(partial(shelf.keys, name))
        if not len(keys):
            return None
        search = Search(query, kb, guards, shelf, recorder, recorder.current)
        vector, _ = await self._embed(shelf, query, recorder, search.parent)
        texts = await _by_text(search) or Scores.none()
        cosines = Scores.none()
        if vector is not None:
            cosines = await guards.rows.call(partial(shelf.by_vector, vector))
            missing = strangers(texts, cosines, shelf.chunks)
            if len(missing):
                values = await guards.rows.call(partial(shelf.cosines, vector, missing))
                cosines = joined(cosines, missing, values, texts)
        pool = await self._fused(search, cosines, texts)
        places = np.flatnonzero(np.isin(pool.keys, keys))
        if not len(places):
            return Trail(None, None, None, self._candidates, shelf.version)
        place = places[[int(np.argmax(pool.fused[places]))]]
        [vector_rank], [text_rank] = ranks(pool.cosines, place), ranks(pool.texts, place)
        [fused_rank] = ranks(pool.fused, place)
        return Trail(vector_rank, text_rank, fused_rank, self._candidates, shelf.version)

    async def _fused(self, search: Search, cosines: Scores, texts: Scores) -> Pool:
        """Put the searches together, with the learned-sparse voice where every passage has an expansion."""
        pieces = await search.shelf.by_pieces(search.query) if self._hears(search.shelf) else None
        return fuse(cosines, texts, self._weights, pieces)

    def _hears(self, shelf: Shelf) -> bool:
        return shelf.expanded and self._weights.sparse > 0

    async def _score(self, candidates: Candidates, span: OpenSpan) -> Numbers:
        """Return the reranker's scores, or the embedded one's when it fails, is late or rests."""
        if not isinstance(self._reranker, EmbeddedReranker) and candidates.rows:
            try:
                scores = await self._reranking.call(partial(self._reranker.score, candidates))
                span.note(by=self._reranker.name)
                return scores
            except RerankError as error:
                log.warning("the embedded order stands: %s", error)
                span.note(by="embedded", instead_of=self._reranker.name, error=str(error))
        return await EmbeddedReranker().score(candidates)

    async def warm(self) -> None:
        """Load what the first turn should not wait for."""
        await self._reranker.warm()

    async def close(self) -> None:
        """Close what reranker and cache hold open."""
        await self._reranker.close()
        if self._cache is not None:
            self._cache.close()

    def _found(
        self, pool: Pool, places: Keys, rows: list[StoredChunk], scores: Numbers, query: str, kb: str
    ) -> tuple[RetrievedChunk, ...]:
        """Order the candidates by their scores and spread the first places over documents."""
        fused_ranks = np.argsort(np.argsort(-pool.fused[places], kind="stable")) + 1
        vector_ranks = ranks(pool.cosines, places)
        text_ranks = ranks(pool.texts, places)
        order = np.argsort(-scores, kind="stable").tolist()
        order = [order[number] for number in capped([rows[n].document_id for n in order], self._passages)]
        order = coded(query, [row.text for row in rows], order, self._passages)
        order = introduced(split(query)[0], rows, order, self._passages)
        candidates: list[RetrievedChunk] = []
        for rank, number in enumerate(order, 1):
            row, place = rows[number], int(places[number])
            passage = Passage(
                turn_id="",  # the turn fills it in when it records its passages
                rank=rank,
                chunk_id=row.chunk_id,
                document_id=row.document_id,
                title=row.title,
                url=row.url,
                text=row.text,
                vector_score=measured(pool.cosines[place]),
                vector_rank=vector_ranks[number],
                text_score=measured(pool.texts[place]),
                text_rank=text_ranks[number],
                fused_score=float(pool.fused[place]),
                fused_rank=int(fused_ranks[number]),
                rerank_score=float(scores[number]),
                kb=row.kb or kb,
            )
            candidates.append(RetrievedChunk(passage, row.spans, row.vectors, row.screened))
        return tuple(candidates)


async def _by_text(search: Search) -> Scores | None:
    """Return the full-text scores, or None when the index cannot answer."""
    try:
        with search.recorder.span("full-text search", "retrieval", search.parent) as span:
            scores = await search.guards.texts.call(partial(search.shelf.by_text, search.query))
            span.note(found=len(scores.keys))
            return scores
    except KnowledgeError as error:
        log.warning("the query is searched by vector only: %s", error)
        return None


def _is_crowd(error: AnswerdeckError) -> bool:
    """Say whether a question was turned away since others are read, which is no failure."""
    return isinstance(error, CrowdError)


def _between(vector: Vector, other: Vector) -> Vector:
    """Return the unit vector half way: a follow-up's topic helps to find, its own words lead."""
    middle = vector + other
    length = float(np.linalg.norm(middle))
    return (middle / length).astype(np.float32) if length else vector
