"""What the semantic cache saves, and how often it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows, Window, ends


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Turns that looked into the cache; `false` of the `checked` hits met another fresh result."""

    looked: int
    hits: int
    checked: int
    false: int
    saved_seconds: float
    saved_usd: float = 0.0


_TURNS = """
    select count(*) as looked,
      count(*) filter (where s.attributes->>'hit' = 'true') as hits,
      count(*) filter (where s.attributes->>'false' is not null) as checked,
      count(*) filter (where s.attributes->>'false' = 'true') as false_hits,
      coalesce(sum(cast(s.attributes->>'saved_seconds' as double precision)), 0) as saved_seconds,
      coalesce(sum(cast(s.attributes->>'saved_usd' as double precision)), 0) as saved_usd
    from spans s join turns t on t.turn_id = s.turn_id
    where s.kind = 'cache' and s.name = $name and t.door = any($doors)
      and s.turn_id >= $first and s.turn_id <= $last
      and t.started_at >= $since and t.started_at < $until
"""
_HOURS = """
    select name, cast(sum(looked) as bigint) as looked, cast(sum(hits) as bigint) as hits,
           cast(sum(checked) as bigint) as checked, cast(sum(false_hits) as bigint) as false_hits,
           cast(coalesce(sum(saved_seconds), 0) as double precision) as saved_seconds,
           cast(coalesce(sum(saved_usd), 0) as double precision) as saved_usd
    from hourly_caches where door = any($doors) and hour >= $since and hour < $until
    group by name
"""


def served(ledger: Rows, since: datetime, until: datetime, name: str = "semantic cache") -> CacheUse:
    """How often did a cache serve people, how often wrongly, what time and money did it save?

    The "semantic cache" serves passages, the "answer cache" answers of models.
    """
    window = Window(since, until)
    if window.long:
        rows = ledger.rows(_HOURS, **window.hours.bound)  # of every cache: asked once for all
        row = next((row for row in rows if row["name"] == name), None)
        if row is None:
            return CacheUse(0, 0, 0, 0, 0.0)
    else:
        [row] = ledger.rows(_TURNS, name=name, **window.bound, **ends(ledger, since, until))
    counts = row["looked"], row["hits"], row["checked"], row["false_hits"]
    return CacheUse(*counts, row["saved_seconds"], row["saved_usd"])
