"""In which hours the turns of a list began: a page of them then reads those hours, not all turns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from traces.queries.filter import Filter
from traces.queries.window import Rows, Window
from traces.records import ERRORS

HOUR = timedelta(hours=1)
_MEASURES = {
    "missed": "sum(searched - hits)",
    "unpriced": "sum(unpriced)",
    "up": "sum(rated_turns - down)",
    "down": "sum(down)",
    "none": "sum(turns - rated_turns)",
}
_HOURS = """
    select hour, cast({measure} as bigint) as n from hourly
    where hour >= $since and hour < $until and door = any($doors)
      and (cast($outcome as text) is null or outcome = $outcome)
      and (cast($model as text) is null or model = $model)
      and (cast($prompt as text) is null or prompt = $prompt)
      and (not $errors or outcome = any($error_outcomes))
    group by hour having {measure} > 0 order by hour desc
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How many turns of a list began from one time to another, at most an hour later."""

    since: datetime
    until: datetime
    turns: int


@dataclass(frozen=True, slots=True)
class Place:
    """The time in which a page of a list lies, and how many of the list's turns come after it."""

    since: datetime
    until: datetime
    skipped: int


def measure(which: Filter) -> str | None:
    """Return how the rollups count the turns of a filter; None when they cannot."""
    special = [name for name in ("missed", "unpriced") if getattr(which, name)]
    special += [which.rating] if which.rating else []
    unknown = which.user_id, which.min_seconds, which.run_id, which.text
    if len(special) > 1 or any(value is not None for value in unknown):
        return None
    return _MEASURES[special[0]] if special else "sum(turns)"


def counts(ledger: Rows, which: Filter) -> list[Stretch] | None:
    """How many turns of a filter began in each hour, newest first? None when rollups cannot tell.

    They know whole hours only; of an end of the window that lies within an hour nothing is said here.
    """
    counted = measure(which)
    if counted is None or not Window(which.since, which.until).long:
        return None
    ends = {"since": first_hour(which.since), "until": last_hour(which.until)}
    chosen = {name: getattr(which, name) for name in ("outcome", "model", "prompt", "errors")}
    rows = ledger.rows(
        _HOURS.replace("{measure}", counted),
        doors=list(which.doors),
        error_outcomes=list(ERRORS),
        **chosen,
        **ends,
    )
    return [Stretch(row["hour"], row["hour"] + HOUR, row["n"]) for row in rows]


def first_hour(moment: datetime) -> datetime:
    """Return the first whole hour at or after a moment."""
    return last_hour(moment + HOUR - timedelta(microseconds=1))


def last_hour(moment: datetime) -> datetime:
    """Return the whole hour at or before a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def place(stretches: list[Stretch], limit: int, offset: int) -> Place | None:
    """Return where a page from `offset` on lies, stretches newest first; None when there are not so many."""
    skipped = 0
    begin: Place | None = None
    for stretch in stretches:
        if begin is None and skipped + stretch.turns > offset:
            begin = Place(stretch.since, stretch.until, skipped)
        skipped += stretch.turns
        if begin is not None and (skipped >= offset + limit or stretch is stretches[-1]):
            return replace(begin, since=stretch.since)
    return begin
