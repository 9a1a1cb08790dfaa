"""Who used how much in the last minute, and which turns are under way: one file for all processes."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pipeline.databases.linked import private
from pipeline.databases.transactions import transaction

log = logging.getLogger(__name__)
MINUTE = 60.0

_USED = "select at, tokens from used where who = ? order by at"
_RELEASE = "delete from running where who = ? and client_turn_id = ?"
_SCHEMA = """
pragma journal_mode = wal;
pragma synchronous = off;
create table if not exists used (
    turn_id text primary key,
    who text not null,
    at real not null,
    tokens real not null  -- held while the turn runs, then what it used
);
create index if not exists used_by on used (who, at);
create table if not exists running (
    who text not null,
    client_turn_id text not null,
    until real not null,
    primary key (who, client_turn_id)
);
create table if not exists places (
    turn_id text primary key,
    who text not null,
    until real not null
);
"""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one person may use in a minute; None is no limit."""

    requests: int | None
    tokens: int | None = None


class Counts(Protocol):
    """Where the processes of one server count together. Times are seconds of a clock they share."""

    def take(self, who: str, turn_id: str, limits: RequestLimits, tokens: float, now: float) -> float:
        """Count a request and hold its tokens; return 0, or the seconds to wait and count nothing."""
        ...

    def settle(self, turn_id: str, tokens: float) -> None:
        """Put the tokens a turn used in the place of those it held."""
        ...

    def claim(self, who: str, client_turn_id: str, until: float, now: float) -> bool:
        """Take a turn on; False while somebody else has it."""
        ...

    def release(self, who: str, client_turn_id: str) -> None:
        """Give a turn back, when it is over."""
        ...

    def enter(self, who: str, turn_id: str, most: int, until: float, now: float) -> bool:
        """Take one of the places that this person's turns have at once; False when all are taken."""
        ...

    def leave(self, who: str, turn_id: str, client_turn_id: str | None = None) -> None:
        """Give a place back, and the client's turn with it."""
        ...

    def close(self) -> None: ...


class SharedCounts:
    """Counts in a SQLite file, `:memory:` for one process alone. Raises sqlite3.Error.

    What it holds is worth a minute: it is not synced to the disk, and a damaged file is put aside.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError:
            if path is None or not path.exists():
                raise
            aside = path.with_name(f"{path.name}.bad-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            log.error("%s is damaged and was put aside as %s", path, aside.name)
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = _open(path)

    def take(self, who: str, turn_id: str, limits: RequestLimits, tokens: float, now: float) -> float:
        with self._begin() as db:
            db.execute("delete from used where at <= ?", (now - MINUTE,))
            rows = [] if _few(db, who, limits) else db.execute(_USED, (who,)).fetchall()
            wait = max(_until_few(rows, limits.requests, now), _until_room(rows, limits.tokens, tokens, now))
            if wait <= 0:
                db.execute("insert or replace into used values (?, ?, ?, ?)", (turn_id, who, now, tokens))
        return wait

    def settle(self, turn_id: str, tokens: float) -> None:
        with self._begin() as db:
            db.execute("update used set tokens = ? where turn_id = ?", (tokens, turn_id))

    def claim(self, who: str, client_turn_id: str, until: float, now: float) -> bool:
        with self._begin() as db:
            db.execute("delete from running where until <= ?", (now,))
            cursor = db.execute(
                "insert or ignore into running values (?, ?, ?)", (who, client_turn_id, until)
            )
            return cursor.rowcount > 0

    def release(self, who: str, client_turn_id: str) -> None:
        with self._begin() as db:
            db.execute(_RELEASE, (who, client_turn_id))

    def enter(self, who: str, turn_id: str, most: int, until: float, now: float) -> bool:
        with self._begin() as db:
            db.execute("delete from places where until <= ?", (now,))
            [count] = db.execute("select count(*) from places where who = ?", (who,)).fetchone()
            if count < most:
                db.execute("insert into places values (?, ?, ?)", (turn_id, who, until))
            return count < most

    def leave(self, who: str, turn_id: str, client_turn_id: str | None = None) -> None:
        with self._begin() as db:
            db.execute("delete from places where turn_id = ?", (turn_id,))
            if client_turn_id is not None:
                db.execute(_RELEASE, (who, client_turn_id))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _begin(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that no other process's can come between."""
        with self._lock, transaction(self._db):
            yield self._db


def _open(path: Path | None) -> sqlite3.Connection:
    file = ":memory:" if path is None else private(path)
    db = sqlite3.connect(file, timeout=2, isolation_level=None, check_same_thread=False)
    try:
        db.executescript(_SCHEMA)
    except sqlite3.OperationalError:
        log.exception("%s cannot be used now", path)  # full or locked: each use tries again
    return db


def _few(db: sqlite3.Connection, who: str, limits: RequestLimits) -> bool:
    """Say whether a request fits by number alone, so that none of those before it need be read."""
    if limits.tokens is not None:
        return False
    [count] = db.execute("select count(*) from used where who = ?", (who,)).fetchone()
    return limits.requests is None or count < limits.requests


def _until_few(rows: list[tuple[float, float]], limit: int | None, now: float) -> float:
    """Return the seconds until one more request fits."""
    if limit is None or len(rows) < limit:
        return 0.0
    return rows[len(rows) - limit][0] + MINUTE - now


def _until_room(rows: list[tuple[float, float]], limit: int | None, tokens: float, now: float) -> float:
    """Return the seconds until so many tokens more fit; more than the limit waits for an empty minute."""
    if limit is None:
        return 0.0
    used = sum(its_tokens for _, its_tokens in rows)
    for at, its_tokens in rows:
        if used + min(tokens, limit) <= limit:
            return 0.0
        used -= its_tokens
        if used + min(tokens, limit) <= limit:
            return at + MINUTE - now
    return 0.0
