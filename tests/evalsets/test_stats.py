"""The statistics say what is true as often as they claim."""

from __future__ import annotations

import numpy as np
import pytest

from evalsets.metrics import stats


def test_an_empty_column_has_no_mean() -> None:
    assert stats.summary([]) == stats.Interval(None, None, None, 0)


def test_all_ones_do_not_claim_certainty() -> None:
    interval = stats.summary([1.0] * 75)
    assert interval.mean == 1.0
    assert interval.low == pytest.approx(0.951, abs=0.002)
    assert interval.high == 1.0


@pytest.mark.parametrize("n", range(1, 200))
def test_an_interval_holds_its_share(n: int) -> None:
    for count in (0, n // 2, n):
        low, high = stats.wilson(count / n, n)
        assert 0 <= low <= count / n <= high <= 1


def test_what_only_arithmetic_keeps_from_one_counts_as_one() -> None:
    assert stats.summary([1.0] * 19 + [0.9999999999999999]) == stats.summary([1.0] * 20)


def test_costs_of_nothing_are_no_shares() -> None:
    assert stats.summary([0.0] * 9, share=False) == stats.Interval(0.0, 0.0, 0.0, 9)


def test_bootstrap_is_seeded_and_near_students_interval() -> None:
    values = np.random.default_rng(1).normal(0.6, 0.2, 40)
    half = stats.student(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    low, high = stats.bootstrap(values, seed=3)
    assert (low, high) == stats.bootstrap(values, seed=3)
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


@pytest.mark.parametrize(("df", "expected"), [(1, 12.706), (2, 4.303), (5, 2.571), (10, 2.228), (30, 2.042)])
def test_students_quantile(df: int, expected: float) -> None:
    assert stats.student(0.975, df) == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize(
    ("losses", "wins", "p"), [(0, 0, 1.0), (0, 5, 0.0625), (2, 10, 0.0386), (5, 5, 1.0), (0, 6, 0.03125)]
)
def test_mcnemar(losses: int, wins: int, p: float) -> None:
    assert stats.mcnemar(losses, wins) == pytest.approx(p, abs=1e-4)


def test_mcnemar_holds_for_many_cases() -> None:
    assert 0.9 < stats.mcnemar(50_000, 50_010) <= 1.0


def test_exact_sign_flip_by_hand() -> None:
    p, test = stats.significance([0.1, 0.2, 0.3])
    assert (p, test) == (pytest.approx(2 / 8), "sign-flip exact")


def test_yes_no_pairs_go_through_mcnemar() -> None:
    a, b = [0, 0, 0, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0]
    found = stats.paired(a, b)
    assert found.test == "McNemar exact"
    assert found.p == pytest.approx(0.125)
    assert found.difference == pytest.approx(0.5)


def test_identical_columns_have_no_difference_and_no_power() -> None:
    found = stats.paired([0.5, 0.7], [0.5, 0.7])
    assert (found.difference, found.low, found.high, found.p, found.detectable) == (0, 0, 0, 1, None)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equal, non-zero length"):
        stats.paired([1.0], [1.0, 0.0])


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([]) == []


def test_monte_carlo_and_normal_limit_agree() -> None:
    differences = np.random.default_rng(5).normal(0.02, 1.0, stats.LARGE + 1)
    limit, _ = stats.significance(differences)
    sampled = stats.sign_flip(differences[None, :], stats._random_signs(differences.size, 0, 2_000))[0]
    assert limit == pytest.approx(sampled, abs=0.04)


def _simulate(shift: float, seed: int, n: int = 60, pairs: int = 1_000) -> float:
    """Return how often the test at 5 % sees a difference in simulated pairs of skewed scores."""
    random = np.random.default_rng(seed)
    a = random.beta(4, 2, (pairs, n))
    b = np.clip(a + random.normal(0.0, 0.15, (pairs, n)), 0, 1)
    swap = random.integers(0, 2, (pairs, n)).astype(bool)
    a, b = np.where(swap, b, a), np.where(swap, a, b) + shift
    p = stats.sign_flip(b - a, stats._random_signs(n, seed, 2_000))
    return float((p < 0.05).mean())


def test_false_alarms_are_as_announced() -> None:
    assert 0.04 <= _simulate(0.0, seed=11) <= 0.06


def test_power_is_as_computed() -> None:
    sd = np.clip(np.random.default_rng(2).normal(0, 0.15, 100_000), -1, 1).std()
    shares = []
    for seed in (21, 22, 23):
        random = np.random.default_rng(seed)
        differences = random.normal(stats.detectable(sd, 60) or 0.0, sd, (1_000, 60))
        p = stats.sign_flip(differences, stats._random_signs(60, seed, 2_000))
        shares.append((p < 0.05).mean())
    assert np.mean(shares) == pytest.approx(0.80, abs=0.03)


@pytest.mark.slow
def test_the_interval_of_a_difference_covers_it() -> None:
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(400):
        low, high = stats.bootstrap(random.beta(5, 2, 30) - random.beta(5, 2, 30), rounds=1_000)
        covered += low <= 0 <= high
    assert covered / 400 == pytest.approx(0.95, abs=0.025)


def test_cases_needed_matches_what_is_detectable() -> None:
    sd = 0.2
    n = stats.cases_needed(sd, 0.03)
    assert n is not None
    assert stats.detectable(sd, n) == pytest.approx(0.03, rel=0.01)
    assert stats.cases_needed(0.0, 0.03) is None
