"""Histograms that add up: buckets that grow by one percent, and percentiles taken from their counts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

RATIO = 1.01  # of a bucket's upper to its lower bound: its middle is within 0.5 % of all in it
ZERO = -100_000  # the bucket of zero, below every other


def bucket(value: float) -> int:
    """Return the bucket of a value, as the SQL of the rollups does."""
    return math.floor(math.log(value) / math.log(RATIO)) if value > 0 else ZERO


def middle(bucket: int) -> float:
    """Return the value that stands for all values of a bucket."""
    return 0.0 if bucket == ZERO else math.exp((bucket + 0.5) * math.log(RATIO))


def percentiles(
    buckets: Sequence[int], counts: Iterable[int], shares: Iterable[float]
) -> dict[float, float | None]:
    """Return the percentiles of a histogram, its buckets in order; None when it is empty.

    They lie where `percentile_cont` looks: share * (n - 1) places after the first, between neighbours
    linearly.
    """
    upto = list(accumulate(counts))
    if not upto:
        return dict.fromkeys(shares)

    def ranked(rank: int) -> float:
        return middle(buckets[bisect_left(upto, rank)])

    result: dict[float, float | None] = {}
    for share in shares:
        place = share * (upto[-1] - 1)
        low, high = ranked(math.floor(place) + 1), ranked(math.ceil(place) + 1)
        result[share] = low + (high - low) * (place - math.floor(place))
    return result
