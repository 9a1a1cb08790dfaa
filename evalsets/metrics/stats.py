"""Honest statistics over scores: intervals, paired tests, corrections, power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
ROUNDS = 10_000  # resamples; at p = 0.05 the Monte-Carlo error is 0.002
EXACT = 14  # up to this many non-zero differences every sign pattern is enumerated
LARGE = 2_000  # above this many cases the normal limit is used instead of resampling
BLOCK = 4_000_000  # numbers drawn at a time, to bound memory
NOISE, LEAST = 1e-9, 1e-12  # relative and absolute: what arithmetic alone makes of equal numbers
_normal = NormalDist()


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval; all None when there are no values."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Paired:
    """B against A on the same cases; `difference` is mean(B) - mean(A)."""

    n: int
    mean_a: float
    mean_b: float
    difference: float
    low: float  # 95 % confidence interval of the difference
    high: float
    p: float
    test: str  # "McNemar exact" | "sign-flip exact" | "sign-flip" | "normal"
    sd: float  # of the paired differences
    detectable: float | None  # smallest difference found 4 times in 5; None when all pairs are equal


def summary(values: ArrayLike, seed: int = 0, *, share: bool = True) -> Interval:
    """Return the mean with its interval: Wilson for shares that are all 0 or 1, else bootstrap.

    The bootstrap of a column of ones is (1, 1), which claims too much; Wilson (1927) does not.
    `share=False` is for times and costs.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        return Interval(None, None, None, 0)
    array = _whole(array) if share else array
    mean = float(array.mean())
    low, high = wilson(mean, array.size) if share and _binary(array) else bootstrap(array, seed)
    return Interval(mean, low, high, array.size)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share of n cases (Wilson 1927)."""
    z = _normal.inv_cdf(0.975)
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return max(min(low, share), 0.0), min(max(high, share), 1.0)  # rounding may put 1.0 outside


def bootstrap(values: ArrayLike, seed: int = 0, rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the 95 % interval of the mean by the expanded percentile bootstrap.

    "Expanded" widens the percentiles for small n as Student's t does (Hesterberg 2015,
    "What teachers should know about the bootstrap", section 5). One value gives itself.
    """
    array = np.asarray(values, dtype=float)
    n = array.size
    if n < 2 or float(np.ptp(array)) == 0.0:
        return float(array.mean()), float(array.mean())
    if n > LARGE:
        half = _normal.inv_cdf(0.975) * float(array.std(ddof=1)) / math.sqrt(n)
        return float(array.mean()) - half, float(array.mean()) + half
    tail = _normal.cdf(-math.sqrt(n / (n - 1)) * student(0.975, n - 1))
    low, high = np.quantile(_resampled_means(array, seed, rounds), [tail, 1 - tail])
    return float(low), float(high)


def paired(a: ArrayLike, b: ArrayLike, seed: int = 0) -> Paired:
    """Compare two columns of scores, row by row the same cases; raises ValueError when empty."""
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    differences = subtract(first, second)
    low, high = bootstrap(differences, seed)
    p, test = significance(differences, seed)
    sd = float(differences.std(ddof=1)) if differences.size > 1 else 0.0
    sd = 0.0 if sd <= NOISE * float(np.abs(differences).max()) else sd
    return Paired(
        n=differences.size,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=mean if abs(mean := float(differences.mean())) > LEAST else 0.0,
        low=low,
        high=high,
        p=p,
        test="McNemar exact" if _binary(first) and _binary(second) else test,
        sd=sd,
        detectable=detectable(sd, differences.size),
    )


def subtract(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return b - a; what is smaller than the noise of the arithmetic is 0. Raises ValueError when empty."""
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise ValueError(f"need two columns of equal, non-zero length, got {first.shape} and {second.shape}")
    differences = second - first
    noise = LEAST + NOISE * np.maximum(np.abs(first), np.abs(second))
    return np.where(np.abs(differences) <= noise, 0.0, differences)


def significance(differences: ArrayLike, seed: int = 0) -> tuple[float, str]:
    """Return the two-sided p-value that the differences are centred on 0, and the test used.

    Differences of -1, 0 and 1 go through McNemar's exact test (the binomial over the pairs that
    differ), others through the sign-flip permutation test: exact for few, Monte Carlo for many.
    """
    array = np.asarray(differences, dtype=float)
    moved = array[array != 0.0]
    if moved.size == 0:
        return 1.0, "sign-flip exact"
    if np.all(np.abs(moved) == 1.0):
        return mcnemar(int((moved < 0).sum()), int((moved > 0).sum())), "McNemar exact"
    if moved.size > LARGE:
        z = abs(float(moved.sum())) / math.sqrt(float((moved**2).sum()))
        return 2 * _normal.cdf(-z), "normal"
    if moved.size <= EXACT:
        return float(sign_flip(moved[None, :], _every_sign(moved.size), exact=True)[0]), "sign-flip exact"
    return float(sign_flip(moved[None, :], _random_signs(moved.size, seed))[0]), "sign-flip"


def sign_flip(differences: Floats, signs: Floats, *, exact: bool = False) -> Floats:
    """Return the p-value of each row of differences (m, n) against the sign patterns (n, rounds).

    With random signs the observed pattern counts as one more (Phipson and Smyth 2010), so p is never 0.
    """
    observed = np.abs(differences.sum(axis=1))[:, None]
    extreme = (np.abs(differences @ signs) >= observed * (1 - 1e-12)).sum(axis=1)
    if exact:
        return extreme / signs.shape[1]
    return (extreme + 1) / (signs.shape[1] + 1)


def one_sided(losses: ArrayLike, seed: int = 0) -> float:
    """Return the p-value that losses (positive is worse) are centred on 0, against a true loss.

    Sign-flip as in `significance`, of one side: five losses of five, however large, give 1/32.
    """
    array = np.asarray(losses, dtype=float)
    moved = array[array != 0.0]
    if moved.size == 0:
        return 1.0
    exact = moved.size <= EXACT
    signs = _every_sign(moved.size) if exact else _random_signs(moved.size, seed)
    total = float(moved.sum())
    extreme = int((moved @ signs >= total - abs(total) * 1e-12).sum())
    return extreme / signs.shape[1] if exact else (extreme + 1) / (signs.shape[1] + 1)


def mcnemar(losses: int, wins: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947) from the pairs that differ."""
    n, fewer = losses + wins, min(losses, wins)
    if n == 0:
        return 1.0
    log_half = n * math.log(0.5)
    tail = sum(
        math.exp(math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + log_half)
        for i in range(fewer + 1)
    )
    return min(2 * tail, 1.0)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p-values corrected for how many were looked at (Holm 1979), in the same order."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, highest = [0.0] * len(ps), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(ps[i] * (len(ps) - place), 1.0))
        corrected[i] = highest
    return corrected


def detectable(sd: float, n: int, *, power: float = 0.8) -> float | None:
    """Return the smallest true difference a test at 5 % finds with this power; None when sd is 0."""
    if sd <= 0.0 or n < 2:
        return None
    return (student(0.975, n - 1) + _normal.inv_cdf(power)) * sd / math.sqrt(n)


def cases_needed(sd: float, difference: float, *, power: float = 0.8) -> int | None:
    """Return how many paired cases show this difference with this power; None when it cannot be told."""
    if sd <= 0.0 or difference == 0.0:
        return None
    z = _normal.inv_cdf(0.975) + _normal.inv_cdf(power)
    return math.ceil((z * sd / difference) ** 2) + 2  # 2 more for Student's t in place of z


def student(quantile: float, df: int) -> float:
    """Return Student's t quantile: exact for 1 and 2 degrees, else Hill's expansion (1970, A&S 26.7.5)."""
    if df == 1:
        return math.tan(math.pi * (quantile - 0.5))
    if df == 2:
        side = 2 * quantile - 1
        return side * math.sqrt(2 / (1 - side * side))
    z = _normal.inv_cdf(quantile)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / df + g2 / df**2 + g3 / df**3 + g4 / df**4


def _whole(array: Floats) -> Floats:
    """Return the numbers with those that only the arithmetic keeps from 0 or 1 set there."""
    nearest = np.clip(np.rint(array), 0.0, 1.0)
    return np.where(np.abs(array - nearest) <= NOISE, nearest, array)


def _binary(array: Floats) -> bool:
    return bool(np.all((array == 0.0) | (array == 1.0)))


def _resampled_means(array: Floats, seed: int, rounds: int) -> Floats:
    random, n = np.random.default_rng(seed), array.size
    block = max(BLOCK // n, 1)
    means = [
        array[random.integers(0, n, size=(min(block, rounds - start), n))].mean(axis=1)
        for start in range(0, rounds, block)
    ]
    return np.concatenate(means)


def _random_signs(n: int, seed: int, rounds: int = ROUNDS) -> Floats:
    return np.random.default_rng(seed).integers(0, 2, size=(n, rounds), dtype=np.int8) * 2.0 - 1.0


def _every_sign(n: int) -> Floats:
    patterns = np.arange(2**n)
    return ((patterns[None, :] >> np.arange(n)[:, None]) & 1) * 2.0 - 1.0
