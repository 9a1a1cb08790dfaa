"""Means and shares of live traffic with their 95 % intervals, as cells of a table."""

from __future__ import annotations

from collections.abc import Callable

from console import format
from console.dashboard import markup
from evalsets.metrics import stats


def mean(value: float | None, sd: float | None, n: int, write: Callable[[float], str]) -> str:
    """Return a mean with the interval of Student's t, which needs two values."""
    if value is None or not n:
        return "—"
    if sd is None or n < 2:
        return write(value) + markup.small(f"n {n}")
    half = stats.student(0.975, n - 1) * sd / n**0.5
    return write(value) + markup.small(f"{write(max(value - half, 0.0))} – {write(value + half)}")


def share(count: int, n: int) -> str:
    """Return a share with Wilson's interval."""
    if not n:
        return "—"
    low, high = stats.wilson(count / n, n)
    return format.share(count / n) + markup.small(f"{format.share(low)} – {format.share(high)} of {n:,}")


def grounded(value: float) -> str:
    """Return a groundedness; an interval does not reach over 1."""
    return f"{min(value, 1.0):.3f}"
