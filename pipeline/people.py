"""Who may come in: local users, API keys, browser sessions and what was done with them, in one file.

The chat, its workers, the console and the command line share it, so a change takes effect at once; machines
with one ledger share tables in its database instead.
Passwords are kept as scrypt hashes, keys and session tokens as SHA-256; none can be read back.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from pipeline import passwords
from pipeline.auth import ROLES, Keys, Person, Role, digest, named
from pipeline.errors import AnswerdeckError
from pipeline.linked import Database
from pipeline.transactions import transaction
from traces.errors import StoreError, Unknown
from traces.postgres.tables import SharedTables

SESSION_SECONDS = 12 * 3600.0
TRY_SECONDS = 15 * 60.0  # wrong tries count for so long
TRIES = {"name": 5, "address": 20}  # wrong ones, before no more are looked at
KEPT_DAYS = 365  # of the audit lines
KEY_PREFIX = "ad_"
_WAIT_SECONDS = 5.0
ACCOUNTS = """
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
"""


class AccessError(AnswerdeckError):
    """A user or key cannot be made, found or changed; the message says why and what to do."""


class Unreachable(AccessError):
    """Who may come in cannot be asked now: the database that all machines share is away."""


class Throttled(AccessError):
    """Too many wrong tries; `seconds` until the next one is looked at."""

    def __init__(self, seconds: float) -> None:
        minutes = max(1, round(seconds / 60))
        super().__init__(f"Too many wrong tries. Please wait {minutes} min and try again.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Account:
    """A local user or an API key, as it is listed."""

    name: str
    role: Role
    active: bool
    created_at: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way at a provider: what its answer must match."""

    state: str
    nonce: str
    verifier: str


class People:
    """Users, keys and sessions; without a place nothing outlives the process. Raises Unreachable."""

    def __init__(
        self,
        place: Path | SharedTables | None,
        keys: Keys,
        *,
        provider: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = place if isinstance(place, Path) else None
        self._shared = place if isinstance(place, SharedTables) else None
        self._provider = provider
        self._ever_closed = False
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    @property
    def closed(self) -> bool:
        """Whether people must sign in: keys or a provider are set, or a user or key was ever made here."""
        if self._provider or self._keys or self._ever_closed:
            return True
        try:
            self._ever_closed = bool(self._rows("select since from closed limit 1"))
        except Unreachable:
            return True  # nobody comes in by a database that is away
        return self._ever_closed

    def person(self, key: str) -> Person | None:
        """Return whose key this is, of the configuration or made here."""
        if (person := self._keys.person(key)) is not None:
            return person
        rows = self._rows("select name, role from keys where digest = ? and revoked = 0", digest(key))
        return _person(rows[0]) if rows else None

    def sign_in(self, name: str, secret: str, address: str) -> str:
        """Begin a session with a name and password, or with a key and no name; return its token.

        Raises Throttled after too many wrong tries, AccessError when nobody is known by these.
        """
        name = name.strip()
        self._held_back(name, address)
        if not name:
            person, source = self.person(secret), digest(secret)
        else:
            person, source = self._user(name, secret), "user"
        if person is None:
            self._failed(name, address)
            raise AccessError("This name and password are not known." if name else "This key is not known.")
        return self.begin(person, source, address)

    def begin(self, person: Person, source: str, address: str = "") -> str:
        """Begin a session and return its token; `source` is "user", "provider" or a key's digest."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._change() as db:
            db.execute("delete from sessions where ends < ?", (now,))
            db.execute("delete from tries where at < ? or name = ?", (now - TRY_SECONDS, person.name))
            row = (digest(token), person.name, person.role, source, now + SESSION_SECONDS)
            db.execute("insert into sessions values (?, ?, ?, ?, ?)", row)
            _note(db, "signed in", person.name, person.name, f"from {address}" if address else None)
        return token

    def expect(self, pending: Pending, seconds: float) -> None:
        """Remember a sign-in that was begun at the provider, for so long."""
        with self._change() as db:
            db.execute("delete from pending where ends < ?", (self._clock(),))
            row = (digest(pending.state), pending.nonce, pending.verifier, self._clock() + seconds)
            db.execute("insert into pending values (?, ?, ?, ?)", row)

    def expected(self, state: str) -> Pending | None:
        """Return a sign-in that was begun and not ended, once; None for any other."""
        with self._change() as db:
            row = db.execute(
                "delete from pending where state = ? and ends > ? returning nonce, verifier",
                (digest(state), self._clock()),
            ).fetchone()
        return Pending(state, row["nonce"], row["verifier"]) if row else None

    def welcome(self, person: Person, address: str) -> str:
        """Begin a session for whom the provider signed in; return its token.

        Raises AccessError when the name is a local user's or a key's: nobody becomes another by it.
        """
        sql = "select 1 from users where name = ? union select 1 from keys where name = ?"
        taken = self._rows(sql, person.name, person.name)
        if taken or self._keys.named(person.name):
            raise AccessError(f"The name {person.name} belongs to somebody else here. Please tell an admin.")
        return self.begin(person, "provider", address)

    def session(self, token: str) -> Person | None:
        """Return whose running session this is, with the role of now; None once it ended anywhere."""
        rows = self._rows("select name, role, source, ends from sessions where digest = ?", digest(token))
        if not rows or rows[0]["ends"] <= self._clock():
            return None
        name, source = rows[0]["name"], rows[0]["source"]
        if source == "provider":
            return _person(rows[0]) if self._provider else None
        if source == "user":
            users = self._rows("select name, role from users where name = ? and disabled = 0", name)
            return _person(users[0]) if users else None
        if (person := self._keys.by_digest(source)) is not None:
            return person
        keys = self._rows("select name, role from keys where digest = ? and revoked = 0", source)
        return _person(keys[0]) if keys else None

    def end(self, token: str) -> None:
        """End a session."""
        person = self.session(token)
        if person is None:
            return
        with self._change() as db:
            db.execute("delete from sessions where digest = ?", (digest(token),))
            _note(db, "signed out", person.name, person.name)

    def add_user(self, name: str, role: str, password: str, actor: str) -> None:
        """Add a local user; raises AccessError when the name is taken or a value is wrong."""
        row = (_valid(named, name), _role(role), passwords.hashed(_valid(passwords.checked, password)))
        with self._change() as db:
            added = db.execute(
                "insert into users values (?, ?, ?, 0, ?) on conflict do nothing", (*row, _now())
            )
            if not added.rowcount:
                raise AccessError(f"there is a user {name!r} already; `users reset` sets the password")
            self._close(db)
            _note(db, "user added", name, actor, role)

    def reset(self, name: str, password: str, actor: str) -> None:
        """Set a user's password, let the user in again and end all the user's sessions."""
        stored = passwords.hashed(_valid(passwords.checked, password))
        with self._change() as db:
            done = db.execute("update users set password = ?, disabled = 0 where name = ?", (stored, name))
            _found(done.rowcount, "user", name)
            db.execute("delete from sessions where name = ? and source = 'user'", (name,))
            _note(db, "password reset", name, actor)

    def disable(self, name: str, actor: str) -> None:
        """Let a user in no more, from this moment."""
        with self._change() as db:
            _found(db.execute("update users set disabled = 1 where name = ?", (name,)).rowcount, "user", name)
            db.execute("delete from sessions where name = ? and source = 'user'", (name,))
            _note(db, "user disabled", name, actor)

    def users(self) -> list[Account]:
        """Return the local users by name."""
        rows = self._rows("select name, role, disabled = 0 as active, created_at from users order by name")
        return [_account(row) for row in rows]

    def new_key(self, name: str, role: str, actor: str) -> str:
        """Make an API key and return it: it is shown this once and kept nowhere."""
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        row = (_valid(named, name), _role(role), digest(key), _now())
        with self._change() as db:
            db.execute("delete from keys where name = ? and revoked = 1", (name,))
            if not db.execute("insert into keys values (?, ?, ?, 0, ?) on conflict do nothing", row).rowcount:
                raise AccessError(f"there is a key {name!r} already; revoke it first or choose a name")
            self._close(db)
            _note(db, "key made", name, actor, role)
        return key

    def revoke(self, name: str, actor: str) -> None:
        """Let a key in no more, nor the sessions begun with it, from this moment."""
        with self._change() as db:
            _found(db.execute("update keys set revoked = 1 where name = ?", (name,)).rowcount, "key", name)
            db.execute(
                "delete from sessions where source in (select digest from keys where name = ?)", (name,)
            )
            _note(db, "key revoked", name, actor)

    def keys(self) -> list[Account]:
        """Return the API keys made here by name."""
        rows = self._rows("select name, role, revoked = 0 as active, created_at from keys order by name")
        return [_account(row) for row in rows]

    def note(self, event: str, name: str | None, actor: str | None, detail: str | None = None) -> None:
        """Write an audit line."""
        with self._change() as db:
            _note(db, event, name, actor, detail)

    def events(self, most: int = 200) -> list[dict[str, Any]]:
        """Return the newest audit lines, newest first."""
        rows = self._rows("select at, event, name, actor, detail from events order by at desc limit ?", most)
        return [dict(row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
            if self._shared is not None:
                self._shared.close()

    def _user(self, name: str, password: str) -> Person | None:
        rows = self._rows("select name, role, password from users where name = ? and disabled = 0", name)
        right = passwords.matches(password, rows[0]["password"] if rows else None)
        return _person(rows[0]) if right else None

    def _held_back(self, name: str, address: str) -> None:
        """Raise Throttled when this name or address was wrong too often of late."""
        since = self._clock() - TRY_SECONDS
        for kind, who in (("name", name), ("address", address)):
            sql = "select at from tries where kind = ? and name = ? and at > ? order by at desc limit ?"
            rows = self._rows(sql, kind, who, since, TRIES[kind]) if who else []
            if len(rows) >= TRIES[kind]:
                self.note("sign-in held back", name or None, None, f"from {address}")
                raise Throttled(rows[-1]["at"] - since)

    def _failed(self, name: str, address: str) -> None:
        with self._change() as db:
            for kind, who in (("name", name[:64]), ("address", address)):
                if who:
                    db.execute("insert into tries values (?, ?, ?)", (kind, who, self._clock()))
            _note(db, "sign-in failed", name[:64] or None, None, f"from {address}")

    def _close(self, db: Database) -> None:
        db.execute("insert into closed select ? where not exists (select 1 from closed)", (_now(),))

    def _rows(self, sql: str, *values: Any) -> list[Any]:
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
    def _change(self) -> Iterator[Database]:
        with self._reached():
            db = self._opened()
            with transaction(db):
                yield db

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
            self._db.executescript(ACCOUNTS)
        return self._db


def _note(db: Database, event: str, name: str | None, actor: str | None, detail: str | None = None) -> None:
    db.execute("insert into events values (?, ?, ?, ?, ?)", (_now(), event, name, actor, detail))
    db.execute("delete from events where at < ?", (_now(timedelta(days=KEPT_DAYS)),))


def _person(row: Any) -> Person:
    return Person(row["name"], _role(row["role"]))


def _account(row: Any) -> Account:
    return Account(row["name"], _role(row["role"]), bool(row["active"]), row["created_at"])


def _role(role: str) -> Role:
    for name in get_args(Role):
        if role == name:
            return name
    raise AccessError(f"{role!r} is no role; use one of {', '.join(ROLES)}")


def _valid(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except ValueError as error:
        raise AccessError(str(error)) from None


def _found(count: int, kind: str, name: str) -> None:
    if not count:
        raise Unknown(f"there is no {kind} {name!r}; `answerdeck {kind}s list` names them")


def _now(before: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) - before).isoformat(" ", "microseconds")
