"""The door: how many turns run at once, how many wait, and who is sent away with a time to come back."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque

from pipeline import notices
from pipeline.events import Failed

FIRST_GUESS_SECONDS = 2.0  # how long a turn takes, before one was seen
WEIGHT = 0.05  # of the newest turn in the moving mean


class Admission:
    """Lets `running` turns run and `queued` more wait, first come first served, `seconds` at most.

    One user may have `per_user` turns running or waiting. Not for evals: they hold themselves back.
    """

    def __init__(self, running: int, queued: int, seconds: float, per_user: int) -> None:
        self.most = running
        self.running = 0
        self.turn_seconds = FIRST_GUESS_SECONDS
        self._queued = queued
        self.seconds = seconds
        self._per_user = per_user
        self._users: Counter[str] = Counter()
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def come_back(self) -> float:
        """Return in how many seconds there should be room, from how long turns take."""
        return float(max(1, math.ceil(self.turn_seconds * (len(self._queue) + 1) / self.most)))

    def too_many(self) -> Failed:
        """Return what a user is told who has too many turns at once."""
        return Failed("too_many_turns", notices.ONE_BY_ONE, None, retry_after=max(1.0, self.turn_seconds))

    async def enter(self, user_id: str) -> Failed | None:
        """Wait for a place; return None when there is one (call `leave` at the end), else why not."""
        if self._users[user_id] >= self._per_user:
            return self.too_many()
        if self.running < self.most and not self._queue:
            self._take(user_id)
            return None
        if len(self._queue) >= self._queued:
            return Failed("busy", notices.BUSY, None, retry_after=self.come_back)
        return await self._wait(user_id)

    def leave(self, user_id: str, seconds: float) -> None:
        """Give the place on to who waits longest; `seconds` is how long the turn took."""
        self.turn_seconds += WEIGHT * (seconds - self.turn_seconds)
        self._drop(user_id)
        self.running -= 1
        self._call()

    async def _wait(self, user_id: str) -> Failed | None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        self._users[user_id] += 1
        try:
            async with asyncio.timeout(self.seconds):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._drop(user_id)
            if place.done() and not place.cancelled():  # called and gone in the same moment
                self.running -= 1
                self._call()
            elif place in self._queue:
                self._queue.remove(place)
            if isinstance(error, asyncio.CancelledError):
                raise
            return Failed("busy", notices.BUSY, None, retry_after=self.come_back)
        return None

    def _take(self, user_id: str) -> None:
        self.running += 1
        self._users[user_id] += 1

    def _call(self) -> None:
        while self._queue and self.running < self.most:
            place = self._queue.popleft()
            if not place.done():
                self.running += 1
                place.set_result(None)

    def _drop(self, user_id: str) -> None:
        self._users[user_id] -= 1
        if self._users[user_id] <= 0:
            del self._users[user_id]
