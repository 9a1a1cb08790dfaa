"""Keeps to what a provider allows a minute, by waiting instead of being turned away."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_SECONDS = 6.0  # how much of a minute may be used at once


class Pace:
    """A bucket each for requests and tokens of one provider; None is no limit."""

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = Bucket(requests_per_minute, clock)
        self._tokens = Bucket(tokens_per_minute, clock)

    def wait(self, tokens: int) -> float:
        """Return the seconds until one more request of `tokens` fits."""
        return max(self._requests.wait(1.0), self._tokens.wait(float(tokens)))

    def take(self, tokens: int) -> None:
        """Count a request, now or when its wait is over."""
        self._requests.take(1.0)
        self._tokens.take(float(tokens))

    def correct(self, tokens: int) -> None:
        """Give back tokens that were counted and not used; take more when negative."""
        self._tokens.take(-float(tokens))


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
