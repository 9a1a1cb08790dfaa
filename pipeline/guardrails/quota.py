"""How often one user may ask: a sliding window per user, in this process."""

from __future__ import annotations

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter


class Quota:
    """Counts requests per user over the last minute."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, user_id: str) -> float | None:
        """Count one request; return None when it may go on, else the seconds to wait."""
        if await self._limiter.hit(self._limit, user_id):
            return None
        window = await self._limiter.get_window_stats(self._limit, user_id)
        return max(window.reset_time - time.time(), 1.0)
