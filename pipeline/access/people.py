"""Who may come in: local users, API keys, browser sessions and what was done with them, in one file.

The chat, its workers, the console and the command line share it, so a change takes effect at once; machines
with one ledger share tables in its database instead.
Passwords are kept as scrypt hashes, keys and session tokens as SHA-256; none can be read back.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pipeline.access import passwords
from pipeline.access.accounts import AccessError, Accounts, Unreachable, note, now
from pipeline.access.workspaces import Workspaces
from pipeline.auth import DEFAULT, ROLES, Keys, Person, Role, digest, named
from pipeline.configuration.data_folder import DataFolder
from pipeline.databases.linked import Database
from traces.errors import Unknown
from traces.postgres.tables import SharedTables

__all__ = ["AccessError", "People", "Throttled", "Unreachable"]

T = TypeVar("T")
SESSION_SECONDS = 12 * 3600.0
TRY_SECONDS = 15 * 60.0  # wrong tries count for so long
TRIES = {"name": 5, "address": 20}  # wrong ones, before no more are looked at
KEY_PREFIX = "ad_"


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
    workspace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """An audit line: what happened when to whose access, and by whom."""

    at: str
    event: str
    name: str | None
    actor: str | None
    detail: str | None


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
        place: Accounts | Path | SharedTables | None,
        keys: Keys,
        *,
        provider: bool = False,
        folder: DataFolder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._accounts = place if isinstance(place, Accounts) else Accounts(place)
        self._provider = provider
        self._ever_closed = False
        self._keys = keys
        self._clock = clock
        self.workspaces = Workspaces(self._accounts, folder)

    async def ask(self, work: Callable[..., T], *values: Any) -> T:
        """Do work that asks these: at once in a file, in a thread where a server may be silent."""
        begun = self._accounts.apart(work, *values)
        return work(*values) if begun is None else await asyncio.wrap_future(begun)

    @property
    def surely_closed(self) -> bool:
        """Whether people must sign in, as far as that is known without asking."""
        return self._provider or bool(self._keys) or self._ever_closed

    @property
    def closed(self) -> bool:
        """Whether people must sign in: keys or a provider are set, or a user or key was ever made here."""
        if self.surely_closed:
            return True
        try:
            self._ever_closed = bool(self._accounts.rows("select since from closed limit 1"))
        except Unreachable:
            return True  # nobody comes in by a database that is away
        return self._ever_closed

    def configured(self, key: str) -> Person | None:
        """Return whose key of the configuration this is."""
        return self._keys.person(key)

    def person(self, key: str) -> Person | None:
        """Return whose key this is, of the configuration or made here."""
        return self.configured(key) or self._of_key(digest(key))

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
        token, begun = secrets.token_urlsafe(32), self._clock()
        with self._accounts.change() as db:
            db.execute("delete from sessions where ends < ?", (begun,))
            db.execute("delete from tries where at < ? or name = ?", (begun - TRY_SECONDS, person.name))
            row = (digest(token), person.name, person.role, source, begun + SESSION_SECONDS, person.workspace)
            db.execute("insert into sessions values (?, ?, ?, ?, ?, ?)", row)
            note(db, "signed in", person.name, person.name, f"from {address}" if address else None)
        return token

    def expect(self, pending: Pending, seconds: float) -> None:
        """Remember a sign-in that was begun at the provider, for so long."""
        with self._accounts.change() as db:
            db.execute("delete from pending where ends < ?", (self._clock(),))
            row = (digest(pending.state), pending.nonce, pending.verifier, self._clock() + seconds)
            db.execute("insert into pending values (?, ?, ?, ?)", row)

    def expected(self, state: str) -> Pending | None:
        """Return a sign-in that was begun and not ended, once; None for any other."""
        with self._accounts.change() as db:
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
        taken = self._accounts.rows(sql, person.name, person.name)
        if taken or self._keys.named(person.name):
            raise AccessError(f"The name {person.name} belongs to somebody else here. Please tell an admin.")
        self.workspaces.check(person.workspace)
        return self.begin(person, "provider", address)

    def session(self, token: str) -> Person | None:
        """Return whose running session this is, with the role of now; None once it ended anywhere."""
        sql = "select name, role, workspace, source, ends from sessions where digest = ?"
        rows = self._accounts.rows(sql, digest(token))
        if not rows or rows[0]["ends"] <= self._clock():
            return None
        name, source = rows[0]["name"], rows[0]["source"]
        if source == "provider":
            return _person(rows[0]) if self._provider else None
        if source == "user":
            sql = "select name, role, workspace from users where name = ? and disabled = 0"
            users = self._accounts.rows(sql, name)
            return _person(users[0]) if users else None
        return self._keys.by_digest(source) or self._of_key(source)

    def end(self, token: str) -> None:
        """End a session."""
        person = self.session(token)
        if person is None:
            return
        with self._accounts.change() as db:
            db.execute("delete from sessions where digest = ?", (digest(token),))
            note(db, "signed out", person.name, person.name)

    def add_user(self, name: str, role: str, password: str, actor: str, workspace: str = DEFAULT) -> None:
        """Add a local user; raises AccessError when the name is taken or a value is wrong."""
        self.workspaces.check(workspace)
        row = (_valid(named, name), _role(role), passwords.hashed(_valid(passwords.checked, password)))
        with self._accounts.change() as db:
            added = db.execute(
                "insert into users values (?, ?, ?, 0, ?, ?) on conflict do nothing",
                (*row, now(), workspace),
            )
            if not added.rowcount:
                raise AccessError(f"there is a user {name!r} already; `users reset` sets the password")
            self._close(db)
            note(db, "user added", name, actor, _as(role, workspace))

    def reset(self, name: str, password: str, actor: str) -> None:
        """Set a user's password, let the user in again and end all the user's sessions."""
        stored = passwords.hashed(_valid(passwords.checked, password))
        with self._accounts.change() as db:
            done = db.execute("update users set password = ?, disabled = 0 where name = ?", (stored, name))
            _found(done.rowcount, "user", name)
            db.execute("delete from sessions where name = ? and source = 'user'", (name,))
            note(db, "password reset", name, actor)

    def disable(self, name: str, actor: str) -> None:
        """Let a user in no more, from this moment."""
        with self._accounts.change() as db:
            _found(db.execute("update users set disabled = 1 where name = ?", (name,)).rowcount, "user", name)
            db.execute("delete from sessions where name = ? and source = 'user'", (name,))
            note(db, "user disabled", name, actor)

    def move_user(self, name: str, workspace: str, actor: str) -> None:
        """Put a user into another workspace; what was asked and remembered in the old one stays there."""
        self.workspaces.check(workspace)
        with self._accounts.change() as db:
            done = db.execute("update users set workspace = ? where name = ?", (workspace, name))
            _found(done.rowcount, "user", name)
            note(db, "user moved", name, actor, f"to workspace {workspace}")

    def users(self) -> list[Account]:
        """Return the local users by name."""
        sql = "select name, role, workspace, disabled = 0 as active, created_at from users order by name"
        rows = self._accounts.rows(sql)
        return [_account(row) for row in rows]

    def new_key(self, name: str, role: str, actor: str, workspace: str = DEFAULT) -> str:
        """Make an API key and return it: it is shown this once and kept nowhere."""
        self.workspaces.check(workspace)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        row = (_valid(named, name), _role(role), digest(key), now(), workspace)
        with self._accounts.change() as db:
            db.execute("delete from keys where name = ? and revoked = 1", (name,))
            sql = "insert into keys values (?, ?, ?, 0, ?, ?) on conflict do nothing"
            if not db.execute(sql, row).rowcount:
                raise AccessError(f"there is a key {name!r} already; revoke it first or choose a name")
            self._close(db)
            note(db, "key made", name, actor, _as(role, workspace))
        return key

    def revoke(self, name: str, actor: str) -> None:
        """Let a key in no more, nor the sessions begun with it, from this moment."""
        with self._accounts.change() as db:
            _found(db.execute("update keys set revoked = 1 where name = ?", (name,)).rowcount, "key", name)
            db.execute(
                "delete from sessions where source in (select digest from keys where name = ?)", (name,)
            )
            note(db, "key revoked", name, actor)

    def keys(self) -> list[Account]:
        """Return the API keys made here by name."""
        sql = "select name, role, workspace, revoked = 0 as active, created_at from keys order by name"
        rows = self._accounts.rows(sql)
        return [_account(row) for row in rows]

    def note(self, event: str, name: str | None, actor: str | None, detail: str | None = None) -> None:
        """Write an audit line."""
        with self._accounts.change() as db:
            note(db, event, name, actor, detail)

    def events(self, most: int = 200) -> list[AccessEvent]:
        """Return the newest audit lines, newest first."""
        rows = self._accounts.rows(
            "select at, event, name, actor, detail from events order by at desc limit ?", most
        )
        return [AccessEvent(**row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._accounts.close()

    def _of_key(self, hexadecimal: str) -> Person | None:
        sql = "select name, role, workspace from keys where digest = ? and revoked = 0"
        rows = self._accounts.rows(sql, hexadecimal)
        return _person(rows[0]) if rows else None

    def _user(self, name: str, password: str) -> Person | None:
        sql = "select name, role, workspace, password from users where name = ? and disabled = 0"
        rows = self._accounts.rows(sql, name)
        right = passwords.matches(password, rows[0]["password"] if rows else None)
        return _person(rows[0]) if right else None

    def _held_back(self, name: str, address: str) -> None:
        """Raise Throttled when this name or address was wrong too often of late."""
        since = self._clock() - TRY_SECONDS
        for kind, who in (("name", name), ("address", address)):
            sql = "select at from tries where kind = ? and name = ? and at > ? order by at desc limit ?"
            rows = self._accounts.rows(sql, kind, who, since, TRIES[kind]) if who else []
            if len(rows) >= TRIES[kind]:
                self.note("sign-in held back", name or None, None, f"from {address}")
                raise Throttled(rows[-1]["at"] - since)

    def _failed(self, name: str, address: str) -> None:
        with self._accounts.change() as db:
            for kind, who in (("name", name[:64]), ("address", address)):
                if who:
                    db.execute("insert into tries values (?, ?, ?)", (kind, who, self._clock()))
            note(db, "sign-in failed", name[:64] or None, None, f"from {address}")

    def _close(self, db: Database) -> None:
        db.execute("insert into closed select ? where not exists (select 1 from closed)", (now(),))


def _person(row: Any) -> Person:
    return Person(row["name"], _role(row["role"]), row["workspace"])


def _account(row: Any) -> Account:
    active = bool(row["active"])
    return Account(row["name"], _role(row["role"]), active, row["created_at"], row["workspace"])


def _as(role: str, workspace: str) -> str:
    return role if workspace == DEFAULT else f"{role} of {workspace}"


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
