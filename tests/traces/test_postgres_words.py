"""The words of turns in PostgreSQL: the same turns as the embedded engine's index, by all ways."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.databases import Databases
from tests.factories import make_trace
from tests.traces.test_words import NOW, SEARCHES, write
from traces.ids import uuid7
from traces.journal import Journal
from traces.postgres import words
from traces.queries import listing
from traces.queries.filter import Filter
from traces.retention import erase, forget_turns
from traces.store import Store
from traces.words import sought

LONG = (
    ("lid " * 300 + "corner", None),  # more of one word than a vector holds
    ("x" * 3_000 + " gateway", "shut"),  # a longer word
    ("many", " ".join(f"w{number}" for number in range(17_000)) + " the lid"),  # more words
)
DAY = timedelta(days=1)


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.fresh()


@pytest.fixture(scope="module")
def both(postgres: Databases, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """One journal drained into both engines, its last turns still in the live tail."""
    folder: Path = tmp_path_factory.mktemp("words")
    journal = Journal(folder / "journal")
    for number, (question, answer) in enumerate(LONG, 20):
        at = NOW - timedelta(minutes=number)
        key = uuid7(int(at.timestamp() * 1e9))
        journal.write(make_trace(turn_id=key, started_at=at, question=question, answer=answer))
    journal.close()
    write(folder, 10)
    stores = Store(folder, postgres.fresh()), Store(folder)
    for store in stores:
        store.drain()
    write(folder)
    return stores


def run(address: str, sql: str) -> list[tuple[object, ...]]:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def minutes(store: Store, text: str) -> list[int]:
    """Return the minutes before noon of the turns that the index gives."""
    with store.read() as ledger:
        ids = ledger.search(sought(text), NOW - DAY, NOW + DAY, 25)
        assert ids is not None
        page = listing.page(ledger, Filter(NOW - DAY, NOW + DAY, text=text), 25, 0)
    if sought(text).phrases:
        assert {row.turn_id for row in page} == set(ids)
    return [round((NOW - row.started_at).total_seconds() / 60) for row in page]


def test_a_search_means_the_same_in_both_engines(both: tuple[Store, Store]) -> None:
    for text, expected in SEARCHES:
        shared, embedded = (minutes(store, text) for store in both)
        assert shared == embedded, text
        assert [number for number in shared if number < 20] == [*expected, *(n + 10 for n in expected)], text


LONGER = "x" * 3_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lid corner", [20]),
        ('"lid corner"', [20]),
        ('"corner lid"', []),
        (LONGER, [21]),
        (LONGER[:250], [21]),
        ('"w1 w2"', [22]),
        ("w16999", [22]),
        ("gate", [1, 11, 21]),
        ("nowhere " * 9_000, []),
        (f'"{"nowhere " * 9_000}"', []),
    ],
)
def test_both_engines_have_words_that_fit_no_vector(
    both: tuple[Store, Store], text: str, expected: list[int]
) -> None:
    assert [minutes(store, text) for store in both] == [expected, expected]


@pytest.mark.parametrize("stretches", [(), (3,), (1, 2, 3), (4, 6), (7, 8, 9)])
def test_of_a_frequent_word_only_a_newest_stretch_is_looked_at(
    both: tuple[Store, Store], stretches: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_STRETCHES", stretches)
    assert minutes(both[0], "the") == minutes(both[1], "the") != []
    with both[0].read() as ledger:
        ids = ledger.search(sought("the"), NOW - timedelta(minutes=12), NOW - timedelta(minutes=1), 2)
    assert ids is not None and len(ids) == 2 and ids == sorted(ids, reverse=True)


def test_a_ledger_of_before_gets_its_words_in_pieces(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "PIECE", 4)
    store = Store(tmp_path, address)
    write(tmp_path)
    store.drain()
    run(address, "drop table answerdeck.words, answerdeck.worded; delete from answerdeck.migrations"
                 " where version = (select max(version) from answerdeck.migrations)")  # fmt: skip
    write(tmp_path, 10)
    later = Store(tmp_path, address)
    later.drain()  # makes the table, and fills a piece of it
    which = Filter(NOW - DAY, NOW + DAY, text="lid")
    with later.read() as ledger:
        assert ledger.search(sought("lid"), NOW - DAY, NOW + DAY, 25) is None
        assert len(listing.page(ledger, which, 25, 0)) == 2  # the texts themselves
    while not words_whole(address):
        later.drain()
    assert minutes(later, "lid") == [0, 10]
    assert run(address, "select count(*), count(distinct turn_id) from answerdeck.words") == [(10, 10)]
    later.rebuild()
    assert minutes(later, "lid") == [0, 10]


def words_whole(address: str) -> bool:
    return run(address, "select whole from answerdeck.worded") == [(True,)]


def test_nothing_of_an_erased_person_stays_in_the_database(address: str, tmp_path: Path) -> None:
    store = Store(tmp_path, address)
    journal = Journal(tmp_path / "journal")
    for _ in range(20):  # often enough for the planner's statistics
        journal.write(make_trace(started_at=NOW, question="A xylophone?", user_id="bob"))
    journal.close()
    write(tmp_path)
    store.drain()
    store.engine.survey()
    held = """select count(*) from pg_stats where schemaname = 'answerdeck' and
        concat(most_common_vals::text, most_common_elems::text, histogram_bounds::text) ~ 'xylophone'"""
    assert run(address, held) != [(0,)]
    erase(store, "bob")
    assert run(address, "select count(*) from answerdeck.words") == [(5,)]
    assert run(address, held) == [(0,)]
    assert forget_turns(store, 5, NOW + timedelta(days=30)) == 5
    assert run(address, "select count(*) from answerdeck.words") == [(0,)]
