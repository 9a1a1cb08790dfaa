"""Retrieval metrics with binary relevance, by their standard definitions, without any model.

Labels are document ids: a retrieved passage counts by its `document_id`, and several passages of
one document collapse to the first one's rank, so a document is found once. With `chunks=True`
labels are chunk ids instead. A case without relevant ids gets None (not applicable); a case for
which nothing was retrieved gets 0.

Sources: Manning, Raghavan, Schütze, "Introduction to Information Retrieval" (2008), chapter 8;
nDCG after Järvelin and Kekäläinen (2002) in the form of trec_eval (gain / log2(rank + 1)).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import log2

from traces.records import Passage

_DISCOUNTS = tuple(1.0 / log2(rank + 1) for rank in range(1, 101))


def ranking(passages: Iterable[Passage], *, chunks: bool = False) -> list[str]:
    """Return the ids of what was retrieved, best first, each once at its first rank."""
    rows = sorted(passages, key=lambda passage: passage.rank)
    return list(dict.fromkeys(row.chunk_id if chunks else row.document_id for row in rows))


def hit(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return 1 when a relevant id is among the first k, else 0 (success@k in trec_eval)."""
    if not relevant:
        return None
    return float(any(found in relevant for found in ranked[:k]))


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the share of the relevant ids among the first k."""
    if not relevant:
        return None
    return sum(found in relevant for found in ranked[:k]) / len(relevant)


def precision(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the relevant ones among the first k, over k even when fewer were retrieved."""
    if not relevant:
        return None
    return sum(found in relevant for found in ranked[:k]) / k


def mrr(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return 1 / rank of the first relevant id among the first k, 0 when there is none."""
    if not relevant:
        return None
    return next((1.0 / rank for rank, found in enumerate(ranked[:k], 1) if found in relevant), 0.0)


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int) -> float | None:
    """Return the discounted gain of the first k over that of the best possible order; k up to 100."""
    if not relevant:
        return None
    gain = sum(discount for found, discount in zip(ranked[:k], _DISCOUNTS, strict=False) if found in relevant)
    return gain / sum(_DISCOUNTS[: min(k, len(relevant))])


TABLE = (
    ("hit@1", hit, 1),
    ("hit@5", hit, 5),
    ("hit@10", hit, 10),
    ("recall@5", recall, 5),
    ("recall@10", recall, 10),
    ("precision@5", precision, 5),
    ("mrr@10", mrr, 10),
    ("ndcg@5", ndcg, 5),
    ("ndcg@10", ndcg, 10),
)


def retrieval(ranked: Sequence[str], relevant: Collection[str]) -> dict[str, float | None]:
    """Return every retrieval metric of one case by name."""
    labels = frozenset(relevant)
    return {name: metric(ranked, labels, k) for name, metric, k in TABLE}
