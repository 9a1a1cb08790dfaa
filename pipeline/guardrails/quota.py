"""How often one person may ask."""

from __future__ import annotations

import time


class Quota:
    """Counts requests per user in a sliding minute, within this process.

    The user is who authenticated, or the client's session; never an address a client can claim.
    """

    def __init__(self, requests_per_minute: int) -> None:
        from limits import RateLimitItemPerMinute
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self._limit = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, user_id: str) -> float | None:
        """Count one request; return None when it is allowed, else the seconds to wait."""
        if await self._limiter.hit(self._limit, user_id):
            return None
        window = await self._limiter.get_window_stats(self._limit, user_id)
        return max(window.reset_time - time.time(), 1.0)
