"""What longer windows ask of the rollups instead of the turns: the same answers, at any number of turns.

A window counts by whole hours here; conversations count in the window in which they went on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from traces.histogram import RATIO, ZERO, percentiles
from traces.queries.window import Rows, Window
from traces.records import ERRORS, PRODUCTION

PERCENTILES = {
    "first_token_p50": ("first_token", 0.50),
    "first_token_p95": ("first_token", 0.95),
    "latency_p50": ("seconds", 0.50),
    "latency_p95": ("seconds", 0.95),
    "latency_p99": ("seconds", 0.99),
}
_COUNTS = """
    cast(sum(turns) as bigint) as turns,
    cast(sum(searched) as bigint) as searched,
    cast(sum(hits) as double precision) / nullif(sum(searched), 0) as hit_rate,
    cast(coalesce(sum(turns) filter (where outcome = any($errors)), 0) as double precision)
        / sum(turns) as error_rate
"""
_DAY = timedelta(days=1)
Histogram = tuple[list[int], list[int]]  # its buckets in order, and how many values each holds
# the bucket of a turn's seconds, as the rollups make it
BUCKET = f"case when seconds > 0 then cast(floor(ln(seconds) / ln({RATIO})) as integer) else {ZERO} end"
ALL_SECONDS = 1e12  # a step as long as any window
_PEOPLE = ["people"]  # the histograms of all doors that people use, added up already
_BUCKETS = """
    select {0} as moment, metric, bucket, n from {1}_buckets
    where metric = any($metrics) and door = any($doors) and {0} >= ${2} and {0} < ${3}
"""
_SUMS = """
    select {0} as moment, model, prompt, kb, index_version, route, outcome, turns, oldest, newest, searched,
           hits, called, stopped, unpriced, cost_n, cost_usd, cost_squares, seconds_n, seconds,
           seconds_squares, rated, up, rated_turns, down, resolved, grounded_n, grounded, grounded_squares
    from {1} where door = any($doors) and {0} >= ${2} and {0} < ${3}
"""
# those that went on in a window: begun before its end, less those that ended before its begin
_TALKS = """
    select cast(coalesce(sum(began), 0) - coalesce(sum(ended) filter (where hour < $since), 0) as bigint)
               as conversations,
           cast(coalesce(sum(began_priced), 0) - coalesce(sum(ended_priced) filter (where hour < $since), 0)
               as bigint) as priced,
           cast(coalesce(sum(began_priced_usd), 0)
               - coalesce(sum(ended_priced_usd) filter (where hour < $since), 0) as double precision) as usd
    from hourly_talks where hour < $until and door = any($doors)
"""


def facts(ledger: Rows, window: Window) -> dict[str, Any]:
    """Answer `overview.facts`."""
    source, bound = sums(ledger, window)
    [row] = ledger.rows(
        # constants
        f"""
        select {_COUNTS}, cast(sum(cost_usd) as double precision) as cost_usd,
               cast(coalesce(sum(unpriced), 0) as bigint) as unpriced
        from {source}
        """,  # noqa: S608
        errors=list(ERRORS),
        **bound,
    )
    result = spread(ledger, window).get(0, {})
    shares = {name: result.get(name) for name in PERCENTILES if name not in ("latency_p50", "latency_p99")}
    counts = {"turns": row["turns"] or 0, "searched": row["searched"] or 0}
    return {**row, **counts, **shares, "conversations": conversations(ledger, window)}


def conversations(ledger: Rows, window: Window) -> int:
    """How many conversations went on?"""
    return ledger.rows(_TALKS, **window.bound)[0]["conversations"]


def cost_per_conversation(ledger: Rows, window: Window) -> dict[str, Any]:
    """Answer `overview.cost_per_conversation`; conversations count whole."""
    [row] = ledger.rows(_TALKS, **window.bound)
    cost = row["usd"] / row["priced"] if row["priced"] else None
    return {"cost_usd": cost, "conversations": row["priced"]}


def series(ledger: Rows, window: Window, step_seconds: int) -> list[dict[str, Any]]:
    """Answer `overview.series`; a step's cost per conversation is of those that began in it."""
    begin, (source, bound) = window.since.timestamp(), sums(ledger, window, step_seconds)
    rows = ledger.rows(
        # constants
        f"""
        select cast(floor((extract(epoch from moment) - $begin) / $step) as integer) as step, {_COUNTS}
        from {source} group by 1 order by 1
        """,  # noqa: S608
        errors=list(ERRORS),
        begin=begin,
        step=step_seconds,
        **bound,
    )
    costs = ledger.rows(
        """
        select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step,
               cast(sum(began_usd) as double precision) / sum(began) as cost_per_conversation
        from hourly_talks where hour >= $since and hour < $until and door = any($doors)
        group by 1 having sum(began) > 0
        """,
        begin=begin,
        step=step_seconds,
        **window.bound,
    )
    cost = {row["step"]: row["cost_per_conversation"] for row in costs}
    times = spread(ledger, window, step_seconds)
    empty = dict.fromkeys(PERCENTILES)
    return [
        {**row, **empty, **times.get(row["step"], {}), "cost_per_conversation": cost.get(row["step"])}
        for row in rows
    ]


def thumbs(ledger: Rows, window: Window) -> dict[str, Any]:
    """Answer `overview.thumbs`."""
    source, bound = sums(ledger, window)
    [row] = ledger.rows(
        # constants
        f"""
        select cast(coalesce(sum(rated), 0) as bigint) as rated,
               cast(sum(up) as double precision) / nullif(sum(rated), 0) as up_share
        from {source}
        """,  # noqa: S608
        **bound,
    )
    return row


def thumbs_series(ledger: Rows, window: Window, step_seconds: int) -> list[dict[str, Any]]:
    """Answer `overview.thumbs_series`."""
    return ledger.rows(
        """
        select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step,
               cast(sum(rated) as bigint) as rated, cast(sum(up) as bigint) as up
        from hourly where hour >= $since and hour < $until and door = any($doors)
        group by 1 having sum(rated) > 0 order by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
    )


def cost_by_model(ledger: Rows, window: Window, step_seconds: int) -> list[dict[str, Any]]:
    """Answer `overview.cost_by_model`."""
    return ledger.rows(
        """
        select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step, model,
               cast(sum(cost_usd) as double precision) as cost_usd,
               cast(sum(unpriced_calls) as bigint) as unpriced
        from hourly_models where hour >= $since and hour < $until and door = any($doors)
        group by 1, 2 order by 1, 2
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
    )


def outcomes(ledger: Rows, window: Window) -> dict[str, int]:
    """Answer `overview.outcomes`."""
    source, bound = sums(ledger, window)
    rows = ledger.rows(
        # constants
        f"""
        select outcome, cast(sum(turns) as bigint) as turns
        from {source} group by outcome order by turns desc, outcome
        """,  # noqa: S608
        **bound,
    )
    return {row["outcome"]: row["turns"] for row in rows}


def histograms(
    ledger: Rows, window: Window, step_seconds: int | None = None, metrics: tuple[str, ...] = ()
) -> dict[int, dict[str, Histogram]]:
    """Return the histogram of each metric for each step, or for the whole window as step 0."""
    pieces, ends = _pieces(ledger, window, step_seconds)
    source = " union all ".join(_BUCKETS.format(moment, table, *edges) for moment, table, *edges in pieces)
    rows = ledger.rows(
        # constants
        f"""
        select step, metric, array_agg(bucket order by bucket) as buckets,
               array_agg(n order by bucket) as counts
        from (
            select cast(floor((extract(epoch from moment) - $begin) / $step) as integer) as step,
                   metric, bucket, cast(sum(n) as bigint) as n
            from ({source}) as pieces
            group by 1, 2, 3
        ) as summed
        group by step, metric
        """,  # noqa: S608
        begin=window.since.timestamp(),
        step=step_seconds or ALL_SECONDS,
        metrics=list(metrics or ("seconds", "first_token")),
        doors=_PEOPLE if set(window.doors) == set(PRODUCTION) else list(window.doors),
        **ends,
    )
    result: dict[int, dict[str, Histogram]] = {}
    for row in rows:
        result.setdefault(row["step"], {})[row["metric"]] = row["buckets"], row["counts"]
    return result


def spread(
    ledger: Rows, window: Window, step_seconds: int | None = None, metrics: tuple[str, ...] = ()
) -> dict[int, dict[str, float | None]]:
    """Return the percentiles of each step, or of the whole window as step 0, out of the histograms."""
    result: dict[int, dict[str, float | None]] = {}
    for step, by_metric in histograms(ledger, window, step_seconds, metrics).items():
        result[step] = {}
        for metric, (buckets, counts) in by_metric.items():
            shares = {name: share for name, (of, share) in PERCENTILES.items() if of == metric}
            values = percentiles(buckets, counts, shares.values())
            result[step] |= {name: values[share] for name, share in shares.items()}
    return result


def by_part(ledger: Rows, window: Window, part: str, metric: str) -> dict[str | None, dict[str, Any]]:
    """How did a metric spread over whole closed days (UTC), for each model, prompt, kb or outcome?"""
    rows = ledger.rows(
        """
        select name, cast(sum(n) as bigint) as n, array_agg(bucket order by bucket) as buckets,
               array_agg(n order by bucket) as counts
        from (
            select name, bucket, cast(sum(n) as bigint) as n from daily_parts
            where part = $part and metric = $metric and door = any($doors) and day >= $since and day < $until
            group by name, bucket
        ) as summed
        group by name order by name
        """,
        part=part,
        metric=metric,
        **window.bound,
    )
    result: dict[str | None, dict[str, Any]] = {}
    for row in rows:
        values = percentiles(row["buckets"], row["counts"], (0.50, 0.95))
        result[row["name"]] = {"n": row["n"], "p50": values[0.50], "p95": values[0.95]}
    return result


def sums(
    rows: Rows, window: Window, step_seconds: int | None = None, begin: datetime | None = None
) -> tuple[str, dict[str, datetime | list[str]]]:
    """Return what to select the sums of a window's whole hours from, and what that binds.

    Rows have the columns of `hourly`, but `moment`, and no door. Steps begin at `begin`, or the window's.
    """
    pieces, ends = _pieces(rows, window, step_seconds, begin)
    source = " union all ".join(_SUMS.format(moment, table, *edges) for moment, table, *edges in pieces)
    return f"({source}) as sums", {"doors": list(window.doors), **ends}


def _pieces(
    ledger: Rows, window: Window, step_seconds: int | None, begin: datetime | None = None
) -> tuple[list[tuple[str, str, str, str]], dict[str, datetime]]:
    """Return what to read, and between which times: the whole days that are closed, and the hours around."""
    days = closed_days(ledger, window)
    start = begin or window.since
    across = step_seconds is not None and (step_seconds % 86_400 or start != _floor(start))
    if across or days is None:
        return [("hour", "hourly", "since", "until")], {"since": window.since, "until": window.until}
    edges = {"first_day": days[0], "last_day": days[1]}
    pieces = [("day", "daily", "first_day", "last_day")]
    if window.since < days[0]:
        pieces.append(("hour", "hourly", "since", "first_day"))
        edges["since"] = window.since
    if days[1] < window.until:
        pieces.append(("hour", "hourly", "last_day", "until"))
        edges["until"] = window.until
    return pieces, edges


def closed_days(rows: Rows, window: Window) -> tuple[datetime, datetime] | None:
    """Between which midnights (UTC) of a window are the days summed up? None when no day is."""
    [row] = rows.rows("select max(through) as through from rolled")
    first, last = _floor(window.since + _DAY - timedelta(microseconds=1)), _floor(window.until)
    if row["through"] is None or first >= min(last, row["through"]):
        return None
    return first, min(last, row["through"])


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
