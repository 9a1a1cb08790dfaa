"""Conversations: what was said before, kept per user in one small SQLite file, with its gist and facts."""

from __future__ import annotations

import asyncio
import copy
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from pipeline.auth import DEFAULT
from pipeline.breaker import Breaker
from pipeline.context.conversation_tables import FILE_TABLES, LATER
from pipeline.context.facts import (
    EMENDABLE,
    NOTHING,
    PER_USER,
    Fact,
    Recollection,
    disowned,
    emended,
    forgettable,
    recalled,
)
from pipeline.context.history import History, forget_versions
from pipeline.context.reach import Reach
from pipeline.context.statements import correcting, stated
from pipeline.context.summary import extended
from pipeline.context.uploads import Uploads
from pipeline.databases import columns
from pipeline.databases.linked import Database, Linked
from pipeline.errors import ConversationsError, Refused
from pipeline.events import Answer, Message
from traces.errors import StoreError
from traces.ids import uuid7
from traces.postgres.tables import SharedTables

T = TypeVar("T")
LAST = "g"  # stands behind every id of a turn
WAIT_SECONDS = 1.0  # for another process that writes
_KEEP_FACT = """
insert into facts values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (user_id, slot) do update set
    fact_id = excluded.fact_id, text = excluded.text, turn_id = excluded.turn_id,
    conversation_id = excluded.conversation_id, said_at = excluded.said_at, workspace = excluded.workspace
"""
_KEEP_SUMMARY = """
insert into summaries values (?, ?, ?, ?, ?) on conflict (conversation_id) do update set
    user_id = excluded.user_id, turn_id = excluded.turn_id, text = excluded.text,
    workspace = excluded.workspace
"""


class Memory:
    """The conversations of one workspace; every read names it and the user, so nobody sees another's.

    Any number of processes may share the file (SQLite WAL), and any number of machines shared tables. A
    damaged file is put aside with the time in its name and a fresh one is begun: the chat must start.
    Everything raises ConversationsError while they cannot be used.
    """

    def __init__(
        self,
        place: Path | SharedTables,
        *,
        turns: int = 6,
        tokens: int = 1500,
        breaker: Breaker | None = None,
    ) -> None:
        self.turns, self.reach = turns, Reach(turns, tokens)
        self._breaker = breaker or Breaker("conversations")
        self._lock = threading.Lock()
        self._workspace = DEFAULT
        self.history, self.uploads = History(self._run), Uploads(self._run)
        self.quarantined: Path | None = None
        self._apart: ThreadPoolExecutor | None = None
        if isinstance(place, Path):
            self._file, self.quarantined = _usable(place)
        else:
            self._file = place
            self._apart = ThreadPoolExecutor(1, "conversations")

    def within(self, workspace: str) -> Memory:
        """Return the conversations of a workspace: the same file, seen through it alone."""
        if workspace == self._workspace:
            return self
        view = copy.copy(self)
        view._workspace, view.history = workspace, History(self._run, workspace=workspace)
        view.uploads = Uploads(self._run, workspace)
        return view

    async def ask(self, method: Callable[..., T], *values: Any) -> T:
        """Call a method of these: a file is read at once, a server that may be silent in a thread.

        What was begun is done also when nobody waits for it any more.
        """
        if self._apart is None:
            return method(*values)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._apart, method, *values))

    def recall(self, user_id: str, conversation_id: str) -> tuple[Message, ...]:
        """Return the last turns of the conversation that fit the budget, oldest first.

        Raises Refused (404) when the conversation belongs to somebody else.
        """
        rows = self._rows(
            "select user_id = ? and workspace = ?, question, answer from exchanges"
            " where conversation_id = ? and outcome <> 'failed' order by turn_id desc limit ?",
            user_id,
            self._workspace,
            conversation_id,
            max(self.turns, 1),
        )
        if not all(own for own, _, _ in rows):
            raise Refused("conversation_not_found", "There is no such conversation.", status=404)
        return self.reach.within([(question, answer) for _, question, answer in rows])

    def chosen(self, user_id: str, conversation_id: str) -> str | None:
        """Return the knowledge base that the user's conversation was last asked from; None at its start."""
        rows = self._rows(
            "select kb from exchanges where user_id = ? and workspace = ? and conversation_id = ?"
            " and kb is not null order by turn_id desc limit 1",
            user_id,
            self._workspace,
            conversation_id,
        )
        return rows[0][0] if rows else None

    def remember(self, user_id: str, client_turn_id: str | None, question: str, answer: Answer) -> None:
        """Keep a finished turn; a repeated turn or client id changes nothing."""
        self._write(
            "insert into exchanges values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
            answer.turn_id,
            answer.conversation_id,
            user_id,
            client_turn_id,
            datetime.now(UTC).isoformat(),
            question,
            answer.answer,
            answer.outcome,
            orjson.dumps(answer.to_dict()).decode(),
            self._workspace,
            answer.kb,
        )

    def recollect(self, user_id: str, conversation_id: str, question: str) -> Recollection:
        """Return the summary of the turns before the window, and the user's facts that matter here."""
        rows = self._rows(
            "select text from summaries where conversation_id = ? and user_id = ? and workspace = ?",
            conversation_id,
            user_id,
            self._workspace,
        )
        facts = recalled(question, self.facts(user_id))
        if not rows and not facts:
            return NOTHING
        emended = correcting(question) and bool(self._emended(user_id, question, conversation_id))
        return Recollection(rows[0][0] if rows else None, facts, emended)

    def facts(self, user_id: str) -> list[Fact]:
        """Return what the user stated about themselves, the newest first."""
        rows = self._rows(
            "select fact_id, slot, text, turn_id, said_at from facts where user_id = ? and workspace = ?"
            " order by said_at desc, fact_id desc",
            user_id,
            self._workspace,
        )
        return [Fact(*row) for row in rows]

    def forget_facts(self, user_id: str, fact_id: str | None = None) -> int:
        """Delete one fact of the user, or all of them; return how many there were."""
        sql = "delete from facts where user_id = ? and workspace = ? and (fact_id = ? or ? is null)"
        values = (user_id, self._workspace, fact_id, fact_id)
        return self._run(lambda db: db.execute(sql, values).rowcount)

    def digest(self, user_id: str, question: str, answer: Answer) -> None:
        """Keep the facts a turn stated, and add the turn that left the window to the summary.

        Costs the same whatever the length of the conversation; meant to run after the turn.
        """
        topic = disowned(question)
        if topic is not None:
            for fact_id in forgettable(topic, self.facts(user_id)):
                self.forget_facts(user_id, fact_id)
        facts = stated(question)
        if not facts and correcting(question):
            facts = self._emended(user_id, question, answer.conversation_id, before=answer.turn_id)
        if facts:
            self._keep(user_id, facts, answer)
        self._summarise(user_id, answer.conversation_id)

    async def digest_later(self, user_id: str, question: str, answer: Answer) -> None:
        """Digest in a thread: nobody waits for it."""
        work = asyncio.to_thread if self._apart is None else self.ask
        await work(self.digest, user_id, question, answer)

    def _emended(
        self, user_id: str, question: str, conversation_id: str, before: str = LAST
    ) -> list[tuple[str, str]]:
        recent = self._rows(
            "select turn_id from exchanges where conversation_id = ? and turn_id < ?"
            " order by turn_id desc limit ?",
            conversation_id,
            before,
            EMENDABLE,
        )
        return emended(question, self.facts(user_id), {turn_id for (turn_id,) in recent})

    def _keep(self, user_id: str, facts: list[tuple[str, str]], answer: Answer) -> None:
        source = (answer.turn_id, answer.conversation_id, datetime.now(UTC).isoformat())

        def write(db: Database) -> None:
            for slot, text in facts:
                db.execute(_KEEP_FACT, (uuid7(), user_id, slot, text, *source, self._workspace))
            db.execute(
                "delete from facts where user_id = ? and fact_id not in"
                " (select fact_id from facts where user_id = ? order by said_at desc, fact_id desc limit ?)",
                (user_id, user_id, PER_USER),
            )

        self._run(write)

    def _summarise(self, user_id: str, conversation_id: str) -> None:
        summaries = self._rows(
            "select turn_id, text from summaries where conversation_id = ? and user_id = ? and workspace = ?",
            conversation_id,
            user_id,
            self._workspace,
        )
        upto, text = summaries[0] if summaries else ("", "")
        left = self._rows(
            "select turn_id, question, answer, outcome from exchanges where conversation_id = ?"
            " and user_id = ? and workspace = ? and turn_id > ? and turn_id <= (select turn_id from exchanges"
            " where conversation_id = ? order by turn_id desc limit 1 offset ?) order by turn_id limit 20",
            conversation_id,
            user_id,
            self._workspace,
            upto,
            conversation_id,
            self.turns,
        )
        for turn_id, question, answer, outcome in left:
            upto = turn_id
            if outcome in ("answered", "no_context", "degraded", "cut"):
                text = extended(text, question, answer if outcome == "answered" else "")
        if left:
            self._write(_KEEP_SUMMARY, conversation_id, user_id, upto, text, self._workspace)

    def repeated(self, user_id: str, client_turn_id: str) -> dict[str, Any] | None:
        """Return the JSON of the turn this client already got for the same id, or None."""
        rows = self._rows(
            "select done from exchanges where user_id = ? and workspace = ? and client_turn_id = ?",
            user_id,
            self._workspace,
            client_turn_id,
        )
        return orjson.loads(rows[0][0]) if rows else None

    def conversation(self, user_id: str, conversation_id: str) -> list[dict[str, Any]] | None:
        """Return the turns of a conversation, oldest first, or None when the user has no such one."""
        rows = self._rows(
            "select question, asked_at, done from exchanges where user_id = ? and workspace = ?"
            " and conversation_id = ? order by turn_id",
            user_id,
            self._workspace,
            conversation_id,
        )
        turns = [{"question": row[0], "asked_at": row[1], **orjson.loads(row[2])} for row in rows]
        return turns or None

    def forget(self, user_id: str, conversation_id: str) -> bool:
        """Delete one conversation of the user with all that belongs to it; False when there was none."""

        def delete(db: Database) -> None:
            for table in ("labels", "aside", "shares"):
                db.execute(
                    f"delete from {table} where user_id = ? and workspace = ? and conversation_id = ?",  # noqa: S608 ours
                    (user_id, self._workspace, conversation_id),
                )

        self._run(delete)
        return self.forget_from(user_id, conversation_id, "")

    def forget_from(self, user_id: str, conversation_id: str, turn_id: str) -> bool:
        """Delete a turn and the later ones of the user's conversation; False when there was none.

        The facts stated in them go too, the summary when it tells of one of them, and their other versions.
        """
        theirs = "where user_id = ? and workspace = ? and conversation_id = ? and turn_id >= ?"

        def delete(db: Database) -> bool:
            values = (user_id, self._workspace, conversation_id, turn_id)
            for table in ("facts", "summaries"):
                db.execute(f"delete from {table} {theirs}", values)  # noqa: S608 names of ours
            forget_versions(db, *values)
            return db.execute(f"delete from exchanges {theirs}", values).rowcount > 0  # noqa: S608

        return self._run(delete)

    def erase(self, user_id: str) -> int:
        """Delete everything of a user, in every workspace; return how many turns there were."""

        def delete(db: Database) -> int:
            for table in ("facts", "summaries", "labels", "aside", "shares", "uploads"):
                db.execute(f"delete from {table} where user_id = ?", (user_id,))  # noqa: S608 names of ours
            return db.execute("delete from exchanges where user_id = ?", (user_id,)).rowcount

        return self._run(delete)

    def owner(self, turn_id: str) -> str | None:
        """Return whose turn this is, or None."""
        sql = "select user_id from exchanges where turn_id = ? and workspace = ?"
        rows = self._rows(sql, turn_id, self._workspace)
        return rows[0][0] if rows else None

    def look(self) -> tuple[datetime, str] | None:
        """Put the file back if somebody deleted it; return when that last happened, and what was done."""
        with suppress(ConversationsError):
            self._run(lambda _: None)
        return self._file.notice

    def close(self) -> None:
        if self._apart is not None:
            self._apart.shutdown()
        with self._lock:
            self._file.close()

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        return self._run(lambda db: db.execute(statement, values).fetchall())

    def _write(self, statement: str, *values: Any) -> bool:
        return self._run(lambda db: db.execute(statement, values).rowcount > 0)

    def _run(self, work: Callable[[Database], T]) -> T:
        permit = self._breaker.admit()
        if permit is None:
            raise ConversationsError("the conversations rest after failures")
        began = time.monotonic()
        try:
            with self._lock:
                result = work(self._file.current())
            permit.started(time.monotonic() - began)
            return result
        except (sqlite3.Error, StoreError) as error:
            permit.failed(type(error).__name__)
            raise ConversationsError(f"the conversations cannot be used: {type(error).__name__}") from error
        finally:
            permit.left()


def _usable(path: Path) -> tuple[Linked, Path | None]:
    """Open the file; a damaged one is put aside and a fresh one begun, with the place it was put."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return Linked(path, _open), None
    except sqlite3.DatabaseError:
        aside = path.with_name(f"{path.name}.bad-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return Linked(path, _open), aside


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.executescript(FILE_TABLES)
    columns.complete(connection, LATER)
    return connection
