"""Turns by chance: each has the same chance, whatever its hour, and only a few hours are read."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from random import Random

import pytest

from tests.factories import make_score, make_trace
from traces.journal import Journal
from traces.queries import reviews, sample
from traces.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def hours(number: int, most: int) -> list[tuple[datetime, int]]:
    random = Random(5)
    return [(NOON + timedelta(hours=n), random.randint(1, most)) for n in range(number)]


def test_cells_follow_each_other_and_hold_all_turns() -> None:
    every = hours(200, 60)
    made = sample.cells(every, 100)
    assert sum(cell.turns for cell in made) == sum(number for _, number in every)
    assert all(cell.turns >= 100 for cell in made)
    assert all(before.until <= cell.since for before, cell in pairwise(made))
    assert (made[0].since, made[-1].until) == (NOON, NOON + timedelta(hours=200))
    assert [cell.turns for cell in sample.cells(every[:1], 100)] == [every[0][1]]
    assert sample.cells([], 100) == []


def test_a_cell_is_drawn_as_often_as_it_has_turns() -> None:
    made = sample.cells(hours(60, 300), 400)
    whole, rounds = sum(cell.turns for cell in made), 3_000
    counts: Counter[sample.Cell] = Counter()
    for seed in range(rounds):
        counts.update(sample.drawn(made, sample.DRAWS, str(seed)))
    assert counts.total() == rounds * sample.DRAWS
    for cell in made:
        expected = rounds * sample.DRAWS * cell.turns / whole
        assert abs(counts[cell] - expected) < 4.5 * expected**0.5, cell


@pytest.mark.parametrize("many", [20, 10_000])
def test_a_sample_has_what_can_be_reviewed_and_is_the_same_for_a_seed(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(sample, "MANY", many)
    monkeypatch.setattr(sample, "CELL", 30)
    made = [
        make_trace(
            started_at=NOON + timedelta(minutes=7 * n),
            door="api" if n % 5 == 0 else "chat",
            outcome="refused" if n % 3 == 0 else "answered",
        )
        for n in range(160)
    ]
    for record in (*made, make_score(made[3].turn.turn_id, value=-1.0), make_score(made[6].turn.turn_id)):
        journal.write(record)
    store.drain()
    fit = {
        trace.turn.turn_id for n, trace in enumerate(made) if n % 5 and (n % 3 or n == 3)
    }  # people's, and answered or thumbed down
    ask = partial(reviews.queue, which="random", reviewer="ada", doors=("chat",))
    with store.read() as ledger:
        samples = [[row.turn_id for row in ask(ledger, seed=seed, limit=20)] for seed in (1, 1, 2, 3)]
        whole = ask(ledger, limit=500)
    assert samples[0] == samples[1] != samples[2]
    assert all(len(set(rows)) == 20 and set(rows) <= fit for rows in samples)
    assert {row.turn_id for row in whole} == fit
    assert {row.thumb for row in whole} == {None, -1.0}
