"""How well scores agree with people: rank correlation or AUC, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Kind = Literal["spearman", "auc"]
ROUNDS = 2_000


@dataclass(frozen=True, slots=True)
class Agreement:
    """A scorer's agreement with people, with its 95 % interval over questions drawn anew."""

    kind: Kind
    value: float | None  # None when it cannot be told: all ratings equal, or labels of one kind only
    low: float | None
    high: float | None
    n: int


def above_chance(kind: Kind, value: float) -> float:
    """Return the value on one scale for both kinds: 0 is chance, 1 is perfect (AUC as Somers' D)."""
    return 2 * value - 1 if kind == "auc" else value


def agree(
    scores: ArrayLike, truths: ArrayLike, groups: Sequence[str], kind: Kind, seed: int = 0
) -> Agreement:
    """Return the agreement; the bootstrap draws whole groups, for answers to one question go together."""
    a, b = np.asarray(scores, dtype=float), np.asarray(truths, dtype=float)
    measure = MEASURES[kind]
    value = measure(a, b)
    if value is None:
        return Agreement(kind, None, None, None, a.size)
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(numbers == i) for i in range(int(numbers.max()) + 1)]
    random, drawn = np.random.default_rng(seed), []
    for _ in range(ROUNDS):
        rows = np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        if (estimate := measure(a[rows], b[rows])) is not None:
            drawn.append(estimate)
    if len(drawn) <= ROUNDS // 2:
        return Agreement(kind, value, None, None, a.size)
    low, high = (float(bound) for bound in np.quantile(drawn, [0.025, 0.975]))
    return Agreement(kind, value, low, high, a.size)


def ranks(values: Floats) -> Floats:
    """Return the ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def spearman(a: Floats, b: Floats) -> float | None:
    """Return Spearman's rank correlation: 0 when all scores are equal, None when all ratings are."""
    if a.size < 3 or float(np.ptp(b)) == 0.0:
        return None
    return 0.0 if float(np.ptp(a)) == 0.0 else float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def auc(a: Floats, b: Floats) -> float | None:
    """Return the chance that a positive scores above a negative one (ties half), or None without both."""
    positive = b > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return None
    return float((ranks(a)[positive].sum() - n * (n + 1) / 2) / (n * m))


MEASURES: dict[Kind, Callable[[Floats, Floats], float | None]] = {"spearman": spearman, "auc": auc}


def between_people(ratings: Sequence[Sequence[float]]) -> float | None:
    """Return how well one person agrees with the mean of the others (Spearman), over all of them."""
    people = {len(row) for row in ratings}
    if len(people) != 1 or (count := people.pop()) < 2:
        return None
    table = np.asarray(ratings, dtype=float)
    correlations = [spearman(table[:, i], np.delete(table, i, axis=1).mean(axis=1)) for i in range(count)]
    measured = [correlation for correlation in correlations if correlation is not None]
    return sum(measured) / len(measured) if measured else None
