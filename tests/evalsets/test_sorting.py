"""The sorter: every turn once, sums as a rebuild makes them, lasting numbers, nothing of the erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evalsets import sorting
from evalsets.fitted import fit
from evalsets.sorting import Sorter
from tests.databases import Databases
from tests.factories import make_score, make_trace
from traces import retention, rollups
from traces.drainer import Drained
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import sortings
from traces.queries.sortings import Wording
from traces.store import Store

NOW = datetime.now(UTC)
QUESTIONS = (
    "Reset my password",
    "How to reset a password?",
    "Ferry ticket cost",
    "What does the ferry cost?",
    "Hm?",
)


Open = Callable[[], Store]


@pytest.fixture(params=["embedded", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens the store of one data folder anew."""
    if request.param == "embedded":
        return lambda: Store(tmp_path)
    databases: Databases = request.getfixturevalue("postgres")
    address = databases.fresh()
    return lambda: Store(tmp_path, address)


def write(
    store: Store, count: int, *, hours: float, user: str = "ada", more: tuple[Any, ...] = ()
) -> list[str]:
    journal, ids = Journal(store.journal), list[str]()
    for number in range(count):
        made = make_trace(
            turn_id=uuid7(), question=QUESTIONS[number % 5], standalone=None, door="chat", user_id=user,
            started_at=NOW - timedelta(hours=hours * (number + 1) / count),
            conversation_id=f"{user}-{number // 2}", outcome=("answered", "no_context")[number % 2],
        )  # fmt: skip
        ids.append(made.turn.turn_id)
        journal.write(made)
    for record in more:
        journal.write(record)
    journal.close()
    store.drain()
    return ids


def by_topic(store: Store) -> list[list[dict[str, Any]]]:
    with store.read() as ledger:
        return [
            sorted(ledger.rows(f"select * from {table}"), key=str)  # noqa: S608
            for table in ("hourly_topics", "daily_topics", "asked")
        ]


NEWEST = """
    select words, door, started_at, turn_id, outcome from (
        select *, row_number() over (partition by words, door order by started_at desc, turn_id desc) as age
        from asked where words in (select words from missing)
    ) as aged where age = 1
"""


def newest_are_kept(store: Store) -> bool:
    """Say whether `latest` has the newest turn of each question that is missing somewhere, and no other."""
    with store.read() as ledger:
        rows = ledger.rows("select * from latest")
        assert rows
        return sorted(rows, key=str) == sorted(ledger.rows(NEWEST), key=str)


def as_rebuilt(store: Store) -> bool:
    before = by_topic(store)
    store.rebuild()
    return all(before) and before == by_topic(store)


def test_sums_by_topic_are_what_a_rebuild_makes(make: Open) -> None:
    store = make()
    ids = write(store, 40, hours=80)
    Sorter(store).sort()
    assert as_rebuilt(store)
    late = make_score(ids[30], "feedback", -1.0, source="user", user_id="ada")
    write(store, 5, hours=90, more=(late,))
    assert as_rebuilt(store)
    Sorter(store).sort()
    assert as_rebuilt(store)
    with store.read() as ledger:
        rows = sortings.sums(ledger, sorting.Window(NOW - timedelta(days=7), NOW + timedelta(minutes=1)))
        assert sortings.unsorted(ledger) == 0
        assert {label for label, _ in sortings.labels(ledger).values()} == {
            "password · reset",
            "cost · ferry · ticket",
        }
    assert sum(row.turns for row in rows) == 45
    assert sum(row.down for row in rows) == sum(row.rated for row in rows) == 1
    assert [row.turns for row in rows if row.topic is None] == [9]


def test_erasing_a_person_leaves_no_word_and_is_sorted_anew(make: Open) -> None:
    store = make()
    write(store, 20, hours=50, user="eve")
    write(store, 10, hours=50)
    Sorter(store).sort()
    retention.erase(store, "eve")
    with store.read() as ledger:
        for table in rollups.TOPICS:
            assert ledger.rows(f"select count(*) as n from {table}") == [{"n": 0}]  # noqa: S608
    Sorter(store).sort()
    assert as_rebuilt(store)
    assert len(by_topic(store)[2]) == 10


def test_it_sorts_in_pieces_between_the_drainers_windows(make: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "PIECE", 7)
    store, now = make(), [0.0]
    sorter = Sorter(store, clock=lambda: now[0])
    sorter.tend(Drained())  # no store yet
    write(store, 30, hours=30)
    for _ in range(12):
        now[0] += 10
        sorter.tend(Drained(windows=1))
    with store.read() as ledger:
        assert sortings.unsorted(ledger) == 0
    assert newest_are_kept(store)
    first = by_topic(store)[2]
    write(store, 30, hours=2, user="bob")  # so many more that topics are fitted anew
    sorter.sort()
    assert {row["fit"] for row in first} == {1} and {row["fit"] for row in by_topic(store)[2]} == {2}
    old = {row["turn_id"]: row["topic"] for row in first}
    assert {row["turn_id"]: row["topic"] for row in by_topic(store)[2] if row["turn_id"] in old} == old
    assert newest_are_kept(store)
    sorter.anew()
    assert as_rebuilt(store) and newest_are_kept(store)


def test_a_topic_keeps_its_number_when_others_come() -> None:
    before = fit([Wording("Ferry ticket cost", 2), Wording("The ferry cost", 1)])
    ferry = before.place("ferry cost?")[0]
    after = fit(
        [Wording(question, 9) for question in ("Reset my password", "Password reset", "Reset a password")]
        + [Wording("Ferry ticket cost", 2), Wording("The ferry cost", 1)],
        before,
    )
    assert after.place("What does the ferry cost?")[0] == ferry is not None
    assert after.place("reset password")[0] not in (None, ferry)
    assert after.place("Who painted this?")[0] is None
    assert after.place("ferry, cost!")[1] == after.place("the cost of a ferry")[1] != 0
    assert after.place("?") == (None, 0)
    assert fit([]).place("anything") == (None, after.place("anything")[1])
