"""The embedded engine: a DuckDB file in the data folder, held by one process at a time to write.

Beside it lies the index of words, written while the same lock is held. What goes wrong with the index costs
speed, never a turn: it is taken away, filled anew in pieces, and searches look through the texts meanwhile.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from traces import duck, marks, readers, rollups, segments, views, writers
from traces.engine import Tables
from traces.errors import StoreError
from traces.indexed import Indexed, count, entries
from traces.ledger import Ledger
from traces.locks import enter, holding
from traces.rows import live_rows
from traces.words import Sought, Words

if TYPE_CHECKING:
    import duckdb

WRITER_WAITS_SECONDS = 3.0  # for the readers before it
READER_WAITS_SECONDS = 2.0
WRITER_STRANGER_SECONDS = 1.0  # for a program that is not ours
READER_STRANGER_SECONDS = 1.0
COMPACT_WAITS_SECONDS = 10.0
PIECE = 5_000  # turns indexed in one window, about a tenth of a second of CPU
log = logging.getLogger(__name__)


class Embedded:
    """The DuckDB file of one data folder."""

    schema = "stored"
    remedy = "was put aside and may hold some: delete it by hand"

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "traces.duckdb"
        self.name = self.path.name
        self._data_dir = data_dir
        self._suspicion = data_dir / "traces.duckdb.suspect"
        self._words = Words(data_dir / "traces.words")
        self._indexed = False  # every turn that is stored, as far as this process knows

    def exists(self) -> bool:
        return self.path.exists()

    def begin(self) -> None:
        """Copy a store whose schema is about to change."""
        if not self.path.exists():
            return
        with holding(self._data_dir, "alone", WRITER_WAITS_SECONDS):
            version = writers.stored_version(self.path)
            if 0 < version < len(duck.migrations()):
                shutil.copy2(self.path, self.path.with_name(f"{self.path.name}.version-{version}"))

    @contextmanager
    def window(self) -> Iterator[Indexed]:
        """Hold the store alone and open it to write."""
        with holding(self._data_dir, "alone", WRITER_WAITS_SECONDS), ExitStack() as stack:
            connection = enter(stack, lambda: writers.writing(self.path), WRITER_STRANGER_SECONDS)
            yield Indexed(connection, self._words)

    def tend(self) -> None:
        """Index the next turns that are not indexed yet, for as short as a window takes."""
        if self.path.exists() and not (self._indexed and self._words.there()):
            with self.window() as window:
                self._indexed = window.index(PIECE)

    def index_anew(self) -> None:
        with self.window() as window:
            self._words.clear()
            parts = count(window.connection, "main") // PIECE + 1
            if not any(window.index(PIECE) for _ in range(parts)):
                raise StoreError(f"{self.name} could not be indexed; the log says why")

    def settled(self) -> bool:
        return not self.path.with_name(self.path.name + ".wal").exists()

    def suspect(self, reason: str) -> None:
        with suppress(OSError):
            self._suspicion.write_text(reason)

    def suspected(self) -> bool:
        return self._suspicion.exists()

    def quarantine(self) -> str:
        """Put the damaged store aside under a name that says when; the next pass builds a new one."""
        bad = f"{self.path.name}.bad-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        with holding(self._data_dir, "alone", WRITER_WAITS_SECONDS):
            for suffix in ("", *duck.LOGS):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(self.path.with_name(bad + suffix))
            self._suspicion.unlink(missing_ok=True)
            self._words.clear()
            self._indexed = False
        return bad

    @contextmanager
    def reading(
        self, tail_bytes: int, *, exporting: bool = False, workspace: str | None = None
    ) -> Iterator[Ledger]:
        """Open the file read-only beside the live tail; only an export may touch other files."""
        with holding(self._data_dir, "shared", READER_WAITS_SECONDS), ExitStack() as stack:
            opened = partial(readers.reading, self.path, exporting=exporting, own=workspace is not None)
            connection = enter(stack, opened, READER_STRANGER_SECONDS)
            drained = marks.stored(connection, "stored")
            blocks, hidden = segments.tail(self._data_dir / "journal", drained, tail_bytes)
            tail = live_rows(line for block in blocks for _, line in block.lines())
            duck.append_live(connection, tail)
            touched = rollups.touched(connection, tail)
            if workspace is not None:
                views.restrict(connection, workspace, tail)
            answers = duck.DuckReading(connection, self.name, touched, exporting=exporting)
            yield Ledger(answers, hidden, partial(self._search, connection, tail), workspace)

    def _search(
        self,
        connection: duckdb.DuckDBPyConnection,
        tail: Tables,
        sought: Sought,
        since: datetime,
        until: datetime,
        most: int,
    ) -> list[str] | None:
        try:
            _, whole, number = self._words.state()
            if not whole or number != count(connection, "stored"):
                return None  # the drainer fills it
            drained = self._words.search(sought, since, until, most)
        except sqlite3.Error as error:
            log.warning("the index of words cannot be read: %s", error)
            return None
        live = Words(None)
        live.fill(entries(tail), last=True)
        return [*live.search(sought, since, until, most), *drained][:most]

    def survey(self) -> None:
        return  # DuckDB counts as it writes

    def compact(self) -> None:
        with holding(self._data_dir, "alone", COMPACT_WAITS_SECONDS):
            duck.compact(self.path)

    def put_aside(self) -> tuple[str, ...]:
        """Name old store files that nobody reads any more."""
        own = {self.path.name + suffix for suffix in duck.LOGS}
        return tuple(sorted({path.name for path in self._data_dir.glob("traces.duckdb.*")} - own))
