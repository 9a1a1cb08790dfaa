"""Histograms that add up: buckets that grow by one percent, and percentiles taken from their counts."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

RATIO = 1.01  # of a bucket's upper to its lower bound: its middle is within 0.5 % of all in it
ZERO = -100_000  # the bucket of zero, below every other
Histogram = tuple[list[int], list[int]]  # its buckets in order, and how many values each holds


def bucket(value: float) -> int:
    """Return the bucket of a value, as the SQL of the rollups does."""
    return math.floor(math.log(value) / math.log(RATIO)) if value > 0 else ZERO


def middle(bucket: int) -> float:
    """Return the value that stands for all values of a bucket."""
    return 0.0 if bucket == ZERO else math.exp((bucket + 0.5) * math.log(RATIO))


def counted(
    steps: numpy.ndarray,
    places: numpy.ndarray,
    lists: Sequence[Sequence[int]],
    numbers: Sequence[Sequence[int]],
) -> dict[tuple[int, int], Histogram]:
    """Add histograms up: return that of each step and place; each has a list of buckets and one of counts."""
    import numpy

    if not len(steps):
        return {}
    lengths = [len(row) for row in lists]
    steps, places = numpy.repeat(steps, lengths), numpy.repeat(places, lengths)
    buckets, counts = numpy.concatenate(lists), numpy.concatenate(numbers)
    zero = buckets == ZERO
    low = int(numpy.where(zero, buckets.max(), buckets).min()) - 1  # stands for zero here
    bins = numpy.where(zero, 0, buckets - low)
    first, width, number = int(steps.min()), int(bins.max()) + 1, int(places.max()) + 1
    rows = (steps.astype(int) - first) * number + places
    sums = numpy.bincount(rows * width + bins, weights=counts).astype(int)
    sums = numpy.pad(sums, (0, -len(sums) % width)).reshape(-1, width)
    result: dict[tuple[int, int], Histogram] = {}
    for row in numpy.flatnonzero(sums.any(axis=1)).tolist():
        filled = numpy.flatnonzero(sums[row])
        named = numpy.where(filled == 0, ZERO, filled + low)
        result[first + row // number, row % number] = named.tolist(), sums[row][filled].tolist()
    return result


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
