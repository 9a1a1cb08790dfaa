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


def served(ledger: Rows, since: datetime, until: datetime) -> Served:
    """How often did the cache serve people, how often wrongly, and what time did it save?"""
    [row] = ledger.rows(
        """
        select count(*) as looked,
          count(*) filter (where s.attributes->>'hit' = 'true') as hits,
          count(*) filter (where s.attributes->>'false' is not null) as checked,
          count(*) filter (where s.attributes->>'false' = 'true') as false_hits,
          coalesce(sum(cast(s.attributes->>'saved_seconds' as double precision)), 0) as saved_seconds
        from spans s join turns t on t.turn_id = s.turn_id
        where s.kind = 'cache' and s.name = 'semantic cache' and t.door = any($doors)
          and t.started_at >= $since and t.started_at < $until
        """,
        since=since,
        until=until,
        doors=list(PRODUCTION),
    )
    return Served(row["looked"], row["hits"], row["checked"], row["false_hits"], row["saved_seconds"])
