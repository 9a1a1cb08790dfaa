"""What the semantic cache saves, and how often it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows
from traces.records import PRODUCTION


@dataclass(frozen=True, slots=True)
class Served:
    """Turns that looked into the cache; `false` of the `checked` hits met another fresh result."""

    looked: int
    hits: int
    checked: int
    false: int
    saved_seconds: float
    saved_usd: float = 0.0


def served(ledger: Rows, since: datetime, until: datetime, name: str = "semantic cache") -> Served:
    """How often did a cache serve people, how often wrongly, what time and money did it save?

    The "semantic cache" serves passages, the "answer cache" answers of models.
    """
    [row] = ledger.rows(
        """
        select count(*) as looked,
          count(*) filter (where s.attributes->>'hit' = 'true') as hits,
          count(*) filter (where s.attributes->>'false' is not null) as checked,
          count(*) filter (where s.attributes->>'false' = 'true') as false_hits,
          coalesce(sum(cast(s.attributes->>'saved_seconds' as double precision)), 0) as saved_seconds,
          coalesce(sum(cast(s.attributes->>'saved_usd' as double precision)), 0) as saved_usd
        from spans s join turns t on t.turn_id = s.turn_id
        where s.kind = 'cache' and s.name = $name and t.door = any($doors)
          and t.started_at >= $since and t.started_at < $until
        """,
        name=name,
        since=since,
        until=until,
        doors=list(PRODUCTION),
    )
    counts = row["looked"], row["hits"], row["checked"], row["false_hits"]
    return Served(*counts, row["saved_seconds"], row["saved_usd"])
