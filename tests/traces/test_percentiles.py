"""Percentiles out of histograms: within one percent of the ranked value."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from tests.traces.test_rollups import NOON, traffic, write
from traces import histogram
from traces.journal import Journal
from traces.queries import board
from traces.queries.window import Window
from traces.store import Store


def test_a_percentile_is_within_one_percent_of_the_ranked_one(store: Store, journal: Journal):
    turns = list(traffic(600))
    write(journal, *turns)
    store.drain()
    with store.read() as ledger:
        facts = board.board(ledger, Window(NOON - timedelta(days=3, hours=5), NOON), 3600).now
    for name, column, share in (
        ("first_token_p50", "first_token_seconds", 0.50),
        ("first_token_p95", "first_token_seconds", 0.95),
        ("latency_p95", "seconds", 0.95),
    ):
        values = sorted(
            value
            for turn in turns
            if turn.turn.door != "eval" and (value := getattr(turn.turn, column)) is not None
        )
        ranked = values[round(share * (len(values) - 1))]
        assert getattr(facts, name) == pytest.approx(ranked, rel=0.01)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 3.0])
def test_histograms_keep_one_percent_over_many_sizes(sigma: float):
    random = Random(5)
    values = sorted(random.lognormvariate(-2, sigma) for _ in range(1_001))
    buckets: dict[int, int] = {}
    for value in values:
        bucket = histogram.bucket(value)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    ordered = sorted(buckets)
    shares = (0.0, 0.05, 0.5, 0.95, 1.0)
    found = histogram.percentiles(ordered, [buckets[one] for one in ordered], shares)
    for share in shares:
        assert found[share] == pytest.approx(values[round(share * 1_000)], rel=0.01)
    assert histogram.percentiles([], [], (0.5,)) == {0.5: None}
    assert histogram.percentiles([histogram.ZERO], [3], (0.5,)) == {0.5: 0.0}
