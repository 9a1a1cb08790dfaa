"""How often one person may ask, and how much."""

from __future__ import annotations

import time

from pipeline.bucket import Bucket

MOST_USERS = 10_000  # whose tokens are remembered; beyond that the oldest are forgotten


class Quota:
    """Counts requests and tokens per user and minute, within this process.

    Tokens are known when a turn is over: who used more than allowed waits until they are made up for.

    The user is who authenticated, or the client's session; never an address a client can claim.
    """

    def __init__(self, requests_per_minute: int, tokens_per_minute: int | None = None) -> None:
        from limits import RateLimitItemPerMinute
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self._limit = RateLimitItemPerMinute(requests_per_minute)
        self._tokens_per_minute = tokens_per_minute
        self._tokens: dict[str, Bucket] = {}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, user_id: str) -> float | None:
        """Count one request; return None when it is allowed, else the seconds to wait."""
        tokens = self._tokens.get(user_id)
        if tokens is not None and (wait := tokens.wait(1.0)) > 0:
            return max(wait, 1.0)
        if await self._limiter.hit(self._limit, user_id):
            return None
        window = await self._limiter.get_window_stats(self._limit, user_id)
        return max(window.reset_time - time.time(), 1.0)

    def spend(self, user_id: str, *tokens: int | None) -> None:
        """Count the tokens of a finished turn."""
        if self._tokens_per_minute is None:
            return
        if user_id not in self._tokens:
            if len(self._tokens) >= MOST_USERS:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[user_id] = Bucket(self._tokens_per_minute, time.monotonic, burst_seconds=60.0)
        self._tokens[user_id].take(float(sum(count or 0 for count in tokens)))
