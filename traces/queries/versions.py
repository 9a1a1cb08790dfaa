"""What prompt versions did on live traffic: one row a version, for side-by-side numbers and canaries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows
from traces.records import ERRORS, PRODUCTION


@dataclass(frozen=True, slots=True)
class Live:
    """What a prompt version did on live traffic; a mean is None where nothing was measured."""

    prompt: str  # label
    turns: int
    errors: int
    searched: int
    hits: int
    rated: int
    down: int
    grounded_n: int
    grounded_mean: float | None
    grounded_sd: float | None
    seconds_n: int
    seconds_mean: float | None
    seconds_sd: float | None
    cost_n: int
    cost_mean: float | None
    cost_sd: float | None


def live(ledger: Rows, name: str, since: datetime, until: datetime) -> list[Live]:
    """How did each version of a prompt do on the turns that people asked, by label?

    Counts with their totals, means with deviation and number, so that intervals can be computed.
    Turns that never reached a prompt (refused, nothing found) are not in it.
    """
    rows = ledger.rows(
        """
        with grounded as (
            select turn_id, max(value) as value from scores
            where name = 'groundedness' and source = 'online' and value is not null group by turn_id
        ), thumbs as (
            select turn_id, min(value) as value from scores
            where name = 'feedback' and value is not null group by turn_id
        )
        select turns.prompt,
               count(*) as turns,
               count(*) filter (where outcome = any($errors)) as errors,
               count(hit) as searched,
               count(*) filter (where hit) as hits,
               count(thumbs.value) as rated,
               count(*) filter (where thumbs.value <= 0) as down,
               count(grounded.value) as grounded_n,
               avg(grounded.value) as grounded_mean,
               stddev_samp(grounded.value) as grounded_sd,
               count(turns.seconds) as seconds_n,
               avg(turns.seconds) as seconds_mean,
               stddev_samp(turns.seconds) as seconds_sd,
               count(turns.cost_usd) as cost_n,
               avg(turns.cost_usd) as cost_mean,
               stddev_samp(turns.cost_usd) as cost_sd
        from turns
        left join grounded on grounded.turn_id = turns.turn_id
        left join thumbs on thumbs.turn_id = turns.turn_id
        where turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
          and starts_with(turns.prompt, $name)
        group by turns.prompt order by turns.prompt
        """,
        since=since,
        until=until,
        doors=list(PRODUCTION),
        errors=list(ERRORS),
        name=f"{name}@v",
    )
    return [Live(**row) for row in rows]
