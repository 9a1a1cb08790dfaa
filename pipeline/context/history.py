"""What a user does with past conversations: search, name, pin, go back to an earlier version, share."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import orjson

from pipeline.auth import DEFAULT, digest
from pipeline.databases.linked import Database
from pipeline.databases.transactions import transaction

SHARE_SECONDS = 7 * 24 * 3600.0
LONGEST_TITLE = 120
EVERY = 2**31 - 1
SCHEMA = """
create table if not exists labels (
    conversation_id text primary key, user_id text not null, title text, pinned integer not null default 0
);
create table if not exists aside (  -- turns of versions that are not shown
    turn_id text primary key, conversation_id text not null, user_id text not null, client_turn_id text,
    asked_at text not null, question text not null, answer text not null, outcome text not null,
    done text not null,
    before text not null,  -- the turn after which the version begins; '' at the very start
    head text not null     -- the first turn of the version: its name
);
create index if not exists aside_of on aside (conversation_id, before);
create table if not exists shares (
    digest text primary key, conversation_id text not null, user_id text not null,
    upto text not null,  -- the last turn that is shown
    ends real not null
);
"""
_COLUMNS = (
    "turn_id, conversation_id, user_id, client_turn_id, asked_at, question, answer, outcome, done,"
    " workspace, kb"
)
_THEIRS = "user_id = ? and workspace = ? and conversation_id = ?"


class History:
    """Works on the file of the conversations, through `run`; every statement names user and workspace."""

    def __init__(
        self,
        run: Callable[[Callable[[Database], Any]], Any],
        clock: Callable[[], float] = time.time,
        *,
        workspace: str = DEFAULT,
    ) -> None:
        self._run = run
        self._clock = clock
        self._workspace = workspace

    def conversations(self, user_id: str, limit: int = 100, search: str = "") -> list[dict[str, Any]]:
        """Return the user's conversations, pinned ones first, then the latest.

        The title is the user's own or the first question. With `search`, only those in whose title,
        questions or answers all its words stand.
        """
        words = search.casefold().split()
        rows = self._rows(
            "select e.conversation_id, min(e.turn_id), max(e.asked_at), count(*), max(l.title),"
            " coalesce(max(l.pinned), 0) from exchanges e left join labels l"
            " on l.conversation_id = e.conversation_id and l.user_id = e.user_id"
            " where e.user_id = ? and e.workspace = ? group by e.conversation_id"
            " order by coalesce(max(l.pinned), 0) desc, max(e.turn_id) desc limit ?",
            user_id,
            self._workspace,
            EVERY if words else limit,
        )
        if words:
            having = self._having(user_id, words)
            rows = [row for row in rows if row[0] in having][:limit]
        titles = {key: row[4] or self._question(row[1]) for row in rows for key in (row[0],)}
        return [
            {
                "conversation_id": key,
                "title": titles[key],
                "updated_at": updated,
                "turns": turns,
                "pinned": bool(pinned),
            }
            for key, _, updated, turns, _, pinned in rows
        ]

    def title(self, user_id: str, conversation_id: str) -> str | None:
        """Return the name of the user's conversation, or None when there is no such one."""
        rows = self._rows(
            "select coalesce((select title from labels l where l.conversation_id = e.conversation_id"
            " and l.user_id = e.user_id), e.question) from exchanges e"
            " where user_id = ? and workspace = ? and conversation_id = ? order by turn_id limit 1",
            user_id,
            self._workspace,
            conversation_id,
        )
        return rows[0][0] if rows else None

    def label(
        self, user_id: str, conversation_id: str, *, title: str | None = None, pinned: bool | None = None
    ) -> bool:
        """Name the user's conversation (empty: no name), or pin it; False when there is no such one."""
        if self.title(user_id, conversation_id) is None:
            return False

        def write(db: Database) -> None:
            values = (conversation_id, user_id, self._workspace)
            db.execute("insert into labels values (?, ?, null, 0, ?) on conflict do nothing", values)
            theirs = "where conversation_id = ? and user_id = ? and workspace = ?"
            if title is not None:
                name = " ".join(title.split())[:LONGEST_TITLE] or None
                db.execute(f"update labels set title = ? {theirs}", (name, *values))  # noqa: S608
            if pinned is not None:
                db.execute(f"update labels set pinned = ? {theirs}", (int(pinned), *values))  # noqa: S608

        self._run(write)
        return True

    def set_aside(self, user_id: str, conversation_id: str, turn_id: str) -> bool:
        """Keep a turn and the later ones as a version that is not shown; what it stated is forgotten."""

        def write(db: Database) -> bool:
            return _whole(
                db, lambda: _put_aside(db, (user_id, self._workspace, conversation_id), turn_id) > 0
            )

        return self._run(write)

    def show(self, user_id: str, conversation_id: str, head: str) -> bool:
        """Show the version that begins with this turn in the place of the one shown; False without one."""

        def write(db: Database) -> bool:
            return _whole(db, lambda: _swap(db, (user_id, self._workspace, conversation_id), head))

        return self._run(write)

    def versions(self, user_id: str, conversation_id: str) -> dict[str, list[str]]:
        """Return the versions set aside, oldest first, by the turn after which they part ('' at first)."""
        rows = self._rows(
            f"select distinct before, head from aside where {_THEIRS} order by head",  # noqa: S608
            user_id,
            self._workspace,
            conversation_id,
        )
        parted: dict[str, list[str]] = {}
        for before, head in rows:
            parted.setdefault(before, []).append(head)
        return parted

    def share(self, user_id: str, conversation_id: str, seconds: float = SHARE_SECONDS) -> str | None:
        """Return the token of a link that shows the conversation as it is now; None when there is none."""
        rows = self._rows(
            f"select max(turn_id) from exchanges where {_THEIRS}",  # noqa: S608
            user_id,
            self._workspace,
            conversation_id,
        )
        if not rows or rows[0][0] is None:
            return None
        token = secrets.token_urlsafe(24)
        ends = self._clock() + seconds
        row = (digest(token), conversation_id, user_id, rows[0][0], ends, self._workspace)
        self._run(lambda db: db.execute("insert into shares values (?, ?, ?, ?, ?, ?)", row))
        return token

    def unshare(self, user_id: str, conversation_id: str) -> int:
        """End all links to the conversation; return how many there were."""
        values = (user_id, self._workspace, conversation_id)
        return self._run(
            lambda db: db.execute(f"delete from shares where {_THEIRS}", values).rowcount  # noqa: S608
        )

    def shared(self, token: str) -> tuple[str, list[dict[str, Any]]] | None:
        """Return the title and the turns that a link shows to people of its workspace.

        None for everybody else, once it ended, or when its turns are gone.
        """
        rows = self._rows(
            "select conversation_id, user_id, upto from shares"
            " where digest = ? and workspace = ? and ends > ?",
            digest(token),
            self._workspace,
            self._clock(),
        )
        if not rows:
            return None
        conversation_id, user_id, upto = rows[0]
        turns = self._rows(
            f"select question, asked_at, done from exchanges where {_THEIRS}"  # noqa: S608
            " and turn_id <= ? order by turn_id",
            user_id,
            self._workspace,
            conversation_id,
            upto,
        )
        title = self.title(user_id, conversation_id)
        if not turns or title is None:
            return None
        return title, [{"question": q, "asked_at": at, **orjson.loads(done)} for q, at, done in turns]

    def _having(self, user_id: str, words: list[str]) -> set[str]:
        """Return the conversations in which every word stands somewhere."""
        rows = self._rows(
            "select e.conversation_id, e.question || ' ' || e.answer || ' ' || coalesce(l.title, '')"
            " from exchanges e left join labels l on l.conversation_id = e.conversation_id"
            " and l.user_id = e.user_id where e.user_id = ? and e.workspace = ?",
            user_id,
            self._workspace,
        )
        texts: dict[str, list[str]] = {}
        for key, text in rows:
            texts.setdefault(key, []).append(text.casefold())
        return {key for key, parts in texts.items() if all(word in " ".join(parts) for word in words)}

    def _question(self, turn_id: str) -> str:
        rows = self._rows("select question from exchanges where turn_id = ?", turn_id)
        return rows[0][0] if rows else ""

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        return self._run(lambda db: db.execute(statement, values).fetchall())


def forget_versions(db: Database, user_id: str, workspace: str, conversation_id: str, turn_id: str) -> None:
    """Delete the versions that part where a shown turn stands or later, and those that part in them."""
    theirs = _THEIRS
    values = (user_id, workspace, conversation_id)
    before = db.execute(
        f"select max(turn_id) from exchanges where {theirs} and turn_id < ?",  # noqa: S608
        (*values, turn_id),
    ).fetchone()[0]
    shown = db.execute(
        f"select turn_id from exchanges where {theirs} and turn_id >= ?",  # noqa: S608
        (*values, turn_id),
    ).fetchall()
    parting = [before or "", *(row[0] for row in shown)]
    while parting:
        gone = (*values, parting.pop())
        rows = db.execute(f"select turn_id from aside where {theirs} and before = ?", gone)  # noqa: S608
        parting += [row[0] for row in rows.fetchall()]
        db.execute(f"delete from aside where {theirs} and before = ?", gone)  # noqa: S608


def _whole(db: Database, work: Callable[[], bool]) -> bool:
    """Do the work in one transaction: all of it or nothing."""
    with transaction(db):
        return work()


def _put_aside(db: Database, whose: tuple[str, str, str], turn_id: str) -> int:
    """Move turns aside; `whose` is user, workspace and conversation."""
    theirs = f"{_THEIRS} and turn_id"
    values = (*whose, turn_id)
    before = db.execute(f"select max(turn_id) from exchanges where {theirs} < ?", values).fetchone()[0] or ""  # noqa: S608
    head = db.execute(f"select min(turn_id) from exchanges where {theirs} >= ?", values).fetchone()[0]  # noqa: S608
    if head is None:
        return 0
    db.execute(
        f"insert into aside ({_COLUMNS}, before, head) select {_COLUMNS}, ?, ?"  # noqa: S608
        f" from exchanges where {theirs} >= ?",
        (before, head, *values),
    )
    for table in ("facts", "summaries"):  # as when the turns are deleted
        db.execute(f"delete from {table} where {theirs} >= ?", values)  # noqa: S608
    return db.execute(f"delete from exchanges where {theirs} >= ?", values).rowcount  # noqa: S608


def _swap(db: Database, whose: tuple[str, str, str], head: str) -> bool:
    theirs = (*whose, head)
    where = f"{_THEIRS} and head = ?"
    row = db.execute(f"select before from aside where {where} limit 1", theirs).fetchone()  # noqa: S608
    if row is None:
        return False
    following = db.execute(
        f"select min(turn_id) from exchanges where {_THEIRS} and turn_id > ?",  # noqa: S608
        (*whose, row[0]),
    ).fetchone()[0]
    if following is not None:
        _put_aside(db, whose, following)
    db.execute(f"insert into exchanges ({_COLUMNS}) select {_COLUMNS} from aside where {where}", theirs)  # noqa: S608
    db.execute(f"delete from aside where {where}", theirs)  # noqa: S608
    return True
