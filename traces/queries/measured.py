"""What live turns are measured by, whatever they are grouped by: what versions and sides share."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from traces.histogram import percentiles
from traces.queries import rolled
from traces.queries.window import Rows, Window
from traces.records import ERRORS


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSums:
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


Shape = TypeVar("Shape", bound=MeasuredSums)
_DAYS = """
    select prompt, model, bucket, n from daily_sides
    where door = any($doors) and day >= $first_day and day < $last_day
"""
_TURNS = """
    select prompt, model, {bucket} as bucket, 1 as n from turns
    where prompt is not null and seconds is not null and door = any($doors)
      and started_at >= ${since} and started_at < ${until}
"""
_ROLLED = """
    sum(turns) as turns, coalesce(sum(turns) filter (where outcome = any($errors)), 0) as errors,
    sum(searched) as searched, sum(hits) as hits,
    sum(rated_turns) as rated, sum(down) as down,
    sum(grounded_n) as grounded_n, sum(grounded) as grounded, sum(grounded_squares) as grounded_squares,
    sum(seconds_n) as seconds_n, sum(seconds) as seconds, sum(seconds_squares) as seconds_squares,
    sum(cost_n) as cost_n, sum(cost_usd) as cost, sum(cost_squares) as cost_squares
"""
_SUMMED = """
    outcome, turns, searched, hits, rated_turns, down, grounded_n, grounded, grounded_squares,
    seconds_n, seconds, seconds_squares, cost_n, cost_usd, cost_squares
"""
_PARTS = ("grounded", "seconds", "cost")
_COUNTS = ("turns", "errors", "searched", "hits", "rated", "down", "grounded_n", "seconds_n", "cost_n")


def groups(
    ledger: Rows, window: Window, shape: type[Shape], keys: tuple[str, ...], where: str, **bound: Any
) -> list[Shape]:
    """Measure the groups of a window's whole hours by the rollups; `where` is a constant, `keys` too."""
    listed = ", ".join(keys)
    source, ends = rolled.sums(ledger, window, f"{_SUMMED}, {listed}")
    rows = ledger.rows(
        f"select {listed}, {_ROLLED} from {source} where {where} group by {listed}",  # noqa: S608
        errors=list(ERRORS),
        **ends,
        **bound,
    )
    slow = _p95(ledger, window, listed)
    measured: list[Shape] = []
    for row in rows:
        values: dict[str, Any] = {name: row[name] for name in keys}
        values |= {name: int(row[name]) for name in _COUNTS}
        values["up"] = int(row["rated"] - row["down"])
        values["seconds_p95"] = slow.get(tuple(row[name] for name in keys))
        for part in _PARTS:
            values |= _spread(part, row)
        measured.append(shape(**values))
    return measured


def _spread(name: str, row: dict[str, Any]) -> dict[str, float | None]:
    """Return mean and deviation out of number, sum and sum of squares."""
    n = int(row[f"{name}_n"])
    total, squares = (Decimal(str(row[column] or 0)) for column in (name, f"{name}_squares"))
    mean = float(total / n) if n else None
    variance = max(squares - total * total / n, Decimal(0)) / (n - 1) if n > 1 else None
    return {f"{name}_mean": mean, f"{name}_sd": None if variance is None else float(variance.sqrt())}


def _p95(ledger: Rows, window: Window, keys: str) -> dict[tuple[str | None, ...], float | None]:
    """How long did the slowest twentieth take at least? Of closed days by histograms, else by the turns."""
    days = rolled.closed_days(ledger, window)
    first, last = days or (window.until, window.until)
    edges = {"since": window.since, "first_day": first, "last_day": last, "until": window.until}
    pieces = [_TURNS.format(bucket=rolled.BUCKET, since="since", until="first_day")]
    if days:
        pieces += [_DAYS, _TURNS.format(bucket=rolled.BUCKET, since="last_day", until="until")]
    rows = ledger.rows(
        # constants
        f"""
        select {keys}, array_agg(bucket order by bucket) as buckets, array_agg(n order by bucket) as counts
        from (
            select {keys}, bucket, cast(sum(n) as bigint) as n
            from ({" union all ".join(pieces)}) as every group by {keys}, bucket
        ) as summed group by {keys}
        """,  # noqa: S608
        doors=list(window.doors),
        **(edges if days else {name: edges[name] for name in ("since", "first_day")}),
    )
    names = [key.strip() for key in keys.split(",")]
    return {
        tuple(row[name] for name in names): percentiles(row["buckets"], row["counts"], [0.95])[0.95]
        for row in rows
    }


# One row a group: `with` what people and our own scorer said of each turn, then counts and means over turns.
SCORED = """
with grounded as (
    select turn_id, max(value) as value from scores
    where name = 'groundedness' and source = 'online' and value is not null
      and turn_id >= $first and turn_id <= $last
    group by turn_id
), thumbs as (
    select turn_id, min(value) as value from scores
    where name = 'feedback' and value is not null and turn_id >= $first and turn_id <= $last
    group by turn_id
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
