"""What the Overview asks in one go: of longer times the rollups are read once for all of its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from traces.histogram import percentiles
from traces.queries import overview, rolled
from traces.queries.rolled import PERCENTILES, Histogram
from traces.queries.window import Rows, Window
from traces.records import ERRORS

_HOURS = """
    select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step, outcome,
           cast(sum(turns) as bigint) as turns, cast(sum(searched) as bigint) as searched,
           cast(sum(hits) as bigint) as hits, cast(sum(cost_usd) as double precision) as cost_usd,
           cast(sum(unpriced) as bigint) as unpriced, cast(sum(rated) as bigint) as rated,
           cast(sum(up) as bigint) as up
    from hourly where hour >= $since and hour < $until and door = any($doors)
    group by 1, 2
"""
# a conversation counts in every window in which it went on, and in the step in which it began
_TALKS = """
    select cast(floor((extract(epoch from began) - $begin) / $step) as integer) as step,
           ended >= $middle as lasted, unpriced = 0 as priced, count(*) as conversations,
           cast(sum(cost_usd) as double precision) as cost_usd
    from conversations where ended >= $since and began < $until and door = any($doors)
    group by 1, 2, 3
"""
_COLUMNS = ("turns", "searched", "hits", "unpriced", "rated", "up")
_SHOWN = ("first_token_p50", "first_token_p95", "latency_p95")


@dataclass(frozen=True, slots=True)
class Board:
    """A window, the one before it, and its steps; `now` and `before` have the same columns."""

    now: dict[str, Any]
    before: dict[str, Any]
    series: list[dict[str, Any]]
    outcomes: dict[str, int]


def board(ledger: Rows, window: Window, step_seconds: int) -> Board:
    """How did a window go, step by step and as a whole, and the one before it?"""
    if not window.long:
        return _short(ledger, window, step_seconds)
    window, before = window.hours, window.before().hours
    bound = {
        "begin": window.since.timestamp(),
        "step": step_seconds,
        "since": before.since,
        "until": window.until,
        "doors": list(window.doors),
    }
    hours = ledger.rows(_HOURS, **bound)
    talks = ledger.rows(_TALKS, middle=window.since, **bound)
    steps = rolled.histograms(ledger, window, step_seconds)
    whole = _merged(steps.values())
    now = [row for row in hours if row["step"] >= 0]
    earlier = Window(before.since, window.since, window.doors)
    return Board(
        now={**_facts(now), **_spread(whole), **_cost([row for row in talks if row["lasted"]])},
        before={
            **_facts([row for row in hours if row["step"] < 0]),
            **_spread(rolled.histograms(ledger, earlier, None).get(0, {})),
            **_cost([row for row in talks if row["step"] < 0]),
        },
        series=_series(now, talks, steps),
        outcomes=_outcomes(now),
    )


def _short(ledger: Rows, window: Window, step_seconds: int) -> Board:
    """Ask the turns themselves: there are few, and a step may be a minute."""
    before, steps = window.before(), overview.series(ledger, window, step_seconds)
    ratings = {row["step"]: row for row in overview.thumbs_series(ledger, window, step_seconds)}
    rated, up = (sum(row[name] for row in ratings.values()) for name in ("rated", "up"))
    nobody = {"up": 0, "rated": 0}
    shares = {number: ratings.get(number, nobody) for number in (row["step"] for row in steps)}
    return Board(
        now={**_asked(ledger, window), "rated": rated, "up_share": _share(up, rated)},
        before={**_asked(ledger, before), **overview.thumbs(ledger, before)},
        series=[
            {**row, "up_share": _share(shares[row["step"]]["up"], shares[row["step"]]["rated"])}
            for row in steps
        ],
        outcomes=overview.outcomes(ledger, window),
    )


def _asked(ledger: Rows, window: Window) -> dict[str, Any]:
    dear = overview.cost_per_conversation(ledger, window)
    return {**overview.facts(ledger, window), "cost_per_conversation": dear["cost_usd"]}


def _facts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the hours' rows; shares of nothing are None."""
    sums = {name: sum(row[name] for row in rows) for name in _COLUMNS}
    costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    wrong = sum(row["turns"] for row in rows if row["outcome"] in ERRORS)
    return {
        **sums,
        "cost_usd": sum(costs) if costs else None,
        "hit_rate": _share(sums["hits"], sums["searched"]),
        "error_rate": _share(wrong, sums["turns"]),
        "up_share": _share(sums["up"], sums["rated"]),
    }


def _cost(talks: list[dict[str, Any]]) -> dict[str, Any]:
    priced = [row for row in talks if row["priced"]]
    usd = sum(row["cost_usd"] or 0.0 for row in priced)
    return {
        "conversations": sum(row["conversations"] for row in talks),
        "cost_per_conversation": _share(usd, sum(row["conversations"] for row in priced)),
    }


def _series(
    hours: list[dict[str, Any]], talks: list[dict[str, Any]], steps: dict[int, dict[str, Histogram]]
) -> list[dict[str, Any]]:
    by_step: dict[int, list[dict[str, Any]]] = {}
    for row in hours:
        by_step.setdefault(row["step"], []).append(row)
    began = {number: [row for row in talks if row["step"] == number] for number in by_step}
    return [
        {
            **_facts(by_step[number]),
            **_spread(steps.get(number, {}), tuple(PERCENTILES)),
            "step": number,
            "cost_per_conversation": _began(began[number]),
        }
        for number in sorted(by_step)
    ]


def _began(talks: list[dict[str, Any]]) -> float | None:
    costs = [row["cost_usd"] for row in talks if row["cost_usd"] is not None]
    return _share(sum(costs), sum(row["conversations"] for row in talks)) if costs else None


def _outcomes(rows: list[dict[str, Any]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["outcome"]] += row["turns"]
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _merged(steps: Iterable[dict[str, Histogram]]) -> dict[str, Histogram]:
    whole: dict[str, Counter[int]] = {}
    for step in steps:
        for metric, (buckets, counts) in step.items():
            counted = whole.setdefault(metric, Counter())
            for bucket, number in zip(buckets, counts, strict=True):
                counted[bucket] += number
    return {
        metric: (sorted(counted), [counted[bucket] for bucket in sorted(counted)])
        for metric, counted in whole.items()
    }


def _spread(histograms: dict[str, Histogram], names: tuple[str, ...] = _SHOWN) -> dict[str, float | None]:
    result: dict[str, float | None] = dict.fromkeys(names)
    for metric, (buckets, counts) in histograms.items():
        shares = {name: PERCENTILES[name][1] for name in names if PERCENTILES[name][0] == metric}
        values = percentiles(buckets, counts, shares.values())
        result |= {name: values[share] for name, share in shares.items()}
    return result


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
