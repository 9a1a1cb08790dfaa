"""A bucket that fills with time: what may be taken a minute, and how long to wait for more."""

from __future__ import annotations

from collections.abc import Callable

BURST_SECONDS = 6.0  # how much of a minute may be used at once


class Bucket:
    """Fills by `per_minute`; may be taken from below zero, which makes the next one wait."""

    def __init__(
        self, per_minute: int | None, clock: Callable[[], float], burst_seconds: float = BURST_SECONDS
    ) -> None:
        self._rate = (per_minute or 0) / 60
        self._most = max(self._rate * burst_seconds, 1.0)
        self._left = self._most
        self._clock = clock
        self._seen = clock()

    def wait(self, amount: float) -> float:
        """Return the seconds until it holds the amount; more than it can hold waits for a full one."""
        if not self._rate:
            return 0.0
        self._fill()
        return max(0.0, (min(amount, self._most) - self._left) / self._rate)

    def take(self, amount: float) -> None:
        if self._rate:
            self._fill()
            self._left = min(self._left - amount, self._most)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._left + (now - self._seen) * self._rate, self._most)
        self._seen = now
