"""In which days and hours the turns of a list began: a page of them then reads those, not all turns."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from traces.queries import rolled
from traces.queries.filter import Filter
from traces.queries.window import Rows, Window
from traces.records import ERRORS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_MEASURES = {
    "missed": "searched - hits",
    "unpriced": "unpriced",
    "up": "rated_turns - down",
    "down": "down",
    "none": "turns - rated_turns",
}
_CHOSEN = {
    "outcome": "outcome = $outcome",
    "model": "model = $model",
    "prompt": "prompt = $prompt",
    "errors": "outcome = any($error_outcomes)",
}
_NAME = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class HourStretch:
    """How many turns of a list began from one time to another, an hour or a whole day later."""

    since: datetime
    until: datetime
    turns: int


@dataclass(frozen=True, slots=True)
class PageSpan:
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
    return _MEASURES[special[0]] if special else "turns"


def counts(ledger: Rows, which: Filter) -> list[HourStretch] | None:
    """How many turns of a filter began in each day that is over and each hour around, newest first?

    None when rollups cannot tell. They know whole hours only; of an end of the window that lies within an
    hour nothing is said here.
    """
    counted = measure(which)
    if counted is None or not Window(which.since, which.until).long:
        return None
    window = Window(first_hour(which.since), last_hour(which.until), which.doors)
    chosen = {name: getattr(which, name) for name in _CHOSEN}
    chosen = {name: value for name, value in chosen.items() if value not in (None, False)}
    names = set(_NAME.findall(counted)) | {"outcome" if name == "errors" else name for name in chosen}
    source, bound = rolled.sums(ledger, window, ", ".join(sorted(names)))
    where = " and ".join(_CHOSEN[name] for name in chosen)
    if chosen.pop("errors", False):
        chosen["error_outcomes"] = list(ERRORS)
    rows = ledger.rows(
        # constants
        f"""
        select moment, cast(sum({counted}) as bigint) as n from {source} {"where" if where else ""} {where}
        group by moment having sum({counted}) > 0 order by moment desc
        """,  # noqa: S608
        **chosen,
        **bound,
    )
    days = rolled.closed_days(ledger, window)
    return [
        HourStretch(at, at + (DAY if days and days[0] <= at < days[1] else HOUR), row["n"])
        for row in rows
        for at in (row["moment"],)
    ]


def first_hour(moment: datetime) -> datetime:
    """Return the first whole hour at or after a moment."""
    return last_hour(moment + HOUR - timedelta(microseconds=1))


def last_hour(moment: datetime) -> datetime:
    """Return the whole hour at or before a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def place(stretches: list[HourStretch], limit: int, offset: int) -> PageSpan | None:
    """Return where a page from `offset` on lies, stretches newest first; None when there are not so many."""
    skipped = 0
    begin: PageSpan | None = None
    for stretch in stretches:
        if begin is None and skipped + stretch.turns > offset:
            begin = PageSpan(stretch.since, stretch.until, skipped)
        skipped += stretch.turns
        if begin is not None and (skipped >= offset + limit or stretch is stretches[-1]):
            return replace(begin, since=stretch.since)
    return begin
