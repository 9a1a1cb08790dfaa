"""A ledger is carried over whole, proved by its figures, or not at all."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import synthetic
from tests.databases import Databases
from tests.recorded import ids, record
from traces.errors import StoreBusy, StoreError
from traces.journal import Journal
from traces.moving import move
from traces.queries.turns import traces
from traces.rows import TABLES, Row
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    synthetic.write(folder, 40, cases=12, until=NOW, detailed=20)
    return folder


@pytest.fixture
def stores(history: Path, postgres: Databases, tmp_path: Path) -> tuple[Store, Store]:
    shutil.copytree(history, tmp_path, dirs_exist_ok=True)
    return Store(tmp_path), Store(tmp_path, postgres.fresh())


def test_a_ledger_moves_with_its_marks_and_goes_on_there(stores: tuple[Store, Store]) -> None:
    embedded, shared = stores
    journal = Journal(embedded.journal)
    record(journal, 2)
    embedded.drain()
    keys = ids(embedded) + record(journal, 1)  # one still in the journal
    done = {moved.table: moved for moved in move(embedded, shared)}
    assert list(done) == list(TABLES)
    assert done["turns"].rows == len(keys) > 40
    assert min(moved.figures for moved in done.values()) >= 3
    with shared.engine.window() as window:
        (planned,) = window.rows("select reltuples as n from pg_class where oid = 'turns'::regclass")
    assert planned["n"] == done["turns"].rows
    assert shared.drain().lines == 0
    keys += record(journal, 1)
    assert shared.drain().lines == 1
    assert ids(shared) == sorted(keys)
    with embedded.read() as one, shared.read() as other:
        assert traces(one, keys[:20]) == traces(other, keys[:20])
    journal.close()


def test_and_back(stores: tuple[Store, Store], tmp_path: Path) -> None:
    embedded, shared = stores
    shared.drain()
    embedded.path.unlink()
    assert move(shared, embedded)[0].rows == len(ids(shared)) > 40
    assert Store(tmp_path).drain().lines == 0
    assert ids(embedded) == ids(shared)


def test_what_was_moved_is_not_moved_again(stores: tuple[Store, Store]) -> None:
    embedded, shared = stores
    move(embedded, shared)
    with pytest.raises(StoreError, match=r"holds \d+ of these turns already; nothing was moved"):
        move(embedded, shared)
    assert ids(shared) == ids(embedded)


def test_a_figure_that_differs_leaves_the_target_as_it_was(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded, shared = stores
    with embedded.read() as ledger:
        columns = len(ledger.rows("select * from turns limit 1")[0])

    def spoil(row: Row) -> Row:
        return tuple(1 if value == "answered" else value for value in row) if len(row) == columns else row

    monkeypatch.setattr("traces.postgres.dialect.clean", spoil)
    with pytest.raises(StoreError, match="table turns: outcome differ after the copy"):
        move(embedded, shared)
    with shared.engine.window() as window:
        assert window.rows("select count(*) as n from turns") == [{"n": 0}]


def test_nobody_may_drain_meanwhile(stores: tuple[Store, Store]) -> None:
    embedded, shared = stores
    with embedded.alone() as won:
        assert won
        with pytest.raises(StoreBusy, match=r"process \d+ drains this data folder|drains this data folder"):
            move(embedded, shared)
