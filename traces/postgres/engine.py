"""The ledger in PostgreSQL, filled by the drainers of many hosts."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from traces import rollups, segments
from traces.engine import Tables
from traces.errors import StoreBusy, StoreError, StoreVersion
from traces.indexed import entries
from traces.ledger import Ledger
from traces.postgres import dialect, reading, ready, schema, words
from traces.postgres.connection import connected, naming, shown
from traces.postgres.rolling import SharedSql
from traces.postgres.writing import PostgresWriting
from traces.rollups import Touched
from traces.rows import TABLES, live_rows
from traces.words import Sought, Words

if TYPE_CHECKING:
    import psycopg

READ_SECONDS = 60
_LOOKS = 5  # at a journal whose segments come and go
_SURVEYED = (*TABLES, *rollups.TABLES, "words")
_WHOLE_SECONDS = 60.0  # between looks whether every turn has its words, once they had


class Postgres:
    """The ledger in one database; `journal` is the folder that this host drains into it."""

    schema = dialect.STORED
    remedy = "holds drained lines of its own: run `answerdeck traces erase` on that host too"

    def __init__(self, address: str, journal: Path) -> None:
        self.name = shown(address)
        self._address = address
        self._journal = journal
        self._whole_at: float | None = None  # when every turn had its words, as far as this process knows

    def exists(self) -> bool:
        return True  # made when it is first written to

    def begin(self) -> None:
        return  # each migration is one transaction: there is nothing to keep

    def tend(self) -> None:
        """Give the next turns that have none yet their words."""
        if self._whole_at is None or time.monotonic() - self._whole_at > _WHOLE_SECONDS:
            with self.window() as window:
                self._whole_at = time.monotonic() if words.fill(window.connection) else None

    def settled(self) -> bool:
        return True  # what PostgreSQL committed is on its disk

    def suspect(self, reason: str) -> None:
        return  # a database's damage is its operators' business

    def suspected(self) -> bool:
        return False

    def quarantine(self) -> str:
        raise StoreError(f"{self.name} is damaged; restore it from its backup")

    @contextmanager
    def window(self) -> Iterator[PostgresWriting]:
        """Open the ledger to write; its schema is brought up to date first, by one host at a time."""
        with connected(self._address, self.name) as connection, naming(self.name):
            if schema.version(connection) != len(schema.migrations()):
                schema.migrate(connection, self.name)
            yield PostgresWriting(connection, self.name, self._journal_id())

    @contextmanager
    def reading(
        self, tail_bytes: int, *, exporting: bool = False, workspace: str | None = None
    ) -> Iterator[Ledger]:
        """Ask one snapshot of the ledger, with the tail of this host's journal."""
        with (
            ready.lent(self._address, self.name) as connection,
            naming(self.name),
            self._explaining(connection),
        ):
            self._check(connection)
            for _ in range(_LOOKS):
                before = segments.live(self._journal)
                reading.begin(connection, 0 if exporting else READ_SECONDS)
                tail, hidden, touched = self._tail(connection, tail_bytes)
                if all(path.exists() for path in before):
                    break
                connection.rollback()  # a segment went: its lines may be younger than the snapshot
            else:
                raise StoreBusy(f"the journal beside {self.name} changes too fast; try again in a moment")
            if workspace is not None:
                reading.restrict(connection, workspace)
            answers = reading.PostgresReading(connection, self.name, touched)
            yield Ledger(answers, hidden, partial(self._search, connection, tail), workspace)
            connection.rollback()

    def _search(
        self,
        connection: psycopg.Connection,
        tail: Tables,
        sought: Sought,
        since: datetime,
        until: datetime,
        most: int,
    ) -> list[str] | None:
        with naming(self.name):
            drained = words.search(connection, sought, since, until, most)
        if drained is None:
            return None
        live = Words(None)
        live.fill(entries(tail), last=True)
        return [*live.search(sought, since, until, most), *drained][:most]

    def survey(self) -> None:
        # without it pages take seconds instead of a tenth, until the server's own look within a minute
        with connected(self._address, self.name) as connection, naming(self.name):
            for table in _SURVEYED:
                connection.execute(f"analyze {dialect.STORED}.{table}".encode())

    def index_anew(self) -> None:
        with self.window() as window, naming(self.name):
            words.clear(window.connection)
            while not words.fill(window.connection):
                time.sleep(0)  # other hosts may commit between two pieces

    def compact(self) -> None:
        """Give the space of deleted rows back to the tables, so that their texts are overwritten in time.

        What the planner remembers of columns, and the words of an index, are texts too: both are made anew.
        """
        with connected(self._address, self.name) as connection, naming(self.name):
            for table in _SURVEYED:
                connection.execute(f"vacuum (analyze) {dialect.STORED}.{table}".encode())
            words.forget(connection)

    def put_aside(self) -> tuple[str, ...]:
        """Name the other hosts, whose journals only they can reach."""
        with self.window() as window:
            return tuple(f"the journal of host {host}" for host in window.others())

    @contextmanager
    def _explaining(self, connection: psycopg.Connection) -> Iterator[None]:
        """Raise StoreVersion for what a newer program made another way: that is no mistake in SQL."""
        import psycopg

        try:
            yield
        except psycopg.ProgrammingError:
            connection.rollback()
            schema.check_not_newer(connection, self.name)
            raise

    def _check(self, connection: psycopg.Connection) -> None:
        version, newest = schema.version(connection), len(schema.migrations())
        if version == 0:
            schema.migrate(connection, self.name)
        elif version < newest:
            raise StoreVersion(
                f"{self.name} has schema version {version}, this program needs {newest};"
                " a drainer updates it: start the chat or run `answerdeck traces drain`"
            )

    def _tail(self, connection: psycopg.Connection, tail_bytes: int) -> tuple[Tables, int, Touched]:
        """Give the live tail to this transaction; returns it, the bytes left out, and what it touches."""
        import psycopg

        if not self._journal.is_dir():
            return {}, 0, Touched()
        marks = reading.marks(connection, self._journal_id())
        blocks, hidden = segments.tail(self._journal, marks, tail_bytes)
        tables = live_rows(line for block in blocks for _, line in block.lines())
        try:
            with connection.transaction():
                for table, rows in tables.items():
                    text = dialect.live_text(table, rows)
                    connection.execute("select set_config(%s, %s, true)", [dialect.setting(table), text])
                    connection.execute(reading.COUNTS[table])
        except psycopg.DataError:  # a line the drainer will put aside within a second
            return {}, hidden + sum(block.end - block.start for block in blocks), Touched()
        return tables, hidden, rollups.touched(SharedSql(connection), tables)

    def _journal_id(self) -> str:
        """Return the name of this journal among those of all hosts; made once, kept in the folder."""
        path = self._journal / "id"
        with suppress(FileNotFoundError):
            return path.read_text()
        self._journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"id.{os.getpid()}.{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(8))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_text()
