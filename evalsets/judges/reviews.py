"""How far two reviewers agree, and how far groundedness agrees with reviewers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from statistics import fmean

import numpy as np

from evalsets.judges.agreement import Agreement, agree
from traces.ids import uuid7
from traces.queries.reviews import TurnReview
from traces.records import Score

GRADES = (1, 2, 3, 4, 5)
ASPECTS = ("faithfulness", "helpfulness")
ROUNDS = 2_000
GOOD = 4  # from this grade on an answer counts as faithful


@dataclass(frozen=True, slots=True)
class Kappa:
    """Two reviewers on the same turns. `table` counts (grade of one, grade of the other)."""

    reviewers: tuple[str, str]
    n: int
    value: float | None  # None when it cannot be told: fewer than 2 turns, or one grade only
    low: float | None
    high: float | None
    table: dict[tuple[int, int], int]


def value(grade: int) -> float:
    """Return a grade from 1 to 5 as a score from 0 to 1, the scale of every other score."""
    return (grade - 1) / 4


def grade(value: float) -> int:
    """Return the grade a score stands for."""
    return round(1 + 4 * min(max(value, 0.0), 1.0))


def score(turn_id: str, aspect: str, number: int, reviewer: str, comment: str | None) -> Score:
    """Return what a reviewer's grade of a turn is recorded as."""
    return Score(
        score_id=uuid7(),
        turn_id=turn_id,
        name=aspect,
        value=value(number),
        source="reviewer",
        created_at=datetime.now(UTC),
        scorer="people@1",
        reason=comment,
        tags="scale:1-5",
        user_id=reviewer,
    )


def pairs(rows: Iterable[TurnReview], aspect: str, seed: int = 0) -> list[Kappa]:
    """Return the agreement of every two reviewers who graded the same turns, most turns first."""
    graded: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.name == aspect and row.user_id:
            graded[row.user_id][row.turn_id] = grade(row.value)
    kappas: list[Kappa] = []
    for combination, other in combinations(sorted(graded), 2):
        both = sorted(graded[combination].keys() & graded[other].keys())
        if both:
            seen = [(graded[combination][key], graded[other][key]) for key in both]
            kappas.append(_compare((combination, other), seen, seed))
    return sorted(kappas, key=lambda kappa: -kappa.n)


def kappa(seen: Sequence[tuple[int, int]]) -> float | None:
    """Return Cohen's kappa with quadratic weights (Cohen 1968): near misses count as near."""
    a, b = np.array(seen, dtype=float).T
    worst = (max(GRADES) - min(GRADES)) ** 2
    observed = ((a - b) ** 2).mean() / worst
    expected = ((a[:, None] - b[None, :]) ** 2).mean() / worst
    return None if expected == 0.0 else float(1 - observed / expected)


def grounded(rows: Iterable[TurnReview], seed: int = 0) -> dict[str, Agreement]:
    """Return how groundedness agrees with reviewers' faithfulness: its ranks, and its AUC for good answers.

    The bootstrap draws conversations: answers of one conversation go together.
    """
    graded: dict[str, list[TurnReview]] = defaultdict(list)
    for row in rows:
        if row.name == "faithfulness" and row.groundedness is not None:
            graded[row.turn_id].append(row)
    if len(graded) < 2:
        return {}
    people = [fmean(row.value for row in rows) for rows in graded.values()]
    scores = [rows[0].groundedness or 0.0 for rows in graded.values()]
    groups = [rows[0].conversation_id for rows in graded.values()]
    good = [float(mean >= value(GOOD)) for mean in people]
    return {
        "spearman": agree(scores, people, groups, "spearman", seed),
        "auc": agree(scores, good, groups, "auc", seed),
    }


def _compare(reviewers: tuple[str, str], seen: list[tuple[int, int]], seed: int) -> Kappa:
    coefficient = kappa(seen) if len(seen) > 1 else None
    low = high = None
    if coefficient is not None:
        random, drawn = np.random.default_rng(seed), []
        for _ in range(ROUNDS):
            again = kappa([seen[i] for i in random.integers(0, len(seen), len(seen))])
            if again is not None:
                drawn.append(again)
        if len(drawn) > ROUNDS // 2:
            low, high = (float(edge) for edge in np.quantile(drawn, [0.025, 0.975]))
    return Kappa(reviewers, len(seen), coefficient, low, high, dict(Counter(seen)))
