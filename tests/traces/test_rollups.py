"""The rollups: always what the rows say, whatever happens to the rows, and percentiles within one percent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import numpy
import pytest

from tests.factories import make_passage, make_trace
from traces import duck, histogram, retention, rollups, writers
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import (
    asked,
    board,
    caches,
    conversations,
    costs,
    listing,
    overview,
    reviews,
    rolled,
    searches,
    sides,
    versions,
)
from traces.queries.window import Window
from traces.records import PRODUCTION, Payload, Score, Span, Trace, Usage
from traces.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = Window(NOON - timedelta(days=3), NOON + timedelta(days=4))
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
        key = trace.turn.turn_id
        turn = replace(
            trace.turn,
            prompt=f"answer@v{number % 2 + 1}",
            model="openai:stub",
            index_version=f"v{number * 2 // turns}",
            top_score=random.uniform(-0.2, 1.2),
        )
        usage = Usage(key, 1, "answer", "openai:stub", 100, 10, cost_usd=cost)
        first = make_passage(key, 1, vector_rank=1, text_rank=2, cited=number % 3 == 0)
        second = make_passage(key, 2, vector_rank=2, text_rank=1, n=None, cited=False)
        looked = {"hit": number % 4 == 0, "saved_seconds": 0.1 if number % 5 else "much"}
        cache = Span(key, 9, 0, "semantic cache", "cache", 0, 0.1, looked)
        yield Trace(turn, trace.payload, (cache,), (first, second), (usage,))


def thumb(trace: Trace, value: float, minutes: int = 1) -> Score:
    at = trace.turn.started_at + timedelta(minutes=minutes)
    return Score(uuid7(), trace.turn.turn_id, "feedback", value, "user", at, user_id=trace.turn.user_id)


def write(journal: Journal, *records: Any) -> None:
    for record in records:
        journal.write(record)


def stored(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every rollup."""
    with writers.writing(store.path) as connection:
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
    everybody = replace(WEEK, doors=(*PRODUCTION, "eval"))
    with store.read() as ledger:
        assert board.board(ledger, everybody, 86_400).now.rated == 2
        assert board.board(ledger, WEEK, 86_400).now.turns == sum(turn.turn.door != "eval" for turn in turns)


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
        live, facts = _answers(ledger), board.board(ledger, WEEK, 21_600).now
    store.drain()
    with store.read() as ledger:
        assert _answers(ledger) == live
        assert asdict(board.board(ledger, WEEK, 21_600).now) == close(facts)  # sums in another order
    assert as_rebuilt(store)


def test_a_store_from_before_these_rollups_gets_them(store: Store, journal: Journal):
    write(journal, *traffic(60))
    store.drain()
    with writers.writing(store.path) as connection:  # as migration 2 left it
        for table in (*rollups.TABLES, *rollups.TOPICS):
            connection.execute(f"drop table {table}")
        connection.execute("alter table turns drop column workspace; alter table passages drop column kb")
        connection.execute("alter table scores drop column repetition")
        connection.execute(duck.migrations()[1])
        connection.execute("delete from migrations where version > 2")
    write(journal, *traffic(3, days=0.1))
    Store(store.data_dir).drain()
    assert as_rebuilt(Store(store.data_dir))
    assert len(stored(store)["conversations"]) == 20


def test_histograms_of_a_row_a_bucket_become_one_row_each(store: Store, journal: Journal):
    write(journal, *traffic(30))
    store.drain()
    expected = stored(store)
    with writers.writing(store.path) as connection:  # as migration 8 left it
        connection.execute("create table daily_parts (part text not null, n bigint not null)")
        for span, at in (("hourly", "hour"), ("daily", "day")):
            connection.execute(
                f"create table {span}_buckets as select metric, {at}, door, unnest(buckets) as bucket,"  # noqa: S608
                f" unnest(counts) as n from {span}_histograms; drop table {span}_histograms"
            )
        connection.execute("delete from migrations where version > 8")
    with writers.writing(store.path) as connection:
        tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    assert not tables & {"daily_parts", "hourly_buckets", "daily_buckets"}
    assert stored(store) == expected and as_rebuilt(store)


def test_long_windows_say_what_short_ones_would(store: Store, journal: Journal):
    turns = list(traffic(400, days=0.4))
    write(journal, *turns, *(thumb(turn, 1.0) for turn in turns[:20]), thumb(turns[30], -1.0))
    store.drain()
    short = Window(NOON - timedelta(hours=10), NOON + timedelta(hours=1))
    long = Window(NOON - timedelta(hours=30), NOON + timedelta(hours=1))
    assert long.long and not short.long
    with store.read() as ledger:
        exact, rough = (board.board(ledger, window, 3600) for window in (short, long))
        assert asdict(rough.now) == close(exact.now)
        assert rough.outcomes == exact.outcomes
        for hour, other in zip(exact.series, rough.series, strict=True):
            alike = replace(other, step=other.step - 20, cost_per_conversation=hour.cost_per_conversation)
            assert asdict(alike) == close(hour)
        models = [overview.cost_by_model(ledger, window, 3600) for window in (short, long)]
        assert [row.unpriced for row in models[0]] == [row.unpriced for row in models[1]]


def test_models_prompts_and_retrieval_are_told_alike_by_rollups_and_turns(store: Store, journal: Journal):
    turns = [turn for turn in traffic(300, days=0.4) if turn.spans[0].attributes["saved_seconds"] != "much"]
    scores = [Score(uuid7(), t.turn.turn_id, "groundedness", 0.5 + n % 5 / 10, "online", NOON) 
              for n, t in enumerate(turns)]  # fmt: skip
    write(journal, *turns, *scores, *(thumb(turn, 1.0) for turn in turns[:20]), thumb(turns[30], -1.0))
    store.drain()
    short = Window(NOON - timedelta(hours=10), NOON + timedelta(hours=1))
    long = Window(NOON - timedelta(days=2), NOON + timedelta(hours=1))
    with store.read() as ledger:
        for one, other in zip(sides.sides(ledger, short), sides.sides(ledger, long), strict=True):
            assert asdict(other) == close(one)
        lives = [versions.live(ledger, "answer", window.since, window.until) for window in (short, long)]
        for one, other in zip(*lives, strict=True):
            assert asdict(other) == close(one)
        for question in (searches.scores, searches.stages, searches.versions, searches.hit_rate):
            assert question(ledger, long) == question(ledger, short)
        served = [caches.served(ledger, window.since, window.until) for window in (short, long)]
    assert asdict(served[0]) == close(served[1])
    assert (served[1].looked, served[1].hits) == (
        sum(turn.turn.door != "eval" for turn in turns),
        sum(turn.turn.door != "eval" and turn.spans[0].attributes["hit"] for turn in turns),
    )


def test_what_closed_days_say_is_what_their_turns_say(store: Store, journal: Journal):
    turns = list(traffic(240, days=3))
    write(journal, *turns, *(thumb(turn, float(n % 3 - 1)) for n, turn in enumerate(turns[:60])))
    store.drain()
    whole = Window(NOON - timedelta(days=4), NOON + timedelta(hours=1))
    people = [turn.turn for turn in turns if turn.turn.door != "eval"]
    with store.read() as ledger:
        assert rolled.closed_days(ledger, whole.hours) is not None
        facts = board.board(ledger, whole, 3600).now
        first, second = sides.sides(ledger, whole)
        spent = costs.users(ledger, replace(whole, since=whole.since.replace(hour=0)))
        exactly = ledger.rows(
            "select percentile_cont(0.95) within group (order by seconds) as p95 from turns"
            " where prompt = $prompt and door <> 'eval'",
            prompt=first.prompt,
        )
    assert facts.turns == len(people) == first.turns + second.turns
    assert facts.hit_rate == sum(t.hit is True for t in people) / sum(t.hit is not None for t in people)
    assert first.seconds_p95 == pytest.approx(exactly[0]["p95"], rel=0.01)
    assert sum(row.turns for row in spent) == len(people)
    assert facts.conversations == len({turn.conversation_id for turn in people})


def test_where_people_left_is_what_their_conversations_say(store: Store, journal: Journal):
    write(journal, *traffic(240, days=3))
    store.drain()
    late = next(traffic(1)).turn
    longer = [
        replace(late, conversation_id="talk-7", turn_id=uuid7(), started_at=NOON - timedelta(minutes=minute))
        for minute in range(16)
    ]
    with store.read() as ledger:
        for turns in ([], longer):
            write(journal, *(Trace(turn, Payload(turn.turn_id)) for turn in turns))
            with store.read() as later:
                for since in (timedelta(days=2), timedelta(days=3, minutes=17), timedelta(minutes=20)):
                    for until in (NOON, NOON - timedelta(minutes=20)):
                        window = Window(NOON - since, until)
                        assert asked.leaving(later, window) == _left(later, window)
        assert sum(row.ended for row in asked.leaving(ledger, WEEK)) == 80 - 26  # those of evals


def _left(ledger: Any, window: Window) -> list[asked.Leaving]:
    """Return the same out of the conversations alone."""
    rows = ledger.rows(
        "select least(turns, 12) as turn, count(*) as ended,"
        " count(*) filter (where outcome <> 'answered') as unhappy from conversations"
        " where began >= $since and began < $until and ended < $quiet and door = any($doors) group by 1",
        quiet=window.until - timedelta(minutes=30),
        **window.bound,
    )
    ends = {row["turn"]: row for row in rows}
    result: list[asked.Leaving] = []
    for turn in range(1, max(ends, default=0) + 1):
        row = ends.get(turn, {"ended": 0, "unhappy": 0})
        reached = sum(row["ended"] for number, row in ends.items() if number >= turn)
        result.append(asked.Leaving(turn, reached, row["ended"], row["unhappy"]))
    return result


def test_counts_are_added_up_by_step_and_metric():
    random = Random(8)
    buckets = [*range(-40, 40), histogram.ZERO]
    steps, places = ([random.randint(*ends) for _ in range(200)] for ends in ((-3, 5), (0, 1)))
    lists = [sorted(random.sample(buckets, random.randint(1, 9))) for _ in steps]
    numbers = [[random.randint(1, 9) for _ in row] for row in lists]
    expected: dict[tuple[int, int], dict[int, int]] = {}
    for step, place, row, more in zip(steps, places, lists, numbers, strict=True):
        counts = expected.setdefault((step, place), {})
        for bucket, number in zip(row, more, strict=True):
            counts[bucket] = counts.get(bucket, 0) + number
    result = histogram.counted(numpy.array(steps), numpy.array(places), lists, numbers)
    assert {key: dict(zip(*counts, strict=True)) for key, counts in result.items()} == expected
    assert all(sorted(buckets) == buckets for buckets, _ in result.values())
    zero, none = numpy.array([0]), numpy.array(())
    assert histogram.counted(zero, zero, [[histogram.ZERO]], [[3]]) == {(0, 0): ([histogram.ZERO], [3])}
    assert histogram.counted(none, none, [], []) == {}


def test_erasing_the_newest_days_opens_them_again(store: Store, journal: Journal):
    turns = [turn for turn in traffic(90) if turn.turn.user_id in ("user-0", "user-1")]
    newest = replace(turns[-1].turn, user_id="eve", started_at=NOON + timedelta(days=2), turn_id=uuid7())
    write(journal, *turns, replace(turns[-1], turn=newest, usages=(), spans=(), passages=()))
    store.drain()
    retention.erase(store, "eve")
    assert stored(store)["rolled"] == [(NOON.replace(hour=0),)]
    assert as_rebuilt(store)
    for user in range(2):
        retention.erase(store, f"user-{user}")
    assert not any(stored(store).values())


def test_reviews_queue_what_people_and_scores_say(store: Store, journal: Journal):
    turns = [turn for turn in traffic(200) if turn.turn.door == "chat" and turn.turn.outcome == "answered"]
    marks = [Score(uuid7(), t.turn.turn_id, "groundedness", n / len(turns), "online", NOON)
             for n, t in enumerate(turns)]  # fmt: skip
    back = thumb(turns[7], 1.0, minutes=5)
    write(journal, *turns, *marks, *(thumb(turn, -1.0) for turn in turns[5:9]), back)
    store.drain()
    ask = partial(reviews.queue, reviewer="ada", doors=("chat",))
    with store.read() as ledger:
        down, low = ask(ledger, "thumbs_down"), ask(ledger, "low_groundedness", limit=3)
        chance = [ask(ledger, "random", seed=seed, limit=5) for seed in (1, 1, 2)]
    assert [row.turn_id for row in down] == [turns[number].turn.turn_id for number in (8, 6, 5)]
    assert [row.turn_id for row in low] == [turn.turn.turn_id for turn in turns[:3]]
    assert chance[0] == chance[1] != chance[2] and len(chance[2]) == 5


def test_values_of_any_size_stop_nothing(store: Store, journal: Journal):
    huge = make_trace(started_at=NOON, seconds=1e300, cost_usd=-1e300)
    score = Score(uuid7(), huge.turn.turn_id, "groundedness", 1e200, "online", NOON)
    write(journal, replace(huge, scores=(score,)))
    assert store.drain().damaged == 0
    assert as_rebuilt(store)


def close(row: Any) -> dict[str, Any]:
    """Let the floats of a dataclass be one percent off."""
    return {
        name: pytest.approx(value, rel=0.01) if isinstance(value, float) else value
        for name, value in asdict(row).items()
    }


def _answers(ledger: Any) -> list[Any]:
    which = conversations.Which(WEEK)
    return [
        board.board(ledger, WEEK, 21_600).outcomes,
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
        sides.sides(ledger, WEEK),
        searches.scores(ledger, WEEK),
        searches.stages(ledger, WEEK),
        searches.versions(ledger, WEEK),
        caches.served(ledger, WEEK.since, WEEK.until),
    ]
