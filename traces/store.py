"""The trace store: an engine behind the journal, filled in short windows and read beside them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from traces import engines, segments
from traces.drainer import Drained, Drainer
from traces.election import Election, Note
from traces.engine import EMBEDDED
from traces.errors import StoreBusy, StoreDamaged, StoreError
from traces.ledger import Ledger
from traces.locks import enter
from traces.retention import forget_turns, prune_turns

TAIL_BYTES = 16 << 20
DAY_SECONDS = 86_400.0
AFTER_WINDOW_SECONDS = 0.5  # a window costs 60 ms of CPU; rows are still in the store within a second
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """What stands between the journal and the store; for health pages and the console."""

    damaged_lines: int  # journal lines put aside
    quarantined: tuple[str, ...]  # damaged store files put aside
    drainer: int | None  # process id of the drainer at work; None: nobody drains
    drained_at: datetime | None  # when a drainer last looked at the journal
    trouble: str | None  # why it cannot drain, when it cannot
    lag_seconds: float = 0.0  # for how long lines have waited to be moved into the store


class Store:
    """The traces of one data folder: `drain` moves the journal into the engine, `read` asks questions.

    The engine is DuckDB's file in the folder, or the PostgreSQL that `ledger` names by its address.
    Pages want an answer soon; a command that has work to lose sets `patience`, the seconds it waits
    for other processes before it gives up.
    """

    def __init__(self, data_dir: Path, ledger: str = EMBEDDED) -> None:
        self.patience = 0.0
        self.data_dir = data_dir
        self.ledger = ledger
        self.journal = data_dir / "journal"
        self.path = data_dir / "traces.duckdb"
        self.engine = engines.engine(ledger, data_dir)
        self._election = Election(self.journal / "drain.lock")
        self._drainer = Drainer(self.journal, self.engine)

    @contextmanager
    def read(self, *, exporting: bool = False, workspace: str | None = None) -> Iterator[Ledger]:
        """Open the ledger for one page refresh; raises StoreBusy, StoreDamaged or StoreVersion.

        With a workspace, whatever is asked sees what belongs to that one and nothing else.
        """
        try:
            with ExitStack() as stack:
                reading = partial(self.engine.reading, TAIL_BYTES, exporting=exporting, workspace=workspace)
                yield enter(stack, reading, self.patience)
        except StoreDamaged as error:
            self.engine.suspect(str(error))
            raise

    def drain(self) -> Drained:
        """Move all journal lines into the store, each exactly once.

        Returns at once with `elected` False when another process is draining.
        """
        if not self.journal.is_dir():
            return Drained()
        until = time.monotonic() + self.patience
        while True:
            with self._election.won() as won:
                if not won:
                    return Drained(elected=False)
                try:
                    return self._drain()
                except StoreBusy:
                    if time.monotonic() > until:
                        raise

    def alone(self) -> AbstractContextManager[bool]:
        """Be the drainer without draining: True while this process is, False when another one is."""
        self.journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._election.won()

    def drain_now(self) -> Drained:
        """Drain without asking who is the drainer: the caller is, by `alone`."""
        return self._drain()

    def rebuild(self) -> None:
        """Drain, then make anew out of the rows what pages read: sums, and the index of words."""
        self.drain()
        with self.engine.window() as window, window.transaction():
            window.rebuild()
        self.engine.index_anew()

    def keep_draining(
        self,
        stop: threading.Event,
        every_seconds: float,
        payload_days: int | None = None,
        after: Callable[[Drained], None] | None = None,
        turn_days: int | None = None,
    ) -> None:
        """Be the drainer while elected, until `stop` is set; returns when another process is.

        `after` is called with what each pass did.
        """
        self.journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        prune_at = time.monotonic()
        with self._election.won() as won:
            while won and not stop.is_set():
                drained = self._drain()
                if after:
                    after(drained)
                if time.monotonic() >= prune_at:
                    self._forget(payload_days, turn_days)
                    prune_at += DAY_SECONDS
                stop.wait(max(every_seconds, AFTER_WINDOW_SECONDS) if drained.windows else every_seconds)
            if won:
                self._drain()

    def _forget(self, payload_days: int | None, turn_days: int | None) -> None:
        now = datetime.now(UTC)
        if payload_days is not None:
            prune_turns(self, payload_days, now)
        if turn_days is not None:
            forget_turns(self, turn_days, now)

    def _drain(self) -> Drained:
        try:
            drained = self._drainer.drain()
        except (StoreError, OSError) as error:
            self._election.note(str(error))
            raise
        self._election.note(None)
        return drained

    def health(self) -> StoreHealth:
        """Look at the files only; never opens the store, never raises for a damaged one."""
        note = self._election.read()
        return StoreHealth(
            damaged_lines=segments.damaged(self.journal),
            quarantined=tuple(
                sorted(
                    path.name for path in self.data_dir.glob("traces.duckdb.bad-*") if path.suffix != ".wal"
                )
            ),
            drainer=note.pid,
            drained_at=note.at,
            trouble=note.trouble,
            lag_seconds=self._lag(note),
        )

    def _lag(self, note: Note) -> float:
        """Return for how long journal lines have waited: since the trouble began, or since nobody looked."""
        now = datetime.now(UTC)
        if note.trouble and note.since:
            return (now - note.since).total_seconds()
        seen = note.at.timestamp() if note.at else 0.0
        waiting = [began for path in segments.live(self.journal) if (began := segments.unseen(path, seen))]
        return max(now.timestamp() - min(waiting), 0.0) if waiting else 0.0


def drain_forever(
    store: Store,
    stop: threading.Event,
    every_seconds: float = 0.3,
    payload_days: int | None = None,
    after: Callable[[Drained], None] | None = None,
    turn_days: int | None = None,
) -> None:
    """Drain until `stop` is set, whenever no other process does; never raises.

    With `payload_days`, bulky texts older than that are forgotten, at the start and once a day; with
    `turn_days` whole turns.
    What goes wrong is logged once and stays in `Store.health().trouble` until it is over.
    """
    last: str | None = None
    while not stop.is_set():
        try:
            store.keep_draining(stop, every_seconds, payload_days, after, turn_days)
        except StoreBusy as error:
            log.info("draining waits: %s", error)
        except Exception as error:  # the named boundary: the chat goes on, the journal keeps all
            if str(error) != last:
                log.exception("draining failed; the journal keeps what the store lacks")
            last = str(error)
        stop.wait(every_seconds)
