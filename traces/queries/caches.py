"""What the semantic cache saves, and how often it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows, Window, ends


@dataclass(frozen=True, slots=True)
class Served:
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
    select cast(coalesce(sum(looked), 0) as bigint) as looked, cast(coalesce(sum(hits), 0) as bigint) as hits,
           cast(coalesce(sum(checked), 0) as bigint) as checked,
           cast(coalesce(sum(false_hits), 0) as bigint) as false_hits,
           cast(coalesce(sum(saved_seconds), 0) as double precision) as saved_seconds,
           cast(coalesce(sum(saved_usd), 0) as double precision) as saved_usd
    from hourly_caches where name = $name and door = any($doors) and hour >= $since and hour < $until
"""


def served(ledger: Rows, since: datetime, until: datetime, name: str = "semantic cache") -> Served:
    """How often did a cache serve people, how often wrongly, what time and money did it save?

    The "semantic cache" serves passages, the "answer cache" answers of models.
    """
    window = Window(since, until)
    if window.long:
        [row] = ledger.rows(_HOURS, name=name, **window.hours.bound)
    else:
        [row] = ledger.rows(_TURNS, name=name, **window.bound, **ends(ledger, since, until))
    counts = row["looked"], row["hits"], row["checked"], row["false_hits"]
    return Served(*counts, row["saved_seconds"], row["saved_usd"])
