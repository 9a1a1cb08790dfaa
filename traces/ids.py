"""Ids that sort by time: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def uuid7(now_ns: int | None = None) -> str:
    """Return a new UUIDv7: Unix milliseconds, 12 bits of the millisecond (method 3), 62 random bits.

    Ids made in one process sort in the order they were made, also within a millisecond.
    """
    ticks = _tick(time.time_ns() if now_ns is None else now_ns)
    value = ticks >> 12 << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    value |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=value))


def _tick(now_ns: int) -> int:
    """Return the time in 1/4096 ms; one more than the last when the clock stood or went back a little."""
    global _last
    milliseconds, rest = divmod(now_ns, 1_000_000)
    ticks = milliseconds << 12 | rest * 4096 // 1_000_000
    with _lock:
        if _last - 4096_000 < ticks <= _last:
            ticks = _last + 1
        _last = ticks
    return ticks
