"""The file that tells who may come in and what belongs to whom, or the tables machines share in its place."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipeline.databases import columns
from pipeline.databases.columns import WORKSPACE
from pipeline.databases.linked import Database
from pipeline.databases.transactions import transaction
from pipeline.errors import AnswerdeckError
from traces.errors import StoreError
from traces.postgres.tables import SharedTables

T = TypeVar("T")
KEPT_DAYS = 365  # of the audit lines
_WAIT_SECONDS = 5.0
FILE_TABLES = """
create table if not exists users (
    name text primary key, role text not null, password text not null,
    disabled integer not null default 0, created_at text not null
);
create table if not exists keys (
    name text primary key, role text not null, digest text not null unique,
    revoked integer not null default 0, created_at text not null
);
create table if not exists sessions (
    digest text primary key, name text not null, role text not null,
    source text not null,  -- user | provider | the digest of the key it was begun with
    ends real not null
);
create index if not exists sessions_of on sessions (name);
create table if not exists tries (kind text not null, name text not null, at real not null);
create table if not exists pending (  -- sign-ins under way at a provider
    state text primary key, nonce text not null, verifier text not null, ends real not null
);
create table if not exists closed (since text not null);  -- a row: from here on people sign in
create table if not exists events (
    at text not null, event text not null, name text, actor text, detail text
);
create table if not exists workspaces (workspace text primary key, created_at text not null);
create table if not exists bases (  -- knowledge bases that belong to another workspace than `default`
    kb text primary key, workspace text not null, since text not null
);
"""
LATER = {"users": [WORKSPACE], "keys": [WORKSPACE], "sessions": [WORKSPACE]}
ACCOUNTS = FILE_TABLES + columns.statements(LATER)


class AccessError(AnswerdeckError):
    """A user, key or workspace cannot be made, found or changed; the message says why and what to do."""


class Unreachable(AccessError):
    """Who may come in cannot be asked now: the database that all machines share is away."""


class Accounts:
    """Reads and changes by statements; without a place nothing outlives the process. Raises Unreachable."""

    def __init__(self, place: Path | SharedTables | None) -> None:
        self._path = place if isinstance(place, Path) else None
        self._shared = place if isinstance(place, SharedTables) else None
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._apart = None if self._shared is None else ThreadPoolExecutor(1, "accounts")

    def apart(self, work: Callable[..., T], *values: Any) -> Future[T] | None:
        """Begin work that asks these in a thread, where a server may be silent; None where a file is read."""
        return None if self._apart is None else self._apart.submit(work, *values)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a query, by the names of their columns."""
        with self._reached():
            if (
                self._shared is None
                and self._db is None
                and self._path is not None
                and not self._path.exists()
            ):
                return []  # nobody was ever added, and looking adds no file
            return self._opened().execute(sql, values).fetchall()

    @contextmanager
    def change(self) -> Iterator[Database]:
        """Do all that is done within it, or nothing."""
        with self._reached():
            db = self._opened()
            with transaction(db):
                yield db

    def close(self) -> None:
        """Close the file."""
        if self._apart is not None:
            self._apart.shutdown()
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
            if self._shared is not None:
                self._shared.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except StoreError as error:
                raise Unreachable(f"users and keys cannot be asked: {error}") from error

    def _opened(self) -> Database:
        if self._shared is not None:
            return self._shared.current()
        if self._db is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
            self._db = sqlite3.connect(
                self._path or ":memory:",
                timeout=_WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(FILE_TABLES)
            columns.complete(self._db, LATER)
        return self._db


def note(db: Database, event: str, name: str | None, actor: str | None, detail: str | None = None) -> None:
    """Write an audit line; old ones go."""
    db.execute("insert into events values (?, ?, ?, ?, ?)", (now(), event, name, actor, detail))
    db.execute("delete from events where at < ?", (now(timedelta(days=KEPT_DAYS)),))


def now(before: timedelta = timedelta(0)) -> str:
    """Return the time, or so long before it, as it is kept."""
    return (datetime.now(UTC) - before).isoformat(" ", "microseconds")
