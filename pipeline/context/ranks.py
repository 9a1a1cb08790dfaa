"""Shows what a question finds in a knowledge base, with every rank and score; nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.context.retrieval import Retriever
from traces.ids import uuid7
from traces.recorder import Nowhere, Recorder
from traces.records import Turn


@dataclass(frozen=True, slots=True)
class PassageRanks:
    """A passage and its places: by full text (BM25), by vector (cosine), fused, and after reranking."""

    rank: int
    chunk_id: str
    document_id: str
    title: str
    url: str
    text: str
    text_rank: int | None
    text_score: float | None
    vector_rank: int | None
    vector_score: float | None
    fused_rank: int | None
    fused_score: float | None
    rerank_score: float | None


async def search_test(retriever: Retriever, question: str, kb: str) -> list[PassageRanks]:
    """Return the candidates for a question, best first; raises KnowledgeError."""
    result = await retriever.retrieve(question, kb, _unrecorded(question))
    return [
        PassageRanks(
            rank=candidate.passage.rank,
            chunk_id=candidate.passage.chunk_id,
            document_id=candidate.passage.document_id,
            title=candidate.passage.title or "",
            url=candidate.passage.url or "",
            text=candidate.passage.text or "",
            text_rank=candidate.passage.text_rank,
            text_score=candidate.passage.text_score,
            vector_rank=candidate.passage.vector_rank,
            vector_score=candidate.passage.vector_score,
            fused_rank=candidate.passage.fused_rank,
            fused_score=candidate.passage.fused_score,
            rerank_score=candidate.passage.rerank_score,
        )
        for candidate in result.candidates
    ]


def _unrecorded(question: str) -> Recorder:
    turn = Turn(uuid7(), "search-test", "search-test", "cli", datetime.now(UTC), question, "answered")
    return Recorder(turn, Nowhere())
