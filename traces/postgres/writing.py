"""Rows into PostgreSQL, each journal line once; and out of it again."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from traces import rollups
from traces.engine import Stale, Tables, Unfit
from traces.indexed import entries
from traces.postgres import dialect, rolling, words
from traces.postgres.reading import PostgresReading, marks
from traces.postgres.schema import LOCK
from traces.rollups import Touched
from traces.rows import TABLES, stored_columns

if TYPE_CHECKING:
    import psycopg

WAIT_SECONDS = 5  # for a lock
_OLD = "turn_id in (select turn_id from turns where started_at < $before)"
_OLD_TEXT = f"text is not null and {_OLD}"


class PostgresWriting:
    """The ledger opened to write, for the journal of one host."""

    def __init__(self, connection: psycopg.Connection, name: str, journal: str) -> None:
        self.connection = connection
        self._name = name
        self._journal = journal
        self.shared = rolling.SharedSql(connection)
        connection.execute(
            f"set statement_timeout = 0; set lock_timeout = '{WAIT_SECONDS}s';"
            f" set timezone = 'UTC'; set search_path = {dialect.STORED}".encode()
        )

    def marks(self) -> dict[str, int]:
        return marks(self.connection, self._journal)

    def add(self, tables: Tables, ends: Mapping[str, int], seen: Mapping[str, int]) -> None:
        """Commit rows and marks together; raises Unfit, or Stale when the marks are not those `seen`."""
        import psycopg

        try:
            with self.transaction():
                self.execute("select pg_advisory_xact_lock($ours, hashtext($journal))", ours=LOCK)
                stored = self.marks()
                if any(stored.get(segment, 0) != seen.get(segment, 0) for segment in ends):
                    raise Stale
                self.append(tables)
                changed = rollups.touched(self.shared, tables)
                if changed.hours:
                    rolling.alone(self.connection)
                    rollups.roll(self.shared, changed)
                self.mark(ends)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise Unfit(str(error)) from error

    def transaction(self) -> AbstractContextManager[object]:
        """Commit all that is done within it, or nothing."""
        return self.connection.transaction()

    def append(self, tables: Tables) -> None:
        """Append rows within the current transaction."""
        for table, added in tables.items():
            rows = list(added)
            if table == "payloads":
                self._part(str(row[0]) for row in rows)
            names = f" ({dialect.listed(stored_columns(table))})" if table in TABLES else ""
            statement = f"copy {table}{names} from stdin".encode()
            with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(dialect.clean(row))
            if table == "turns":
                words.write(self.connection, entries({table: rows}))

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Ask the stored tables, uncommitted rows included."""
        batches = PostgresReading(self.connection, self._name, Touched()).batches(sql, params, 1000)
        return [row for batch in batches for row in batch]

    def has_turn(self, turn_id: str) -> bool:
        cursor = self.connection.execute("select 1 from turns where turn_id = %s limit 1", [turn_id])
        return cursor.fetchone() is not None

    def alone(self) -> None:
        rolling.alone(self.connection)

    def rebuild(self) -> None:
        """Make all rollups anew out of the rows, within the current transaction."""
        rolling.alone(self.connection)
        for table in TABLES:  # what was copied a moment ago is planned for as if it were nothing
            self.connection.execute(f"analyze {table}".encode())
        rollups.rebuild(self.shared)

    def forget_texts(self, before: datetime) -> tuple[int, int]:
        """Forget the bulky texts of turns that started before a time; whole months go at once."""
        with self.connection.transaction():
            payloads = self._drop_months(before)
            payloads += self.execute(f"delete from payloads where {_OLD}", before=before)  # noqa: S608
            passages = self.execute(f"update passages set text = null where {_OLD_TEXT}", before=before)  # noqa: S608
        return payloads, passages

    def erase_user(
        self, user_id: str, more_turns: Collection[str] = (), cases: Collection[str] = ()
    ) -> tuple[set[str], int]:
        """Delete a user's turns (and `more_turns`) with all that belongs to them, scores and cases too."""
        bound: dict[str, Any] = {"user": user_id, "cases": list(cases)}
        with self.connection.transaction():
            turn_ids = self.connection.execute("select turn_id from turns where user_id = %s", [user_id])
            bound["ids"] = [*(row[0] for row in turn_ids.fetchall()), *more_turns]
            rolling.alone(self.connection)
            scored = self.shared.execute(
                "select distinct turn_id from scores where user_id = $user or case_id = any($cases)", bound
            )
            changed = rollups.of_turns(self.shared, {*bound["ids"], *(row[0] for row in scored.fetchall())})
            scores = self.execute(
                "delete from scores where user_id = $user or turn_id = any($ids) or case_id = any($cases)",
                **bound,
            )
            for table in ("payloads", "spans", "passages", "usages", "words", "turns"):
                self.execute(f"delete from {table} where turn_id = any($ids)", **bound)  # noqa: S608 - constants
            self.execute("delete from cases where case_id = any($cases)", **bound)
            rollups.forget_topics(self.shared)
            rollups.roll(self.shared, changed)
        return set(bound["ids"]), scores

    def execute(self, sql: str, **params: Any) -> int:
        """Run a statement in the shared SQL; returns how many rows it touched."""
        values = {"journal": self._journal, **params}
        return self.connection.execute(dialect.bound(sql).encode(), values).rowcount

    def others(self) -> list[str]:
        """Return the hosts whose journals were drained into this ledger, this one left out."""
        hosts = self.connection.execute(
            "select distinct host from journals where journal <> %s order by host", [self._journal]
        )
        return [row[0] for row in hosts.fetchall()]

    def mark(self, ends: Mapping[str, int]) -> None:
        """Set how far segments have been drained, within the current transaction."""
        for segment, end in ends.items():
            self.execute(
                "insert into marks (segment, drained_to) values ($segment, $end)"
                " on conflict (segment) do update set drained_to = excluded.drained_to",
                segment=f"{self._journal}/{segment}",
                end=end,
            )
        self.execute(
            "insert into journals (journal, host, drained_at) values ($journal, $host, $now)"
            " on conflict (journal) do update set host = excluded.host, drained_at = excluded.drained_at",
            host=socket.gethostname(),
            now=datetime.now(UTC),
        )

    def _part(self, turn_ids: Iterator[str]) -> None:
        """Make the partitions of the months that payloads come from."""
        import psycopg

        months = {month for turn_id in turn_ids if (month := dialect.month(turn_id)) is not None}
        for month in months - self._months():
            with suppress(psycopg.errors.CheckViolation), self.connection.transaction():
                self.execute("select pg_advisory_xact_lock($ours)", ours=LOCK)
                self.connection.execute(
                    f"create table if not exists {month.name} partition of payloads"
                    f" for values from ('{month.begin}') to ('{month.end}')".encode()
                )

    def _months(self) -> set[dialect.Month]:
        """Return the months that have a partition."""
        parts = self.connection.execute(
            "select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_inherits as i"
            " join pg_class as c on c.oid = i.inhrelid"
            " where i.inhparent = 'payloads'::regclass and c.relname like 'payloads\\_20%'"
        )
        return {dialect.Month(name, *expression.split("'")[1:4:2]) for name, expression in parts.fetchall()}

    def _drop_months(self, before: datetime) -> int:
        """Drop the months of which no turn started at `before` or later; returns their rows."""
        rows = 0
        for month in self._months():
            younger = (
                f"select 1 from {month.name} as p join turns as t on t.turn_id = p.turn_id"  # noqa: S608
                " where t.started_at >= $before limit 1"
            )
            if month.end <= dialect.lowest_id(before) and not self.execute(younger, before=before):
                parts = self.connection.execute(f"select count(*) from {month.name}".encode()).fetchone()  # noqa: S608
                rows += parts[0] if parts else 0
                self.connection.execute(f"drop table {month.name}".encode())
        return rows
