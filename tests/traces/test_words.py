"""The index of words: what a search means, and that the index is whole again whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_trace
from traces import retention
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import listing
from traces.queries.filter import Filter
from traces.store import Store
from traces.words import Words, sought, split

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEXTS = (
    ("How do I close the lid?", "Close the lid gently [1]."),
    ("What is ERR_504?", "A time-out of the gateway."),
    ("ÉLÈVE naïve", None),
    ("日本語の文書はどこ", "棚にあります"),
    ("Is 100% cotton washable?", "Yes, at 30 °C."),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, first: int = 0, user: str = "ada") -> None:
    journal = Journal(folder / "journal")
    for number, (question, answer) in enumerate(TEXTS, first):
        at = NOW - timedelta(minutes=number)
        turn_id = uuid7(int(at.timestamp() * 1e9))
        journal.write(
            make_trace(turn_id=turn_id, started_at=at, question=question, answer=answer, user_id=user)
        )
    journal.close()


def search(folder: Path, text: str, **more: Any) -> list[int]:
    """Return the minutes before noon of the turns that a search finds."""
    which = replace(Filter(NOW - timedelta(days=1), NOW + timedelta(minutes=1), text=text), **more)
    with Store(folder).read() as ledger:
        rows = listing.page(ledger, which, 25, 0)
    return [round((NOW - row.started_at).total_seconds() / 60) for row in rows]


SEARCHES = [
    ("lid", [0]),
    ("LID close", [0]),
    ("lid gateway", []),
    ("clo", [0]),
    ("cl", []),
    ('"the lid"', [0]),
    ('"lid the"', []),
    ("ERR_504", [1]),
    ("504 err", [1]),
    ("élève", [2]),
    ("文書", [3]),
    ("本日", []),
    ("100", [4]),
    ("%", [4]),
    ("wash cotton", []),
    ("cotton wash", [4]),
    ("AND OR NOT *", []),
    ("' ; drop table words", []),
]


@pytest.mark.parametrize("state", ["journal", "index", "none"])
def test_a_search_means_the_same_with_and_without_its_index(folder: Path, state: str) -> None:
    write(folder)
    if state != "journal":
        Store(folder).drain()
    if state == "none":
        (folder / "traces.words").unlink()
    for text, minutes in SEARCHES:
        assert search(folder, text) == minutes, text


def test_the_index_follows_and_comes_back(folder: Path) -> None:
    store = Store(folder)
    write(folder)
    store.drain()
    write(folder, 10)
    assert search(folder, "lid") == [0, 10]  # drained and live
    store.drain()
    (folder / "traces.words").write_bytes(b"no database at all" * 100)
    assert search(folder, "lid") == [0, 10]
    write(folder, 20)
    for _ in range(3):
        store.drain()
    with store.read() as ledger:
        ids = ledger.search(sought("lid"), NOW - timedelta(days=1), NOW + timedelta(days=1), 10)
    assert ids is not None and len(ids) == 3
    (folder / "traces.words").unlink()
    store.rebuild()
    with store.read() as ledger:
        ids = ledger.search(sought("lid"), NOW - timedelta(days=1), NOW + timedelta(days=1), 2)
    assert ids is not None and len(ids) == 2 and ids == sorted(ids, reverse=True)


def test_nothing_of_an_erased_person_stays_in_the_index(folder: Path) -> None:
    store = Store(folder)
    write(folder, user="bob")
    write(folder, 10)
    store.drain()
    assert b"gateway" in (folder / "traces.words").read_bytes()
    retention.erase(store, "bob")
    retention.erase(store, "ada")
    assert not (folder / "traces.words").exists()
    write(folder, 30)
    for _ in range(2):
        store.drain()
    assert search(folder, "lid") == [30] and (folder / "traces.words").exists()


def test_more_turns_than_a_search_names_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 2)
    write(folder)
    write(folder, 10)
    write(folder, 20)
    Store(folder).drain()
    which = Filter(NOW - timedelta(days=1), NOW + timedelta(minutes=1), text="lid")
    with Store(folder).read() as ledger:
        looked = listing.look(ledger, which, 25, 0)
        assert (looked.matching, looked.more, len(looked.rows)) == (2, True, 2)
        other = listing.look(ledger, replace(which, user_id="ada"), 25, 0)
        assert (other.matching, other.more) == (3, False)


def test_words_are_split_alike_everywhere() -> None:
    assert split("Wie geht's? foo.bar e\u0301") == ["wie", "geht", "s", "foo", "bar", "é"]
    assert sought("?! --").phrases == ()


@pytest.mark.parametrize("text", ["wor", "word1", "even word", '"even" word2', "odd-wor", "nothing", "éclai"])
def test_a_word_that_is_begun_means_the_same_spelled_out(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words(None)
    entries = [
        (uuid7(), NOW + timedelta(seconds=n), f"{'odd' if n % 2 else 'even'} word{n} éclair", None)
        for n in range(60)
    ]
    words.fill(entries, last=True)
    ends = NOW, NOW + timedelta(minutes=2)
    few = words.search(sought(text), *ends, 20)
    monkeypatch.setattr("traces.words._MOST_ENDINGS", 100)
    spelled = words.search(sought(text), *ends, 20)
    monkeypatch.setattr("traces.words._MOST_ENDINGS", -1)  # all are added up
    assert few == spelled == words.search(sought(text), *ends, 20)
    assert bool(few) == (text != "nothing")
