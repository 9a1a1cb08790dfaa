"""What the Overview asks in one go: of longer times the rollups are read once for all of its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

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
_SHOWN = ("first_token_p50", "first_token_p95", "latency_p95")


class Hour(NamedTuple):
    """What the turns of a step with one outcome came to."""

    step: int
    outcome: str
    turns: int
    searched: int
    hits: int
    cost_usd: float | None
    unpriced: int
    rated: int
    up: int


class Talks(NamedTuple):
    """The conversations that began in a step; `lasted` ones went on into the window."""

    step: int
    lasted: bool
    priced: bool
    conversations: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How many turns there were, how good, how fast and how dear; shares of nothing are None."""

    turns: int
    searched: int
    hit_rate: float | None
    error_rate: float | None
    up_share: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    latency_p95: float | None
    cost_per_conversation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Facts):
    """The facts of a whole window."""

    conversations: int
    rated: int
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Facts):
    """The facts of a step, which is counted from the window's begin."""

    step: int
    latency_p50: float | None
    latency_p99: float | None


@dataclass(frozen=True, slots=True)
class Board:
    """A window, the one before it, its steps (empty ones are absent), and how many turns ended how."""

    now: Whole
    before: Whole
    series: list[Step]
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
    hours = [Hour(**row) for row in ledger.rows(_HOURS, **bound)]
    talks = [Talks(**row) for row in ledger.rows(_TALKS, middle=window.since, **bound)]
    steps = rolled.histograms(ledger, window, step_seconds)
    now = [hour for hour in hours if hour.step >= 0]
    earlier = Window(before.since, window.since, window.doors)
    return Board(
        now=_whole(now, [row for row in talks if row.lasted], _merged(steps.values())),
        before=_whole(
            [hour for hour in hours if hour.step < 0],
            [row for row in talks if row.step < 0],
            rolled.histograms(ledger, earlier, None).get(0, {}),
        ),
        series=_series(now, talks, steps),
        outcomes=_outcomes(now),
    )


def _short(ledger: Rows, window: Window, step_seconds: int) -> Board:
    """Ask the turns themselves: there are few, and a step may be a minute."""
    before, ratings = window.before(), overview.thumbs_series(ledger, window, step_seconds)
    shares = {row["step"]: _share(row["up"], row["rated"]) for row in ratings}
    rated, up = (sum(row[name] for row in ratings) for name in ("rated", "up"))
    steps = overview.series(ledger, window, step_seconds)
    return Board(
        now=_asked(ledger, window, rated=rated, up_share=_share(up, rated)),
        before=_asked(ledger, before, **overview.thumbs(ledger, before)),
        series=[Step(**row, up_share=shares.get(row["step"])) for row in steps],
        outcomes=overview.outcomes(ledger, window),
    )


def _asked(ledger: Rows, window: Window, *, rated: int, up_share: float | None) -> Whole:
    dear = overview.cost_per_conversation(ledger, window)["cost_usd"]
    thumbs = {"rated": rated, "up_share": up_share}
    return Whole(**overview.facts(ledger, window), **thumbs, cost_per_conversation=dear)


def _whole(hours: list[Hour], talks: list[Talks], histograms: dict[str, Histogram]) -> Whole:
    costs = [hour.cost_usd for hour in hours if hour.cost_usd is not None]
    priced = [row for row in talks if row.priced]
    usd = sum(row.cost_usd or 0.0 for row in priced)
    return Whole(
        **_facts(hours),
        **_spread(histograms),
        conversations=sum(row.conversations for row in talks),
        cost_per_conversation=_share(usd, sum(row.conversations for row in priced)),
        rated=sum(hour.rated for hour in hours),
        cost_usd=sum(costs) if costs else None,
        unpriced=sum(hour.unpriced for hour in hours),
    )


class _Shares(TypedDict):
    turns: int
    searched: int
    hit_rate: float | None
    error_rate: float | None
    up_share: float | None


def _facts(hours: list[Hour]) -> _Shares:
    """Add up the hours; shares of nothing are None."""
    turns, searched = sum(hour.turns for hour in hours), sum(hour.searched for hour in hours)
    wrong = sum(hour.turns for hour in hours if hour.outcome in ERRORS)
    return {
        "turns": turns,
        "searched": searched,
        "hit_rate": _share(sum(hour.hits for hour in hours), searched),
        "error_rate": _share(wrong, turns),
        "up_share": _share(sum(hour.up for hour in hours), sum(hour.rated for hour in hours)),
    }


def _series(hours: list[Hour], talks: list[Talks], steps: dict[int, dict[str, Histogram]]) -> list[Step]:
    by_step: dict[int, list[Hour]] = {}
    for hour in hours:
        by_step.setdefault(hour.step, []).append(hour)
    return [
        Step(
            **_facts(by_step[number]),
            **_spread(steps.get(number, {}), tuple(PERCENTILES)),
            step=number,
            cost_per_conversation=_began([row for row in talks if row.step == number]),
        )
        for number in sorted(by_step)
    ]


def _began(talks: list[Talks]) -> float | None:
    costs = [row.cost_usd for row in talks if row.cost_usd is not None]
    return _share(sum(costs), sum(row.conversations for row in talks)) if costs else None


def _outcomes(hours: list[Hour]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for hour in hours:
        counts[hour.outcome] += hour.turns
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


def _spread(histograms: dict[str, Histogram], names: tuple[str, ...] = _SHOWN) -> dict[str, Any]:
    result: dict[str, Any] = dict.fromkeys(names)
    for metric, (buckets, counts) in histograms.items():
        shares = {name: PERCENTILES[name][1] for name in names if PERCENTILES[name][0] == metric}
        values = percentiles(buckets, counts, shares.values())
        result |= {name: values[share] for name, share in shares.items()}
    return result


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
