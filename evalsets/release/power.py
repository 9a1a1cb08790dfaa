"""What a gate can see with so many cases: the loss it would refuse, told before anything is run."""

from __future__ import annotations

import math
from functools import lru_cache

ALPHA = 0.05  # of one side: a gate looks for losses only
POWER = 0.8
FEWEST = math.ceil(-math.log2(ALPHA))  # losses of as many cases that differ are beyond chance: 5
MOST = 100_000


def power(cases: int, loss: float) -> float:
    """Return how often a gate refuses a candidate that loses a share `loss` of the cases wholly.

    It refuses when the losses are beyond chance (exact sign test, one side) and at least half the
    loss that matters: P(losses >= k) of a binomial.
    """
    least = max(FEWEST, math.ceil(cases * loss / 2 - 1e-9))
    return 1.0 - sum(_binomial(cases, k, loss) for k in range(min(least, cases + 1)))


@lru_cache(maxsize=256)
def cases_needed(loss: float) -> int:
    """Return the fewest cases with which a gate refuses this loss 4 times in 5, and with more of them too."""
    if loss >= 1.0:
        return FEWEST
    low, high = FEWEST, FEWEST
    while high < MOST and power(high, loss) < POWER:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, loss) >= POWER else (middle, high)
    return high


def _binomial(n: int, k: int, share: float) -> float:
    if share >= 1.0:
        return float(k == n)
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log + k * math.log(share) + (n - k) * math.log1p(-share))
