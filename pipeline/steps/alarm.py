"""Interrupts what a turn waits for: at its deadline, or when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeVar

T = TypeVar("T")
CUTTING_SECONDS = 3.0  # what interrupted turns take to end
Reason = Literal["deadline", "stopping"]


class Over(Exception):
    """The turn's time is over; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Alarm:
    """One timer for all waits of a turn. What waits when it rings is cancelled and raises Over."""

    def __init__(self, seconds: float) -> None:
        self.rang: Reason | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._timer = asyncio.get_running_loop().call_later(seconds, self.ring, "deadline")

    async def wait(self, awaited: Awaitable[T]) -> T:
        """Await something until the alarm rings."""
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._waiting = task
        if self.rang is not None:  # while nobody waited
            task.cancel()
        try:
            return await awaited
        except asyncio.CancelledError:
            if self.rang is not None and task.uncancel() <= before:  # the alarm's doing, not our caller's
                raise Over(self.rang) from None
            raise
        finally:
            self._waiting = None

    def ring(self, reason: Reason) -> None:
        """Interrupt the turn."""
        if self.rang is None:
            self.rang = reason
            if self._waiting is not None:
                self._waiting.cancel()

    def off(self) -> None:
        """The turn ended by itself."""
        self._timer.cancel()


class Alarms:
    """The alarms of all turns under way."""

    def __init__(self) -> None:
        self.stopping = False
        self._set: set[Alarm] = set()
        self._quiet = asyncio.Event()

    @contextmanager
    def set(self, seconds: float) -> Iterator[Alarm]:
        """Give a turn its alarm; while the server stops it rings at once."""
        alarm = Alarm(seconds)
        self._set.add(alarm)
        if self.stopping:
            alarm.ring("stopping")
        try:
            yield alarm
        finally:
            alarm.off()
            self._set.discard(alarm)
            if not self._set:
                self._quiet.set()

    async def stop(self, seconds: float) -> int:
        """Let the turns end within `seconds`, then interrupt them; return how many were."""
        self.stopping = True
        await self._ended(seconds)
        cut = set(self._set)
        for alarm in cut:
            alarm.ring("stopping")
        await self._ended(CUTTING_SECONDS)
        return len(cut)

    async def _ended(self, seconds: float) -> None:
        self._quiet.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._set:
                    await self._quiet.wait()
                    self._quiet.clear()
