"""How unlikely a count or a mean is by chance: exact tails, their spread taken from earlier days."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

_SMALLEST = 1e-18  # relative to the sum; later terms change nothing
MANY = 30.0
_normal = NormalDist()


def at_least(k: int, n: int, rate: float, weight: float) -> float:
    """Return P(X >= k) of n trials whose rate is known as well as `weight` trials would tell it.

    The beta-binomial distribution: the binomial where the rate itself varies from hour to hour with
    variance rate·(1 - rate) / (weight + 1) (Johnson, Kemp & Kotz, Univariate Discrete Distributions, 6.2.2).
    """
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    middle = n * rate
    if middle > MANY:  # near the middle of many the normal curve is as good, and sums there are long
        spread = math.sqrt(middle * (1.0 - rate) * (weight + n) / (weight + 1))
        if k <= middle + 2.5 * spread:
            return 1.0 - _normal.cdf((k - 0.5 - middle) / spread) if spread else 1.0
    a, b = max(rate, 1e-9) * weight, max(1.0 - rate, 1e-9) * weight
    upward = _sum(
        _log_beta_binomial(k, n, a, b), k, n, lambda i: (n - i) / (i + 1) * (i + a) / (n - i - 1 + b)
    )
    return min(upward, 1.0)


def at_most(k: int, n: int, rate: float) -> float:
    """Return P(X <= k) of n trials with this rate, the binomial distribution."""
    if k >= n:
        return 1.0
    if rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 0.0
    begin = _log_binomial(k, n, rate)
    odds = (1.0 - rate) / rate
    return min(_sum(begin, k, 0, lambda i: i / (n - i + 1) * odds), 1.0)


def so_few(k: int, expected: float, size: float) -> float:
    """Return P(X <= k) where `expected` turns come on average and days differ as `size` says.

    The negative binomial distribution, a Poisson process whose intensity differs from day to day with
    variance expected² / size.
    """
    if expected <= 0.0:
        return 1.0
    share = size / (size + expected)
    begin = (
        math.lgamma(k + size) - math.lgamma(size) - math.lgamma(k + 1)
        + size * math.log(share) + k * math.log1p(-share)
    )  # fmt: skip
    return min(_sum(begin, k, 0, lambda i: i / (i - 1 + size) / (1.0 - share)), 1.0)


def mean_over(mean: float, deviation: float, n: int, limit: float) -> float:
    """Return how likely so high a mean is when the true one is `limit` (Student's t).

    For costs, which are skewed to the right, the upper tail of t is too careful rather than too bold.
    The tail is Wallace's approximation (1959), within 1 % for 3 degrees of freedom and more.
    """
    if mean <= limit:
        return 1.0
    spread = max(deviation, 0.1 * mean) / math.sqrt(n)
    t, freedom = (mean - limit) / spread, max(n - 1, 1)
    z = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return _normal.cdf(-z)


def likelihood(k: int, n: int, rate: float) -> float:
    """Return the log of how much better these counts fit their own rate than a given one, 0 when lower."""
    own = k / n if n else 0.0
    if own <= rate:
        return 0.0
    rate = max(rate, 1e-9)
    good = (n - k) * math.log((1.0 - own) / (1.0 - rate)) if k < n else 0.0
    return k * math.log(own / rate) + good


def _sum(begin: float, start: int, stop: int, ratio: Callable[[int], float]) -> float:
    """Add the terms from `start` to `stop`, each `ratio(i)` times the one before it."""
    term = total = math.exp(begin)
    way = 1 if stop > start else -1
    for i in range(start, stop, way):
        term *= ratio(i)
        total += term
        if term < total * _SMALLEST:
            break
    return total


def _log_binomial(k: int, n: int, rate: float) -> float:
    return _log_choose(n, k) + k * math.log(rate) + (n - k) * math.log1p(-rate)


def _log_beta_binomial(k: int, n: int, a: float, b: float) -> float:
    return _log_choose(n, k) + _log_beta(k + a, n - k + b) - _log_beta(a, b)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
