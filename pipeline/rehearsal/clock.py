"""A clock for rehearsals and tests: it stands until somebody moves it."""

from __future__ import annotations


class Clock:
    """Tells `now` in seconds, as a monotonic clock or since the epoch; sleeping moves it at once."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let the time go by."""
        self.now += seconds
