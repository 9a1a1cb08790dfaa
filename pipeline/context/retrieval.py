"""Finds the passages for a query: vector and full-text search, fused by weight, then reranked."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pipeline.context.found import Found, Retrieved, Vector
from pipeline.errors import KnowledgeError
from pipeline.knowledge.embedding import EmbedError
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.shelf import Matches, Row, Shelf
from traces.recorder import Recorder
from traces.records import Passage

log = logging.getLogger(__name__)
POOL = 100  # matches taken from each search
NOTHING = Matches((), ())


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row with its scores and ranks so far."""

    key: int
    vector_score: float | None
    vector_rank: int | None
    text_score: float | None
    text_rank: int | None
    fused_score: float


class Retriever:
    """Hybrid retrieval from a knowledge base."""

    def __init__(
        self, knowledge: Knowledge, *, candidates: int = 20, passages: int = 5, text_weight: float = 0.3
    ) -> None:
        self._knowledge = knowledge
        self._candidates = candidates
        self._passages = passages
        self._text_weight = text_weight

    async def retrieve(self, query: str, kb: str, recorder: Recorder) -> Retrieved:
        """Return the candidates for the query, best first; none when the knowledge base is empty.

        Raises KnowledgeError store_missing or store_damaged. When one of the two searches cannot
        run, the other answers alone and `degraded` says why.
        """
        shelf = await self._knowledge.open(kb)
        text_search = asyncio.create_task(self._by_text(shelf, query, recorder))
        try:
            vector, degraded = await self._embed(shelf, query, recorder)
            by_vector = NOTHING
            if vector is not None:
                with recorder.span("vector search", "retrieval", chunks=shelf.chunks) as span:
                    by_vector = await shelf.by_vector(vector, POOL)
                    span.note(found=len(by_vector.keys))
            by_text = await text_search
        finally:
            text_search.cancel()
        if by_text is None:
            degraded, by_text = degraded or "text_index_missing", NOTHING
        with recorder.span("fuse", "retrieval", text_weight=self._text_weight) as span:
            cosines = await self._cosines(shelf, vector, by_text)
            fused = fuse(by_vector, by_text, cosines, self._text_weight)[: self._candidates]
            rows = await shelf.rows([candidate.key for candidate in fused])
            span.note(candidates=len(fused))
        found = [
            Found(_passage(candidate, number, row), row.spans, row.vectors)
            for number, (candidate, row) in enumerate(zip(fused, rows, strict=True), 1)
        ]
        return Retrieved(
            query=query,
            query_vector=vector,
            found=tuple(found),
            kb=kb,
            index_version=shelf.version,
            embedder=shelf.embedder,
            degraded=degraded,
        )

    async def _embed(self, shelf: Shelf, query: str, recorder: Recorder) -> tuple[Vector | None, str | None]:
        """Return the query's vector, or None and the reason for going on without."""
        embedder = self._knowledge.embedder
        if shelf.embedder != embedder.fingerprint:
            log.error("the index was embedded by %r, queries by %r", shelf.embedder, embedder.fingerprint)
            return None, "embedder_changed"
        try:
            with recorder.span("embed query", "retrieval", embedder=embedder.fingerprint):
                return await embedder.embed_query(query), None
        except EmbedError as error:
            log.warning("the query is searched by words only: %s", error)
            return None, error.error_class

    async def _by_text(self, shelf: Shelf, query: str, recorder: Recorder) -> Matches | None:
        """Return the full-text matches, or None when the index cannot answer."""
        try:
            with recorder.span("full-text search", "retrieval") as span:
                matches = await shelf.by_text(query, POOL)
                span.note(found=len(matches.keys))
                return matches
        except KnowledgeError as error:
            log.warning("the query is searched by vector only: %s", error)
            return None

    async def _cosines(self, shelf: Shelf, vector: Vector | None, by_text: Matches) -> dict[int, float]:
        if vector is None:
            return {}
        return dict(zip(by_text.keys, await shelf.cosines(vector, by_text.keys), strict=True))


def fuse(
    by_vector: Matches, by_text: Matches, cosines: dict[int, float], text_weight: float
) -> list[Candidate]:
    """Order all matches by z(cosine) + text_weight x z(BM25), each z-score over the whole table.

    `cosines` holds the cosines of the text matches; a row that shares no word has a text score of 0.
    """
    vector_scores = cosines | dict(zip(by_vector.keys, by_vector.scores, strict=True))
    text_scores = dict(zip(by_text.keys, by_text.scores, strict=True))
    vector_ranks = {key: rank for rank, key in enumerate(by_vector.keys, 1)}
    text_ranks = {key: rank for rank, key in enumerate(by_text.keys, 1)}
    candidates: list[Candidate] = []
    for key in vector_scores.keys() | text_scores.keys():
        cosine, score = vector_scores.get(key), text_scores.get(key)
        z_vector = 0.0 if cosine is None else (cosine - by_vector.mean) / by_vector.deviation
        z_text = ((score or 0.0) - by_text.mean) / by_text.deviation
        candidates.append(
            Candidate(
                key,
                cosine,
                vector_ranks.get(key),
                score,
                text_ranks.get(key),
                z_vector + text_weight * z_text,
            )
        )
    return sorted(candidates, key=lambda candidate: (-candidate.fused_score, candidate.key))


def _passage(candidate: Candidate, rank: int, row: Row) -> Passage:
    return Passage(
        turn_id="",  # the turn fills it in when it records its passages
        rank=rank,
        chunk_id=row.chunk_id,
        document_id=row.document_id,
        title=row.title,
        url=row.url,
        text=row.text,
        vector_score=candidate.vector_score,
        vector_rank=candidate.vector_rank,
        text_score=candidate.text_score,
        text_rank=candidate.text_rank,
        fused_score=candidate.fused_score,
        fused_rank=rank,
        rerank_score=candidate.fused_score,
    )
