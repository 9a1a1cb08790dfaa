"""What every query is asked with: a ledger, and the turns that count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from traces.records import PRODUCTION

LONG = timedelta(hours=12)  # a longer window is answered from the rollups


class Rows(Protocol):
    """What a query needs of the ledger."""

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]: ...


class Columns(Rows, Protocol):
    """A ledger, which answers in arrays too."""

    def columns(self, sql: str, **params: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open time range [since, until) and the doors that count in it."""

    since: datetime
    until: datetime
    doors: tuple[str, ...] = PRODUCTION

    def before(self) -> Window:
        """Return the window of the same length that ends where this one begins."""
        return Window(self.since - self.length, self.since, self.doors)

    @property
    def length(self) -> timedelta:
        return self.until - self.since

    @property
    def long(self) -> bool:
        """Whether the window is answered from the rollups."""
        return self.length > LONG

    @property
    def hours(self) -> Window:
        """The whole hours that the window touches: what the rollups know."""
        since, until = _hour(self.since), _hour(self.until)
        return Window(since, until if until == self.until else until + timedelta(hours=1), self.doors)

    @property
    def bound(self) -> dict[str, Any]:
        return {"since": self.since, "until": self.until, "doors": list(self.doors)}


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def ends(ledger: Rows, since: datetime, until: datetime) -> dict[str, str]:
    """Return the first and last id of the turns of a time: ids sort by time, so only rows between matter."""
    # without the fence PostgreSQL walks the ids from both ends of the ledger until one is of that time
    sql = """select coalesce(min(turn_id), '') as first, coalesce(max(turn_id), '') as last from (
        select turn_id from turns where started_at >= $since and started_at < $until offset 0) as those"""
    return ledger.rows(sql, since=since, until=until)[0]
