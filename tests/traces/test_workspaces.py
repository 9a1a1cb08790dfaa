"""Who reads the ledger for a workspace sees what a ledger of it alone would show, of every question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, replace
from datetime import timedelta
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pytest

from evalsets.sorting import Sorter
from evalsets.topics import gaps, topics
from tests import synthetic
from tests.factories import make_score, make_trace
from tests.traces.test_engines import MONTH, NOW, QUESTIONS, Known, close, known, plain
from traces import duck, views, words, writers
from traces.errors import Refused, StoreError
from traces.journal import Journal
from traces.ledger import Ledger
from traces.queries import free
from traces.records import Record, Run, Trace
from traces.store import Store

OURS, THEIRS = "acme", "default"
# by topics that are fitted to everybody's questions, or for who sees everything
APART = {
    "free.ask",
    "asked.sorted_ones",
    "persons.left",
    *(name for name in QUESTIONS if name.startswith("sortings.")),
}
SHARED = [name for name in QUESTIONS if name not in APART]


def belonging(records: Iterable[Record], workspace: str) -> list[Record]:
    """Return the records as a workspace's; conversations have the same ids in each."""
    result: list[Record] = []
    places: dict[str, str] = {}
    for record in records:
        if isinstance(record, Trace):
            place = places.setdefault(record.turn.conversation_id, f"talk-{len(places)}")
            turn = replace(record.turn, conversation_id=place, workspace=workspace)
            result.append(replace(record, turn=turn))
        elif isinstance(record, Run):
            result.append(replace(record, settings=replace(record.settings, workspace=workspace)))
        else:
            result.append(record)
    return result


def records(workspace: str, seed: int) -> list[Record]:
    runs = [record for record in synthetic.runs(NOW) if case_of(record) in ("", "h001", "h002", "h003")]
    return belonging([*synthetic.history(90, until=NOW, seed=seed, detailed=20), *runs], workspace)


def case_of(record: Record) -> str:
    """Return the case that a record of a run is about; empty for the run itself."""
    return getattr(record.turn if isinstance(record, Trace) else record, "case_id", None) or ""


def late(workspace: str, number: int) -> list[Record]:
    """Return what is in the journal only: a turn of a word, and a thumb on it."""
    words = f"What of the {'quarterly merger' if workspace == OURS else 'garden'} key?"
    trace = make_trace(started_at=NOW + timedelta(minutes=number), question=words, outcome="no_context")
    return [*belonging([trace], workspace), make_score(trace.turn.turn_id, "feedback", -1.0)]


def write(folder: Path, drained: Iterable[Record], tail: Iterable[Record], *others: Store) -> Store:
    journal, store = Journal(folder / "journal"), Store(folder)
    for record in drained:
        journal.write(record)
    for one in (*others, store):
        one.drain()
    for record in tail:
        journal.write(record)
    journal.close()
    return store


@pytest.fixture(scope="module")
def month(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, tuple[Ledger, Ledger]], dict[str, Known]]]:
    """A month of two workspaces in one store, read for each of them, beside a store of each alone."""
    folder: Path = tmp_path_factory.mktemp("workspaces")
    both = {OURS: records(OURS, 3), THEIRS: records(THEIRS, 4)}
    tails = {name: late(name, number) for number, name in enumerate(both)}
    mixed = [record for pair in zip_longest(*both.values()) for record in pair if record is not None]
    store = write(folder / "mixed", mixed, chain(*tails.values()))
    Sorter(store).sort()
    pairs: dict[str, tuple[Ledger, Ledger]] = {}
    with store.read(workspace=OURS) as ours, store.read(workspace=THEIRS) as theirs:
        alone = {name: write(folder / name, both[name], tails[name]) for name in both}
        with alone[OURS].read() as own, alone[THEIRS].read() as other:
            pairs = {OURS: (ours, own), THEIRS: (theirs, other)}
            yield pairs, {name: known(pair[1]) for name, pair in pairs.items()}


EACH = [(question, OURS) for question in SHARED]
EACH += [(question, THEIRS) for question in ("board.board", "conversations.count", "runs.runs")]


@pytest.mark.parametrize(("question", "workspace"), EACH)
def test_a_workspace_is_answered_as_if_it_were_alone(month: Any, question: str, workspace: str) -> None:
    pairs, ids = month
    seen, alone = (plain(QUESTIONS[question](ledger, ids[workspace])) for ledger in pairs[workspace])
    assert seen == close(alone)


def test_topics_are_told_in_the_words_of_the_workspace(month: Any) -> None:
    pairs, _ = month
    theirs, _ = pairs[THEIRS]
    seen, alone = ([astuple(gap) for gap in gaps(ledger, MONTH)] for ledger in pairs[OURS])
    assert seen == alone and "merger" in str(seen)
    own = {row["question"] for row in pairs[OURS][0].rows("select question from turns")}
    shown = topics(pairs[OURS][0], MONTH)
    assert shown.turns == topics(pairs[OURS][1], MONTH).turns
    named = [topic for topic in shown.topics if topic.example]
    assert len(named) > 3
    assert all(topic.example in own and not topic.name.startswith("Topic ") for topic in named)
    assert "merger" not in str([gaps(theirs, MONTH), topics(theirs, MONTH)])


def test_nobody_asks_sql_of_their_own_within_a_workspace(month: Any) -> None:
    pairs, _ = month
    with pytest.raises(Refused, match="whole ledger"):
        free.ask(pairs[OURS][0], "select question from stored.turns")
    with pytest.raises(StoreError, match="changes nothing"):
        pairs[OURS][0].rows("use memory.main")


def test_a_search_goes_on_behind_the_turns_of_others(store: Store, journal: Journal) -> None:
    def ask(number: int, workspace: str) -> Record:
        at = NOW - timedelta(minutes=number)
        return belonging([make_trace(question="the ferry", started_at=at)], workspace)[0]

    for number in range(40):
        journal.write(ask(number, THEIRS))
    journal.write(ask(50, OURS))
    store.drain()
    store.engine.index_anew()
    sought = words.sought("ferry")
    with store.read(workspace=OURS) as ledger:
        assert ledger.search(sought, MONTH.since, MONTH.until, 2) is None  # looked through instead
        assert len(ledger.search(sought, MONTH.since, MONTH.until, 9) or ()) == 1
    with store.read(workspace=THEIRS) as ledger:
        assert len(ledger.search(sought, MONTH.since, MONTH.until, 2) or ()) == 2


def test_sums_of_all_together_are_told_apart_by_the_migration(store: Store, journal: Journal) -> None:
    for workspace in (OURS, THEIRS, THEIRS):
        journal.write(belonging([make_trace(started_at=NOW)], workspace)[0])
    store.drain()
    with writers.writing(store.path) as connection:  # as the migration before left it
        for table in views.SUMS:  # constants
            later = table.endswith("_histograms")
            connection.execute(
                f"drop table {table}" if later else f"alter table {table} drop column workspace"
            )
        connection.execute("delete from migrations where version >= $n", {"n": duck.WORKSPACES})
    journal.write(belonging([make_trace(started_at=NOW - timedelta(days=1))], OURS)[0])
    store.drain()
    for workspace, turns in ((OURS, 2), (THEIRS, 2), (None, 4)):
        with store.read(workspace=workspace) as ledger:
            assert ledger.rows("select sum(turns) as n from hourly")[0]["n"] == turns
            assert len(ledger.rows("select 1 as one from conversations")) == (1 if workspace else 2)
