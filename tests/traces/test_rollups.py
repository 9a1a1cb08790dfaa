"""The rollups: always what the rows say, whatever happens to the rows, and percentiles within one percent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.factories import make_trace
from traces import duck, histogram, retention, rollups
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import asked, board, conversations, costs, listing, overview, rolled
from traces.queries.window import Window
from traces.records import PRODUCTION, Score, Trace, Usage
from traces.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = Window(NOON - timedelta(days=3), NOON + timedelta(days=4))
COLUMNS = {"seconds": "seconds", "first_token": "first_token_seconds"}
DOORS = ("chat", "api", "eval")
OUTCOMES = ("answered", "answered", "no_context", "failed")


def traffic(turns: int, seed: int = 3, days: float = 3) -> Iterator[Trace]:
    """Yield turns of some days before noon, in conversations of three, some without a price."""
    random = Random(seed)
    for number in range(turns):
        at = NOON - timedelta(days=days * (1 - number / turns))
        cost = None if random.random() < 0.1 else random.lognormvariate(-6, 1)
        trace = make_trace(
            turn_id=uuid7(int(at.timestamp() * 1e9)),
            started_at=at,
            conversation_id=f"talk-{number // 3}",
            user_id=f"user-{number // 3 % 5}",
            door=DOORS[number // 3 % 3],
            outcome=random.choice(OUTCOMES),
            seconds=random.lognormvariate(0, 0.5),
            first_token_seconds=random.lognormvariate(-1, 0.3) if random.random() < 0.9 else None,
            hit=random.choice((True, False, None)),
            cost_usd=cost,
            attempts=1,
            route=random.choice(("cheap", "strong", None)),
        )
        usage = Usage(trace.turn.turn_id, 1, "answer", "openai:stub", 100, 10, cost_usd=cost)
        yield replace(trace, usages=(usage,))


def thumb(trace: Trace, value: float, minutes: int = 1) -> Score:
    at = trace.turn.started_at + timedelta(minutes=minutes)
    return Score(uuid7(), trace.turn.turn_id, "feedback", value, "user", at, user_id=trace.turn.user_id)


def write(journal: Journal, *records: Any) -> None:
    for record in records:
        journal.write(record)


def stored(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every rollup."""
    with duck.writing(store.path) as connection:
        return {
            table: sorted(
                connection.execute(f"select * from {table}").fetchall(),  # noqa: S608
                key=repr,
            )
            for table in rollups.TABLES
        }


def as_rebuilt(store: Store) -> bool:
    """Say whether the rollups are what a rebuild makes of the rows."""
    before = stored(store)
    store.rebuild()
    return before == stored(store)


def test_rollups_are_what_a_rebuild_makes_whatever_came_late(store: Store, journal: Journal):
    turns = list(traffic(300))
    late = turns[40:60]
    write(journal, *(turn for turn in turns[:150] if turn not in late))
    store.drain()
    write(journal, *turns[150:], thumb(turns[5], -1.0))
    store.drain()
    assert as_rebuilt(store)
    write(journal, *late, thumb(turns[5], 1.0, minutes=9), thumb(turns[6], -1.0))
    store.drain()
    assert as_rebuilt(store)
    with store.read() as ledger:
        assert overview.thumbs(ledger, replace(WEEK, doors=(*PRODUCTION, "eval")))["rated"] == 2
        assert overview.facts(ledger, WEEK)["turns"] == sum(turn.turn.door != "eval" for turn in turns)


def test_erased_turns_leave_the_rollups(store: Store, journal: Journal):
    write(journal, *traffic(90))
    store.drain()
    retention.erase(store, "user-1")
    assert as_rebuilt(store)
    with store.read() as ledger:
        assert not ledger.rows("select 1 as one from conversations where user_id = 'user-1'")
        turns = ledger.rows("select sum(turns) as n from hourly")[0]["n"]
        assert turns == ledger.rows("select count(*) as n from turns")[0]["n"] == 72


def test_what_is_in_the_journal_only_counts_too(store: Store, journal: Journal):
    turns = list(traffic(120))
    write(journal, *turns[:90])
    store.drain()
    write(journal, *turns[90:], thumb(turns[3], -1.0))
    with store.read() as ledger:
        live = _answers(ledger)
    store.drain()
    with store.read() as ledger:
        assert _answers(ledger) == live
    assert as_rebuilt(store)


def test_a_store_from_before_the_rollups_gets_them(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    write(journal, *traffic(60))
    older = duck.migrations()[:1]
    with monkeypatch.context() as patch:
        patch.setattr(duck, "migrations", lambda: older)
        patch.setattr(rollups, "roll", lambda connection, changed: None)
        store.drain()
    Store(store.data_dir).drain()
    assert as_rebuilt(Store(store.data_dir))
    assert len(stored(store)["conversations"]) == 20


def test_long_windows_say_what_short_ones_would(store: Store, journal: Journal):
    turns = list(traffic(400, days=0.4))
    write(journal, *turns, *(thumb(turn, 1.0) for turn in turns[:20]), thumb(turns[30], -1.0))
    store.drain()
    short = Window(NOON - timedelta(hours=10), NOON + timedelta(hours=1))
    long = Window(NOON - timedelta(hours=30), NOON + timedelta(hours=1))
    assert long.long and not short.long
    with store.read() as ledger:
        exact, rough = overview.facts(ledger, short), overview.facts(ledger, long)
        for name, value in exact.items():
            assert rough[name] == pytest.approx(value, rel=0.01), name
        assert overview.thumbs(ledger, long) == overview.thumbs(ledger, short)
        assert overview.outcomes(ledger, long) == overview.outcomes(ledger, short)
        steps = overview.series(ledger, short, 3600), overview.series(ledger, long, 3600)
        for one, other in zip(*steps, strict=True):
            assert other["step"] == one["step"] + 20
            assert {**other, "step": one["step"]}.keys() == one.keys()
            for name in ("turns", "searched", "hit_rate", "error_rate", *rolled.PERCENTILES):
                assert other[name] == pytest.approx(one[name], rel=0.01), name
        whole = board.board(ledger, long, 3600)
        for name, value in {**rough, **overview.thumbs(ledger, long)}.items():
            assert getattr(whole.now, name) == pytest.approx(value), name
        dear = overview.cost_per_conversation(ledger, long)["cost_usd"]
        assert whole.now.cost_per_conversation == pytest.approx(dear)
        assert whole.outcomes == overview.outcomes(ledger, long)
        for one, other in zip(whole.series, steps[1], strict=True):
            assert {name: getattr(one, name) for name in other} == pytest.approx(other, nan_ok=True)
        models = [overview.cost_by_model(ledger, window, 3600) for window in (short, long)]
        assert [row["unpriced"] for row in models[0]] == [row["unpriced"] for row in models[1]]


def test_a_percentile_is_within_one_percent_of_the_ranked_one(store: Store, journal: Journal):
    turns = list(traffic(2_000))
    write(journal, *turns)
    store.drain()
    days = Window(NOON - timedelta(days=3, hours=5), NOON)
    with store.read() as ledger:
        found = rolled.spread(ledger, days.hours)[0]
        parts = rolled.by_part(ledger, Window(*_closed(turns)), "outcome", "cost")
    for name, (metric, share) in rolled.PERCENTILES.items():
        column = COLUMNS[metric]
        values = sorted(
            value
            for turn in turns
            if turn.turn.door != "eval" and (value := getattr(turn.turn, column)) is not None
        )
        assert found[name] == pytest.approx(values[round(share * (len(values) - 1))], rel=0.01)
    assert set(parts) == set(OUTCOMES)
    assert all(0 < part["p50"] < part["p95"] for part in parts.values())


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


def test_values_of_any_size_stop_nothing(store: Store, journal: Journal):
    huge = make_trace(started_at=NOON, seconds=1e300, cost_usd=-1e300)
    score = Score(uuid7(), huge.turn.turn_id, "groundedness", 1e200, "online", NOON)
    write(journal, replace(huge, scores=(score,)))
    assert store.drain().damaged == 0
    assert as_rebuilt(store)


def _answers(ledger: Any) -> list[Any]:
    which = conversations.Which(WEEK)
    return [
        overview.facts(ledger, WEEK),
        overview.series(ledger, WEEK, 21_600),
        overview.models(ledger),
        overview.newest(ledger),
        costs.by_day(ledger, WEEK),
        costs.users(ledger, WEEK),
        costs.resolved(ledger, WEEK),
        costs.routes(ledger, WEEK),
        asked.leaving(ledger, WEEK),
        conversations.page(ledger, which, 10, 0),
        conversations.count(ledger, which),
        listing.choices(ledger, WEEK.since, WEEK.until),
    ]


def _closed(turns: list[Trace]) -> tuple[datetime, datetime]:
    first = turns[0].turn.started_at.replace(hour=0)
    return first, NOON.replace(hour=0)
