"""How retrieval does on live traffic: how near the best passage is, where passages are lost, by version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries import rolled
from traces.queries.window import Columns, Rows, Window, ends
from traces.rollups import NEAR

MOST_VERSIONS = 50
BUCKETS = NEAR  # of the cosine of the best passage, from 0 to 1


_TURNS = """(
    select kb, index_version, started_at as oldest, started_at as newest, 1 as searched,
           case when hit then 1 else 0 end as hits
    from turns where started_at >= $since and started_at < $until
      and door in (select unnest(cast($doors as text[]))) and hit is not null
) as sums"""
_HOURLY_STAGES = """
    select search, stage, cast(sum(turns) as bigint) as turns from hourly_stages
    where hour >= $since and hour < $until
      and door in (select unnest(cast($doors as text[]))) group by search, stage
"""
_STAGES = """
    select search, stage, count(*) as turns
    from (
        select p.vector_rank = 1 as by_vector, p.text_rank = 1 as by_words,
               case when not t.hit then 'nothing near'
                    when p.cited then 'cited'
                    when p.n is not null then 'unused'
                    else 'budget or rank' end as stage
        from passages p join turns t on t.turn_id = p.turn_id
        where p.turn_id >= $first and p.turn_id <= $last
          and t.started_at >= $since and t.started_at < $until
            and t.door in (select unnest(cast($doors as text[])))
          and t.hit is not null and (p.vector_rank = 1 or p.text_rank = 1)
    ) as placed cross join (values ('vector'), ('words')) as searches (search)
    where case search when 'vector' then by_vector else by_words end
    group by search, stage
"""


@dataclass(frozen=True, slots=True)
class VersionSearches:
    """What an index version did."""

    kb: str | None
    index_version: str | None
    searched: int
    hits: int
    first: datetime
    last: datetime


def scores(ledger: Columns, window: Window) -> list[int]:
    """How many turns had a best passage of each cosine? One count a bucket; below 0 counts as 0."""
    if window.long:
        near = rolled.histograms(ledger, window.hours, metrics=("near",)).get(0, {})
        counted = dict(zip(*near.get("near", ([], [])), strict=True))
        return [counted.get(bucket, 0) for bucket in range(BUCKETS)]
    rows = ledger.rows(
        """
        select cast(least(greatest(floor(top_score * $buckets), 0), $buckets - 1) as integer) as bucket,
               count(*) as turns
        from turns
        where started_at >= $since and started_at < $until
          and door in (select unnest(cast($doors as text[]))) and top_score is not null
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
    if window.long:
        rows = ledger.rows(_HOURLY_STAGES, **window.hours.bound)
    else:
        rows = ledger.rows(_STAGES, **window.bound, **ends(ledger, window.since, window.until))
    counts: dict[str, dict[str, int]] = {"vector": {}, "words": {}}
    for row in rows:
        counts[row["search"]][row["stage"]] = row["turns"]
    return counts


def hit_rate(ledger: Rows, window: Window) -> float | None:
    """What share of the turns that searched found a passage above the floor? None when none searched."""
    by_version = _by_version(ledger, window)
    searched = sum(version.searched for version in by_version)
    return sum(version.hits for version in by_version) / searched if searched else None


def versions(ledger: Rows, window: Window) -> list[VersionSearches]:
    """What did each version of each knowledge base do? The one used last comes first."""
    return _by_version(ledger, window)[:MOST_VERSIONS]


def _by_version(ledger: Rows, window: Window) -> list[VersionSearches]:
    names = "kb, index_version, searched, hits, oldest, newest"
    source, bound = rolled.sums(ledger, window.hours, names) if window.long else (_TURNS, window.bound)
    rows = ledger.rows(
        # constants
        f"""
        select kb, index_version, cast(sum(searched) as bigint) as searched,
               cast(sum(hits) as bigint) as hits, min(oldest) as first, max(newest) as last
        from {source} where searched > 0
        group by kb, index_version order by max(newest) desc
        """,  # noqa: S608
        **bound,
    )
    return [VersionSearches(**row) for row in rows]
