"""What live turns are measured by, whatever they are grouped by: SQL shared by versions and sides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Counts with their totals, means with deviation and number; None where nothing was measured."""

    turns: int
    errors: int
    searched: int
    hits: int
    rated: int
    down: int
    up: int
    grounded_n: int
    grounded_mean: float | None
    grounded_sd: float | None
    seconds_n: int
    seconds_mean: float | None
    seconds_sd: float | None
    seconds_p95: float | None
    cost_n: int
    cost_mean: float | None
    cost_sd: float | None


# One row a group: `with` what people and our own scorer said of each turn, then counts and means over turns.
SCORED = """
with grounded as (
    select turn_id, max(value) as value from scores
    where name = 'groundedness' and source = 'online' and value is not null group by turn_id
), thumbs as (
    select turn_id, min(value) as value from scores
    where name = 'feedback' and value is not null group by turn_id
)
"""
MEASURED = """
count(*) as turns,
count(*) filter (where outcome = any($errors)) as errors,
count(hit) as searched,
count(*) filter (where hit) as hits,
count(thumbs.value) as rated,
count(*) filter (where thumbs.value <= 0) as down,
count(*) filter (where thumbs.value > 0) as up,
count(grounded.value) as grounded_n,
avg(grounded.value) as grounded_mean,
stddev_samp(grounded.value) as grounded_sd,
count(turns.seconds) as seconds_n,
avg(turns.seconds) as seconds_mean,
stddev_samp(turns.seconds) as seconds_sd,
percentile_cont(0.95) within group (order by turns.seconds) as seconds_p95,
count(turns.cost_usd) as cost_n,
avg(turns.cost_usd) as cost_mean,
stddev_samp(turns.cost_usd) as cost_sd
from turns
left join grounded on grounded.turn_id = turns.turn_id
left join thumbs on thumbs.turn_id = turns.turn_id
where turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
"""
