"""What was spent, per day, month and person: one small SQLite file that all processes share."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pipeline.databases.linked import Linked
from pipeline.databases.transactions import transaction

log = logging.getLogger(__name__)
EVERYBODY = ""
HOLD_SECONDS = 600.0  # longer than any turn; what is held longer was lost with its process
KEPT_DAYS = 62  # of rows that name a person

_SCHEMA = """
pragma journal_mode = wal;
pragma synchronous = normal;
create table if not exists spent (
    period text not null,  -- 2026-11-23 or 2026-11
    who text not null,     -- a user, or '' for everybody
    usd real not null,
    turns integer not null,
    unpriced integer not null,
    primary key (period, who)
);
create table if not exists held (
    turn_id text primary key,
    day text not null,
    who text not null,
    usd real not null,
    until real not null
);
create table if not exists reached (
    period text not null,
    who text not null,
    level text not null,  -- 50, 80, 100 or unpriced
    at text not null,
    primary key (period, who, level)
);
"""
_ADD = """
insert into spent values (?, ?, ?, ?, ?) on conflict (period, who) do update
set usd = usd + excluded.usd, turns = turns + excluded.turns, unpriced = unpriced + excluded.unpriced
"""
_SUMS = """
select coalesce(sum(usd) filter (where period = :day and who = :who), 0),
       coalesce(sum(usd) filter (where period = :day and who = ''), 0),
       coalesce(sum(usd) filter (where period = :month and who = ''), 0)
from (
    select period, who, usd from spent where period in (:day, :month) and who in ('', :who)
    union all select day, who, usd from held where :held and day = :day and who = :who
    union all select day, '', usd from held where :held and day = :day
    union all select :month, '', usd from held where :held and substr(day, 1, 7) = :month
)
"""


class SpendingSums(NamedTuple):
    """Dollars: of the user today, of everybody today, of everybody this month."""

    user_day: float
    day: float
    month: float

    def leaves(self, usd: float, most: SpendingSums) -> bool:
        """Say whether `usd` more stays within `most`."""
        return all(spent + usd <= limit for spent, limit in zip(self, most, strict=True))


@dataclass(frozen=True, slots=True)
class Total:
    """What everybody spent in a day or a month."""

    usd: float
    turns: int
    unpriced: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A level that was reached: in which period, by whom (empty for everybody), and when (ISO, UTC)."""

    period: str
    who: str
    level: str
    at: str


class Spending:
    """Adds up dollars. A turn holds its estimate before it calls a model and settles the truth after it.

    A hold that a killed process left behind counts as spent once its time is over. A damaged file is
    put aside and a fresh one begun.
    """

    trouble: str | None = None  # what keeps it from knowing what everybody spent

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._swept = ""  # the day on which old rows were last deleted
        self.quarantined: Path | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = Linked(path, _connect)
        except sqlite3.DatabaseError:
            self.quarantined = path.with_name(f"{path.name}.bad-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            path.rename(self.quarantined)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._file = Linked(path, _connect)

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.current()

    def look(self) -> tuple[datetime, str] | None:
        """Put the file back if somebody deleted it; return when that last happened, and what was done."""
        with self._lock, suppress(sqlite3.Error):
            self._file.current()
        return self._file.notice

    def sums(self, who: str, day: str) -> SpendingSums:
        """Return what is spent on a day and in its month, without what is only held."""
        with self._lock:
            return _sums(self._db, who, day, held=False)

    def hold(self, turn_id: str, who: str, day: str, usd: float, clock: float, most: SpendingSums) -> bool:
        """Hold dollars for a turn, more when it holds some, if all sums stay within the most they may be."""
        with self._begin() as db:
            self._sweep(db, clock)
            if not _sums(db, who, day, held=True).leaves(usd, most):
                return False
            db.execute(
                "insert into held values (?, ?, ?, ?, ?)"
                " on conflict (turn_id) do update set usd = usd + excluded.usd, until = excluded.until",
                (turn_id, day, who, usd, clock + HOLD_SECONDS),
            )
        return True

    def settle(self, turn_id: str, who: str, day: str, usd: float, unpriced: int) -> SpendingSums:
        """Put what a turn cost in the place of what it held; return the sums after it."""
        with self._begin() as db:
            held = db.execute("delete from held where turn_id = ? returning day", (turn_id,)).fetchone()
            _add(db, held[0] if held else day, who, usd, unpriced)
            if self._swept != day:
                self._swept = day
                old = (date.fromisoformat(day) - timedelta(days=KEPT_DAYS)).isoformat()
                db.execute("delete from spent where who <> '' and period < ?", (old,))
            return _sums(db, who, day, held=False)

    def reach(self, period: str, who: str, level: str) -> bool:
        """Note that a level was reached; True the first time in its period."""
        with self._begin() as db:
            cursor = db.execute(
                "insert or ignore into reached values (?, ?, ?, ?)",
                (period, who, level, datetime.now(UTC).isoformat(timespec="seconds")),
            )
            return cursor.rowcount > 0

    def reached(self, *periods: str) -> list[Reached]:
        """Return the levels reached in these periods, the newest first."""
        marks = ",".join("?" * len(periods))
        statement = f"select period, who, level, at from reached where period in ({marks}) order by at desc"  # noqa: S608
        with self._lock:
            return [Reached(*row) for row in self._db.execute(statement, periods)]

    def totals(self, period: str) -> Total:
        """Return what everybody spent in a day or a month."""
        with self._lock:
            row = self._db.execute(
                "select usd, turns, unpriced from spent where period = ? and who = ''", (period,)
            ).fetchone()
        return Total(*row) if row else Total(0.0, 0, 0)

    def forget(self, who: str) -> int:
        """Delete the rows that name a person; what everybody spent stays."""
        with self._begin() as db:
            db.execute("delete from reached where who = ?", (who,))
            db.execute("update held set who = '-' where who = ?", (who,))
            return db.execute("delete from spent where who = ?", (who,)).rowcount

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _sweep(self, db: sqlite3.Connection, clock: float) -> list[tuple[str, str, str]]:
        """Book as spent what killed processes held; return the turn, day and user of each."""
        lost = db.execute(
            "delete from held where until < ? returning turn_id, day, who, usd", (clock,)
        ).fetchall()
        for _, day, who, usd in lost:
            _add(db, day, who, usd, 0)
        return [(turn_id, day, who) for turn_id, day, who, _ in lost]

    @contextmanager
    def _begin(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that no other process's can come between."""
        with self._lock:
            db = self._db
            with transaction(db):
                yield db


def _add(db: sqlite3.Connection, day: str, who: str, usd: float, unpriced: int) -> None:
    for period, name in ((day, who), (day, EVERYBODY), (day[:7], EVERYBODY)):
        db.execute(_ADD, (period, name, usd, 1, unpriced))


def _sums(db: sqlite3.Connection, who: str, day: str, *, held: bool) -> SpendingSums:
    bound = {"who": who, "day": day, "month": day[:7], "held": held}
    return SpendingSums(*db.execute(_SUMS, bound).fetchone())


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(_SCHEMA)
    except sqlite3.OperationalError:
        log.exception("%s cannot be used now", path)  # full or locked: each use tries again
    return connection
