"""What the Overview asks in one go: of longer times the rollups are read once for all of its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypedDict

from traces.histogram import Histogram, percentiles
from traces.queries import overview, rolled
from traces.queries.overview import Thumbs
from traces.queries.window import Columns, Rows, Window
from traces.records import ERRORS

_HOURS = """
    select cast(floor((extract(epoch from moment) - $begin) / $step) as integer) as step, outcome,
           cast(sum(turns) as bigint) as turns, cast(sum(searched) as bigint) as searched,
           cast(sum(hits) as bigint) as hits, cast(sum(cost_usd) as double precision) as cost_usd,
           cast(sum(unpriced) as bigint) as unpriced, cast(sum(rated) as bigint) as rated,
           cast(sum(up) as bigint) as up
    from {source}
    group by 1, 2
"""
_SUMMED = "outcome, turns, searched, hits, cost_usd, unpriced, rated, up"
# step -2 is all that was before both windows, step -1 the window before
_TALKS = """
    select case when hour < $since then -2 when hour < $middle then -1
                else cast(floor((extract(epoch from hour) - $begin) / $step) as integer) end as step,
           cast(sum(began) as bigint) as began, cast(sum(ended) as bigint) as ended,
           cast(sum(began_usd) as double precision) as began_usd,
           cast(sum(began_priced) as bigint) as began_priced,
           cast(sum(ended_priced) as bigint) as ended_priced,
           cast(coalesce(sum(began_priced_usd), 0) as double precision) as began_priced_usd,
           cast(coalesce(sum(ended_priced_usd), 0) as double precision) as ended_priced_usd
    from hourly_talks where hour < $until and door = any($doors)
    group by 1
"""
PERCENTILES = {
    "first_token_p50": ("first_token", 0.50),
    "first_token_p95": ("first_token", 0.95),
    "latency_p50": ("seconds", 0.50),
    "latency_p95": ("seconds", 0.95),
    "latency_p99": ("seconds", 0.99),
}
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
    """The conversations that began and that ended in a step."""

    step: int
    began: int
    ended: int
    began_usd: float | None
    began_priced: int
    ended_priced: int
    began_priced_usd: float
    ended_priced_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
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
class Whole(Figures):
    """The facts of a whole window."""

    conversations: int
    rated: int
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStep(Figures):
    """The facts of a step, which is counted from the window's begin."""

    step: int
    latency_p50: float | None
    latency_p99: float | None


@dataclass(frozen=True, slots=True)
class Board:
    """A window, the one before it, its steps (empty ones are absent), and how many turns ended how."""

    now: Whole
    before: Whole
    series: list[BoardStep]
    outcomes: dict[str, int]


def board(ledger: Columns, window: Window, step_seconds: int) -> Board:
    """How did a window go, step by step and as a whole, and the one before it?"""
    if not window.long:
        return _short(ledger, window, step_seconds)
    window, before = window.hours, window.before().hours
    steps_of = {"begin": window.since.timestamp(), "step": step_seconds}
    both = Window(before.since, window.until, window.doors)
    source, bound = rolled.sums(ledger, both, _SUMMED, step_seconds, window.since)
    hours = [Hour(**row) for row in ledger.rows(_HOURS.replace("{source}", source), **steps_of, **bound)]
    talks = [Talks(**row) for row in ledger.rows(_TALKS, middle=window.since, **steps_of, **both.bound)]
    steps = rolled.histograms(ledger, window, step_seconds)
    now = [hour for hour in hours if hour.step >= 0]
    earlier = Window(before.since, window.since, window.doors)
    return Board(
        now=_whole(now, _went_on(talks, -1), _merged(steps.values())),
        before=_whole(
            [hour for hour in hours if hour.step < 0],
            _went_on([row for row in talks if row.step < 0], -2),
            rolled.histograms(ledger, earlier, None).get(0, {}),
        ),
        series=_series(now, talks, steps),
        outcomes=_outcomes(now),
    )


def _short(ledger: Rows, window: Window, step_seconds: int) -> Board:
    """Ask the turns themselves: there are few, and a step may be a minute."""
    before, ratings = window.before(), overview.thumbs_series(ledger, window, step_seconds)
    shares = {row.step: _share(row.up, row.rated) for row in ratings}
    rated, up = sum(row.rated for row in ratings), sum(row.up for row in ratings)
    steps = overview.series(ledger, window, step_seconds)
    return Board(
        now=_asked(ledger, window, Thumbs(rated, _share(up, rated))),
        before=_asked(ledger, before, overview.thumbs(ledger, before)),
        series=[BoardStep(**asdict(row), up_share=shares.get(row.step)) for row in steps],
        outcomes=overview.outcomes(ledger, window),
    )


def _asked(ledger: Rows, window: Window, thumbs: Thumbs) -> Whole:
    dear = overview.cost_per_conversation(ledger, window).cost_usd
    totals = asdict(overview.totals(ledger, window))
    return Whole(**totals, **asdict(thumbs), cost_per_conversation=dear)


def _whole(hours: list[Hour], talks: tuple[int, int, float], histograms: dict[str, Histogram]) -> Whole:
    costs = [hour.cost_usd for hour in hours if hour.cost_usd is not None]
    conversations, priced, usd = talks
    return Whole(
        **_facts(hours),
        **_spread(histograms),
        conversations=conversations,
        cost_per_conversation=_share(usd, priced),
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


def _went_on(talks: list[Talks], before: int) -> tuple[int, int, float]:
    """Count conversations, priced ones and their cost: begun by the end of `talks`, not over by `before`."""
    over = [row for row in talks if row.step <= before]
    return (
        sum(row.began for row in talks) - sum(row.ended for row in over),
        sum(row.began_priced for row in talks) - sum(row.ended_priced for row in over),
        sum(row.began_priced_usd for row in talks) - sum(row.ended_priced_usd for row in over),
    )


def _series(hours: list[Hour], talks: list[Talks], steps: dict[int, dict[str, Histogram]]) -> list[BoardStep]:
    by_step: dict[int, list[Hour]] = {}
    for hour in hours:
        by_step.setdefault(hour.step, []).append(hour)
    began = {row.step: row for row in talks if row.step >= 0}
    return [
        BoardStep(
            **_facts(by_step[number]),
            **_spread(steps.get(number, {}), tuple(PERCENTILES)),
            step=number,
            cost_per_conversation=_began(began.get(number)),
        )
        for number in sorted(by_step)
    ]


def _began(talk: Talks | None) -> float | None:
    return _share(talk.began_usd, talk.began) if talk and talk.began_usd is not None else None


def _outcomes(hours: list[Hour]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for hour in hours:
        counts[hour.outcome] += hour.turns
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _merged(steps: Iterable[dict[str, Histogram]]) -> dict[str, Histogram]:
    whole: dict[str, dict[int, int]] = {}
    for step in steps:
        for metric, (buckets, counts) in step.items():
            counted = whole.setdefault(metric, {})
            for bucket, number in zip(buckets, counts, strict=True):
                counted[bucket] = counted.get(bucket, 0) + number
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
