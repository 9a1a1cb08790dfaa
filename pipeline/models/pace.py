"""Keeps to what a provider allows a minute, by waiting instead of being turned away."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.bucket import Bucket


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
