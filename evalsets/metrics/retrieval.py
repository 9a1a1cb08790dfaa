"""Retrieval metrics with binary relevance, by their standard definitions, without any model.

Labels are document ids: a retrieved passage counts by its `document_id`, and several passages of
one document collapse to the first one's rank, so a document is found once. With `chunks=True`
labels are chunk ids instead. A case without relevant ids gets None (not applicable); a case for
which nothing was retrieved gets 0.

Sources: Manning, Raghavan, Schütze, "Introduction to Information Retrieval" (2008), chapter 8;
nDCG after Järvelin and Kekäläinen (2002) in the form of trec_eval (gain / log2(rank + 1)).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import log2

from evalsets.metrics.metric import Measured, Metric, skipped
from traces.records import Case, Passage, Trace

Formula = Callable[[Sequence[str], Collection[str], int], float | None]
_DISCOUNTS = tuple(1.0 / log2(rank + 1) for rank in range(1, 101))


def ranking(passages: Iterable[Passage], *, chunks: bool = False) -> list[str]:
    """Return the ids of what was retrieved, best first, each once at its first rank."""
    rows = sorted(passages, key=lambda passage: passage.rank)
    return list(dict.fromkeys(row.chunk_id if chunks else row.document_id for row in rows))


def hit(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return 1 when a relevant id is among the first k, else 0 (success@k in trec_eval)."""
    if not relevant:
        return None
    return float(any(label in relevant for label in ranked[:k]))


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the share of the relevant ids among the first k."""
    if not relevant:
        return None
    return sum(label in relevant for label in ranked[:k]) / len(relevant)


def precision(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the relevant ones among the first k, over k even when fewer were retrieved."""
    if not relevant:
        return None
    return sum(label in relevant for label in ranked[:k]) / k


def mrr(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return 1 / rank of the first relevant id among the first k, 0 when there is none."""
    if not relevant:
        return None
    return next((1.0 / rank for rank, label in enumerate(ranked[:k], 1) if label in relevant), 0.0)


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the discounted gain of the first k over that of the best possible order; k up to 100."""
    if not relevant:
        return None
    gain = sum(discount for label, discount in zip(ranked[:k], _DISCOUNTS, strict=False) if label in relevant)
    return gain / sum(_DISCOUNTS[: min(k, len(relevant))])


TABLE = (
    ("hit@5", hit, 5),
    ("hit@1", hit, 1),
    ("hit@10", hit, 10),
    ("recall@5", recall, 5),
    ("recall@10", recall, 10),
    ("precision@5", precision, 5),
    ("mrr@10", mrr, 10),
    ("ndcg@5", ndcg, 5),
    ("ndcg@10", ndcg, 10),
)
_READING = {
    "hit@5": ("Hit@5", "at least one relevant document among the first 5"),
    "hit@1": ("Hit@1", "the first document found is relevant"),
    "hit@10": ("Hit@10", "at least one relevant document among the first 10"),
    "recall@5": ("Recall@5", "share of the relevant documents among the first 5"),
    "recall@10": ("Recall@10", "share of the relevant documents among the first 10"),
    "precision@5": ("Precision@5", "share of the first 5 that is relevant"),
    "mrr@10": ("MRR@10", "1 / rank of the first relevant document among the first 10"),
    "ndcg@5": ("nDCG@5", "gain of the first 5, discounted by rank, over the best possible"),
    "ndcg@10": ("nDCG@10", "gain of the first 10, discounted by rank"),
}
_DETAIL = ("hit@1", "hit@10", "recall@10", "precision@5", "ndcg@10")


def retrieval(ranked: Sequence[str], relevant: Collection[str]) -> dict[str, float | None]:
    """Return every retrieval metric of one case by name."""
    labels = frozenset(relevant)
    return {name: formula(ranked, labels, k) for name, formula, k in TABLE}


def metrics(*, chunks: bool = False) -> tuple[Metric, ...]:
    """Return the family; with `chunks` the labels are ids of chunks."""
    return tuple(_metric(name, formula, k, chunks) for name, formula, k in TABLE)


def _metric(name: str, formula: Formula, k: int, chunks: bool) -> Metric:
    def score(case: Case, trace: Trace) -> Measured:
        if (reason := _unsearched(trace)) is not None:
            return reason
        ranked, relevant = ranking(trace.passages, chunks=chunks), frozenset(case.relevant_ids or ())
        return Measured(formula(ranked, relevant, k), _where(ranked, relevant))

    title, what = _READING[name]
    return Metric(
        name=name,
        title=title,
        what=what,
        applies=lambda case: bool(case.relevant_ids),
        score=score,
        headline=name not in _DETAIL,
        about="search",
        idle="the case names no relevant document",
    )


def _unsearched(trace: Trace) -> Measured | None:
    """Return why there is nothing to score: refused, failed, or searched in part only."""
    turn = trace.turn
    if turn.hit is None and turn.outcome == "refused":
        return skipped("refused before retrieval")
    if turn.hit is None:
        return Measured(None, f"retrieval failed: {turn.error_class}", failed=True)
    lost = next((span.attributes.get("degraded") for span in trace.spans if span.name == "retrieve"), None)
    return None if lost is None else Measured(None, f"a part of the search failed: {lost}", failed=True)


def _where(ranked: Sequence[str], relevant: Collection[str]) -> str:
    rank = next((rank for rank, label in enumerate(ranked, 1) if label in relevant), None)
    if rank is not None:
        return f"first relevant at rank {rank}"
    return f"not among {len(ranked)} found; first {', '.join(ranked[:3])}"
