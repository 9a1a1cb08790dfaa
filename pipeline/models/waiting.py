"""How late this process's own event loop was: time in which a provider's answer lay waiting for us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

TICK_SECONDS = 0.1


class Lateness:
    """Adds up by how much an event loop came late to its timers, while somebody watches.

    A loop that stands still for seconds (imports, a busy machine, too many turns) reads an answer late
    that came in time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sum = 0.0
        self._due = 0.0
        self._watchers = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """All lateness so far, that of this moment included."""
        late = max(self._loop.time() - self._due, 0.0) if self._timer is not None else 0.0
        return self._sum + late

    @contextmanager
    def watched(self) -> Iterator[Lateness]:
        """Measure inside this block."""
        self._watchers += 1
        if self._timer is None:
            self._set()
        try:
            yield self
        finally:
            self._watchers -= 1
            if not self._watchers and self._timer is not None:
                self._sum = self.seconds
                self._timer.cancel()
                self._timer = None

    def _set(self) -> None:
        self._due = self._loop.time() + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._sum = self.seconds
        self._set()


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, Lateness] = WeakKeyDictionary()


def lateness() -> Lateness:
    """Return the lateness of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _known:
        _known[loop] = Lateness(loop)
    return _known[loop]
