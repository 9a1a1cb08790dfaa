"""Robust statistics for times: a few slow turns of a busy machine do not decide."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from evalsets.metrics.stats import Floats, Paired, detectable, student, subtract

EXACT = 25  # up to this many non-zero differences the distribution of ranks is enumerated
MOST = 1_500  # cases whose pairwise means are formed; of more, a seeded choice
TEST = "Wilcoxon signed-rank"
_normal = NormalDist()


def paired(a: ArrayLike, b: ArrayLike, seed: int = 0) -> Paired:
    """Compare two columns of seconds, row by row the same cases; raises ValueError when empty.

    `difference` is the Hodges-Lehmann estimate (1963), the median of the means of all pairs of
    differences; its 95 % interval and p come from Wilcoxon's signed-rank test (1945). The means are
    medians of each column.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    differences = subtract(first, second)
    n = differences.size
    chosen = differences
    if n > MOST:
        chosen = np.random.default_rng(seed).choice(differences, MOST, replace=False)
    walsh = _walsh(chosen)
    low, high = _interval(walsh, chosen.size)
    if n > MOST:  # the interval of a choice is too wide by the root of what was left out
        middle, shrink = float(np.median(walsh)), math.sqrt(MOST / n)
        low, high = middle - (middle - low) * shrink, middle + (high - middle) * shrink
    width = (high - low) / 2
    sd = width * math.sqrt(n) / student(0.975, n - 1) if n > 1 else 0.0
    return Paired(
        n=n,
        mean_a=float(np.median(first)),
        mean_b=float(np.median(second)),
        difference=float(np.median(walsh)),
        low=low,
        high=high,
        p=signed_rank(differences),
        test=TEST,
        sd=sd,
        detectable=detectable(sd, n),
    )


def signed_rank(differences: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test: exact for few, normal for many."""
    array = np.asarray(differences, dtype=float)
    moved = array[array != 0.0]
    n = moved.size
    if n == 0:
        return 1.0
    ranks = _ranks(np.abs(moved))
    above = float(ranks[moved > 0].sum())
    if n <= EXACT:
        return _exact(ranks, above)
    middle, spread = ranks.sum() / 2, math.sqrt(float((ranks**2).sum()) / 4)
    z = max(abs(above - middle) - 0.5, 0.0) / spread
    return min(2 * _normal.cdf(-z), 1.0)


def _exact(ranks: Floats, above: float) -> float:
    """Return the p-value over every sign pattern; ranks are doubled, for ties give halves."""
    steps = np.rint(ranks * 2).astype(int)
    ways = np.zeros(int(steps.sum()) + 1)
    ways[0] = 1.0
    for step in steps:
        ways[step:] += ways[:-step].copy()
    ways /= ways.sum()
    at = round(above * 2)
    return float(min(2 * min(ways[: at + 1].sum(), ways[at:].sum()), 1.0))


def _ranks(values: Floats) -> Floats:
    """Return the ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _walsh(differences: Floats) -> Floats:
    rows, columns = np.triu_indices(differences.size)
    return np.sort((differences[rows] + differences[columns]) / 2)


def _interval(walsh: Floats, n: int) -> tuple[float, float]:
    """Return the 95 % interval from the sorted pairwise means; the whole range when cases are few."""
    z = _normal.inv_cdf(0.975)
    middle, spread = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    skipped = max(math.floor(middle - 0.5 - z * spread), 0)
    skipped = min(skipped, (walsh.size - 1) // 2)
    return float(walsh[skipped]), float(walsh[walsh.size - 1 - skipped])
