"""How retrieval does on live traffic: how near the best passage is, where passages are lost, by version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows, Window

BUCKETS = 20  # of the cosine of the best passage, from 0 to 1


@dataclass(frozen=True, slots=True)
class Version:
    """What an index version did."""

    kb: str | None
    index_version: str | None
    searched: int
    hits: int
    first: datetime
    last: datetime


def scores(ledger: Rows, window: Window) -> list[int]:
    """How many turns had a best passage of each cosine? One count a bucket; below 0 counts as 0."""
    rows = ledger.rows(
        """
        select cast(least(greatest(floor(top_score * $buckets), 0), $buckets - 1) as integer) as bucket,
               count(*) as turns
        from turns
        where started_at >= $since and started_at < $until and door = any($doors) and top_score is not null
        group by 1
        """,
        buckets=BUCKETS,
        **window.bound,
    )
    counts = dict.fromkeys(range(BUCKETS), 0) | {row["bucket"]: row["turns"] for row in rows}
    return [counts[bucket] for bucket in range(BUCKETS)]


def stages(ledger: Rows, window: Window) -> dict[str, dict[str, int]]:
    """What became of the passage that vector search, and of the one that word search, liked best?

    {"vector" | "words": {"cited" | "unused" | "budget or rank" | "nothing near": turns}}. A turn whose best
    passage lay under the floor is "nothing near": retrieval found nothing to lose.
    """
    rows = ledger.rows(
        """
        select p.vector_rank = 1 as by_vector, p.text_rank = 1 as by_words,
               case when not t.hit then 'nothing near'
                    when p.cited then 'cited'
                    when p.n is not null then 'unused'
                    else 'budget or rank' end as stage,
               count(*) as turns
        from passages p join turns t on t.turn_id = p.turn_id
        where t.started_at >= $since and t.started_at < $until and t.door = any($doors)
          and t.hit is not null and (p.vector_rank = 1 or p.text_rank = 1)
        group by 1, 2, 3
        """,
        **window.bound,
    )
    counts: dict[str, dict[str, int]] = {"vector": {}, "words": {}}
    for row in rows:
        for search, first in (("vector", row["by_vector"]), ("words", row["by_words"])):
            if first:
                counts[search][row["stage"]] = counts[search].get(row["stage"], 0) + row["turns"]
    return counts


def versions(ledger: Rows, window: Window) -> list[Version]:
    """What did each version of each knowledge base do? The one used last comes first."""
    rows = ledger.rows(
        """
        select kb, index_version, count(hit) as searched, count(*) filter (where hit) as hits,
               min(started_at) as first, max(started_at) as last
        from turns
        where started_at >= $since and started_at < $until and door = any($doors) and hit is not null
        group by kb, index_version order by max(started_at) desc limit 50
        """,
        **window.bound,
    )
    return [Version(**row) for row in rows]
