"""What longer windows ask of the rollups instead of the turns: the same answers, at any number of turns.

A window counts by whole hours here; conversations count in the window in which they went on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from traces.histogram import percentiles
from traces.queries.window import Rows, Window
from traces.records import ERRORS

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
ALL_SECONDS = 1e12  # a step as long as any window
_PIECE = """
    select {0} as moment, metric, bucket, n from {1}_buckets
    where metric = any($metrics) and door = any($doors) and {0} >= ${2} and {0} < ${3}
"""


def facts(ledger: Rows, window: Window) -> dict[str, Any]:
    """Answer `overview.facts`."""
    [row] = ledger.rows(
        # constants
        f"""
        select {_COUNTS}, cast(sum(cost_usd) as double precision) as cost_usd,
               cast(coalesce(sum(unpriced), 0) as bigint) as unpriced
        from hourly where hour >= $since and hour < $until and door = any($doors)
        """,  # noqa: S608
        errors=list(ERRORS),
        **window.bound,
    )
    result = spread(ledger, window).get(0, {})
    shares = {name: result.get(name) for name in PERCENTILES if name not in ("latency_p50", "latency_p99")}
    counts = {"turns": row["turns"] or 0, "searched": row["searched"] or 0}
    return {**row, **counts, **shares, "conversations": conversations(ledger, window)}


def conversations(ledger: Rows, window: Window) -> int:
    """How many conversations went on?"""
    [row] = ledger.rows(
        """
        select count(*) as conversations
        from conversations where ended >= $since and began < $until and door = any($doors)
        """,
        **window.bound,
    )
    return row["conversations"]


def cost_per_conversation(ledger: Rows, window: Window) -> dict[str, Any]:
    """Answer `overview.cost_per_conversation`; conversations count whole."""
    [row] = ledger.rows(
        """
        select cast(avg(coalesce(cost_usd, 0)) as double precision) as cost_usd, count(*) as conversations
        from conversations
        where ended >= $since and began < $until and door = any($doors) and unpriced = 0
        """,
        **window.bound,
    )
    return row


def series(ledger: Rows, window: Window, step_seconds: int) -> list[dict[str, Any]]:
    """Answer `overview.series`; a step's cost per conversation is of those that began in it."""
    bound = {"begin": window.since.timestamp(), "step": step_seconds, **window.bound}
    rows = ledger.rows(
        # constants
        f"""
        select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step, {_COUNTS}
        from hourly where hour >= $since and hour < $until and door = any($doors)
        group by 1 order by 1
        """,  # noqa: S608
        errors=list(ERRORS),
        **bound,
    )
    costs = ledger.rows(
        """
        select cast(floor((extract(epoch from began) - $begin) / $step) as integer) as step,
               cast(sum(cost_usd) / count(*) as double precision) as cost_per_conversation
        from conversations where began >= $since and began < $until and door = any($doors)
        group by 1
        """,
        **bound,
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
    [row] = ledger.rows(
        """
        select cast(coalesce(sum(rated), 0) as bigint) as rated,
               cast(sum(up) as double precision) / nullif(sum(rated), 0) as up_share
        from hourly where hour >= $since and hour < $until and door = any($doors)
        """,
        **window.bound,
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
    rows = ledger.rows(
        """
        select outcome, cast(sum(turns) as bigint) as turns
        from hourly where hour >= $since and hour < $until and door = any($doors)
        group by outcome order by turns desc, outcome
        """,
        **window.bound,
    )
    return {row["outcome"]: row["turns"] for row in rows}


def histograms(
    ledger: Rows, window: Window, step_seconds: int | None = None, metrics: tuple[str, ...] = ()
) -> dict[int, dict[str, Histogram]]:
    """Return the histogram of each metric for each step, or for the whole window as step 0."""
    pieces, ends = _pieces(ledger, window, step_seconds)
    rows = ledger.rows(
        # constants
        f"""
        select step, metric, array_agg(bucket order by bucket) as buckets,
               array_agg(n order by bucket) as counts
        from (
            select cast(floor((extract(epoch from moment) - $begin) / $step) as integer) as step,
                   metric, bucket, cast(sum(n) as bigint) as n
            from ({" union all ".join(pieces)}) as pieces
            group by 1, 2, 3
        ) as summed
        group by step, metric
        """,  # noqa: S608
        begin=window.since.timestamp(),
        step=step_seconds or ALL_SECONDS,
        metrics=list(metrics or ("seconds", "first_token")),
        doors=list(window.doors),
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


def _pieces(ledger: Rows, window: Window, step_seconds: int | None) -> tuple[list[str], dict[str, datetime]]:
    """Return what to read: histograms of the whole days that are closed, and of the hours around them."""
    [row] = ledger.rows("select max(through) as through from rolled")
    first, last = _floor(window.since + _DAY - timedelta(microseconds=1)), _floor(window.until)
    across = step_seconds is not None and (step_seconds % 86_400 or first != window.since)
    last = min(last, row["through"] or last)
    if across or row["through"] is None or first >= last:
        return [_PIECE.format("hour", "hourly", "since", "until")], {
            "since": window.since,
            "until": window.until,
        }
    edges = {"first_day": first, "last_day": last}
    pieces = [_PIECE.format("day", "daily", "first_day", "last_day")]
    if window.since < first:
        pieces.append(_PIECE.format("hour", "hourly", "since", "first_day"))
        edges["since"] = window.since
    if last < window.until:
        pieces.append(_PIECE.format("hour", "hourly", "last_day", "until"))
        edges["until"] = window.until
    return pieces, edges


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
