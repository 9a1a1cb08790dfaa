"""Between a turn and the journal: holds records in memory while the journal cannot be written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from pipeline.breaker import Breaker
from traces.errors import JournalError
from traces.journal import Journal
from traces.records import Record, Turn

log = logging.getLogger(__name__)
MOST_HELD = 2_000  # records; a full disk must not fill the memory too
AGAIN_SECONDS = 2.0


class Backlog:
    """A sink that never raises: what the journal refuses is written later, in order."""

    def __init__(self, journal: Journal, breaker: Breaker) -> None:
        self.lost = 0  # records given up: the journal was away for too long
        self._journal = journal
        self._breaker = breaker
        self._held: deque[Record] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """Records that wait for the journal."""
        return len(self._held)

    def begin(self, turn: Turn) -> None:
        """Leave a mark that the turn was accepted: should this process be killed, it becomes a cut turn."""
        if self._held:
            return
        try:
            self._journal.begin(turn)
        except JournalError as error:  # the turn's own record will be held
            log.error("turn %s has no mark of its beginning: %s", turn.turn_id, error)

    def write(self, record: Record) -> None:
        """Write a record, after those that wait; hold it when the journal cannot be written now."""
        self._held.append(record)
        if not self.catch_up():
            while len(self._held) > MOST_HELD:
                self._held.popleft()
                self.lost += 1
            self._try_later()

    def catch_up(self) -> bool:
        """Write what waits; says whether nothing waits any more."""
        while self._held:
            permit = self._breaker.admit()
            if permit is None:
                return False
            began = time.monotonic()
            try:
                self._journal.write(self._held[0])
                permit.started(time.monotonic() - began)
            except JournalError as error:
                permit.failed("cannot be written")
                log.error("%d records wait for the journal: %s", len(self._held), error)
                return False
            finally:
                permit.left()
            self._held.popleft()
        return True

    def close(self) -> None:
        """Write what waits, past the breaker: there is no later."""
        try:
            while self._held:
                self._journal.write(self._held[0])
                self._held.popleft()
        except JournalError as error:
            self.lost += len(self._held)
            log.error("%d records are lost: %s", len(self._held), error)
        if self._timer is not None:
            self._timer.cancel()

    def _try_later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside the server the next record tries again
            return
        if self._timer is None or self._timer.when() <= loop.time():
            self._timer = loop.call_later(AGAIN_SECONDS, self._later)

    def _later(self) -> None:
        self._timer = None
        if not self.catch_up():
            self._try_later()
