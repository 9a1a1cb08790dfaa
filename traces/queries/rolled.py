"""What longer windows ask of the rollups instead of the turns: the same answers, at any number of turns.

A window counts by whole hours here; conversations count in the window in which they went on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from traces import histogram
from traces.histogram import RATIO, ZERO, Histogram
from traces.queries.window import Columns, Rows, Window
from traces.records import PRODUCTION

_DAY = timedelta(days=1)
# the bucket of a turn's seconds, as the rollups make it
BUCKET = f"case when seconds > 0 then cast(floor(ln(seconds) / ln({RATIO})) as integer) else {ZERO} end"
ALL_SECONDS = 1e12  # a step as long as any window
_PEOPLE = ["people"]  # the histograms of all doors that people use, added up already
# adding them up is left to arrays, and lists of names are spelled out for the scan
_HISTOGRAMS = """
    select cast(floor((extract(epoch from {0}) - $begin) / $step) as integer) as step,
           case metric {places} end as place, buckets, counts
    from {1}_histograms
    where metric in ({metrics}) and door in ({doors}) and {0} >= ${2} and {0} < ${3}
"""
_SUMS = """
    select {columns} from {table}
    where door in (select unnest(cast($doors as text[]))) and {moment} >= ${since} and {moment} < ${until}
"""
# those that went on in a window: begun before its end, less those that ended before its begin
_TALKS = """
    select cast(coalesce(sum(began), 0) - coalesce(sum(ended) filter (where hour < $since), 0) as bigint)
               as conversations,
           cast(coalesce(sum(began_priced), 0) - coalesce(sum(ended_priced) filter (where hour < $since), 0)
               as bigint) as priced,
           cast(coalesce(sum(began_priced_usd), 0)
               - coalesce(sum(ended_priced_usd) filter (where hour < $since), 0) as double precision) as usd
    from hourly_talks where hour < $until and door in (select unnest(cast($doors as text[])))
"""


@dataclass(frozen=True, slots=True)
class ConversationCost:
    """What a conversation cost on average, and of how many; those without a known price are left out."""

    cost_usd: float | None
    conversations: int


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a model cost in a step, and how many of its calls have no known price."""

    step: int
    model: str
    cost_usd: float | None
    unpriced: int


def conversations(ledger: Rows, window: Window) -> int:
    """How many conversations went on?"""
    return ledger.rows(_TALKS, **window.bound)[0]["conversations"]


def cost_per_conversation(ledger: Rows, window: Window) -> ConversationCost:
    """Answer `overview.cost_per_conversation`; conversations count whole."""
    [row] = ledger.rows(_TALKS, **window.bound)
    cost = row["usd"] / row["priced"] if row["priced"] else None
    return ConversationCost(cost, row["priced"])


def cost_by_model(ledger: Rows, window: Window, step_seconds: int) -> list[StepCost]:
    """Answer `overview.cost_by_model`."""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from hour) - $begin) / $step) as integer) as step, model,
               cast(sum(cost_usd) as double precision) as cost_usd,
               cast(sum(unpriced_calls) as bigint) as unpriced
        from hourly_models where hour >= $since and hour < $until
          and door in (select unnest(cast($doors as text[])))
        group by 1, 2 order by 1, 2
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
    )
    return [StepCost(**row) for row in rows]


def histograms(
    ledger: Columns,
    window: Window,
    step_seconds: int | None = None,
    metrics: tuple[str, ...] = ("seconds", "first_token"),
) -> dict[int, dict[str, Histogram]]:
    """Return the histogram of each metric for each step, or for the whole window as step 0."""
    stretches, ends = pieces(ledger, window, step_seconds)
    doors = _PEOPLE if set(window.doors) == set(PRODUCTION) else window.doors
    named = {f"metric_{place}": metric for place, metric in enumerate(metrics)}
    opened = {f"door_{place}": door for place, door in enumerate(doors)}
    parts = {
        "places": " ".join(f"when ${name} then {place}" for place, name in enumerate(named)),
        "metrics": ", ".join(f"${name}" for name in named),
        "doors": ", ".join(f"${name}" for name in opened),
    }
    answer = ledger.columns(
        " union all ".join(
            _HISTOGRAMS.format(moment, table, *edges, **parts) for moment, table, *edges in stretches
        ),
        begin=window.since.timestamp(),
        step=step_seconds or ALL_SECONDS,
        **named,
        **opened,
        **ends,
    )
    result: dict[int, dict[str, Histogram]] = {}
    counted = histogram.counted(answer["step"], answer["place"], answer["buckets"], answer["counts"])
    for (step, place), buckets in counted.items():
        result.setdefault(step, {})[metrics[place]] = buckets
    return result


def sums(
    rows: Rows, window: Window, names: str, step_seconds: int | None = None, begin: datetime | None = None
) -> tuple[str, dict[str, datetime | list[str]]]:
    """Return what to select the sums of a window's whole hours from, and what that binds.

    It has the named columns of `hourly`, and `moment`: each name costs time. Steps begin at `begin`, or the
    window's.
    """
    stretches, ends = pieces(rows, window, step_seconds, begin)
    source = " union all ".join(
        _SUMS.format(
            columns=f"{moment} as moment, {names}", table=table, moment=moment, since=since, until=until
        )
        for moment, table, since, until in stretches
    )
    return f"({source}) as sums", {"doors": list(window.doors), **ends}


def pieces(
    rows: Rows, window: Window, step_seconds: int | None, begin: datetime | None = None
) -> tuple[list[tuple[str, str, str, str]], dict[str, datetime]]:
    """Return what to read, and between which times: the whole days that are closed, and the hours around."""
    days = closed_days(rows, window)
    start = begin or window.since
    across = step_seconds is not None and (step_seconds % 86_400 or start != _floor(start))
    if across or days is None:
        return [("hour", "hourly", "since", "until")], {"since": window.since, "until": window.until}
    edges = {"first_day": days[0], "last_day": days[1]}
    stretches = [("day", "daily", "first_day", "last_day")]
    if window.since < days[0]:
        stretches.append(("hour", "hourly", "since", "first_day"))
        edges["since"] = window.since
    if days[1] < window.until:
        stretches.append(("hour", "hourly", "last_day", "until"))
        edges["until"] = window.until
    return stretches, edges


def closed_days(rows: Rows, window: Window) -> tuple[datetime, datetime] | None:
    """Between which midnights (UTC) of a window are the days summed up? None when no day is."""
    [row] = rows.rows("select max(through) as through from rolled")
    first, last = _floor(window.since + _DAY - timedelta(microseconds=1)), _floor(window.until)
    if row["through"] is None or first >= min(last, row["through"]):
        return None
    return first, min(last, row["through"])


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
