"""A damaged, lost or foreign store is put aside, rebuilt or left alone; no turn is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.factories import make_trace
from tests.recorded import ids, record
from traces import duck
from traces.errors import StoreDamaged, StoreVersion
from traces.journal import Journal
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def spoil_zero(path: Path) -> None:
    path.write_bytes(b"")


def spoil_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def spoil_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        for at in (5000, 9000):
            file.seek(at)
            file.write(os.urandom(16))


def spoil_log(path: Path) -> None:
    """Leave a write-ahead log as a killed writer does, then damage it."""
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        'c.execute("insert into marks select range::text, 0 from range(1000)"); os._exit(9)'
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    log = path.with_name(path.name + ".wal")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(os.urandom(8))


@pytest.mark.parametrize("spoil", [spoil_zero, spoil_garbage, spoil_half, spoil_header, spoil_log])
def test_a_damaged_store_is_put_aside_and_rebuilt(
    store: Store, journal: Journal, spoil: Callable[[Path], None]
):
    keys = record(journal, 20)
    journal.close()
    store.drain()
    keys += record(journal, 5)
    store.drain()
    keys += record(journal, 1)
    spoil(store.path)
    with pytest.raises(StoreDamaged, match="damaged"):
        ids(store)
    done = Store(store.data_dir).drain()
    assert done.quarantined is not None
    assert store.health().quarantined[0] == done.quarantined
    assert ids(store) == sorted(keys)
    assert store.drain().lines == 0


def test_damage_in_the_data_found_by_a_reader_is_mended_by_the_drainer(store: Store, journal: Journal):
    made = [make_trace(answer=os.urandom(2000).hex()) for _ in range(600)]
    for each in made:
        journal.write(each)
    store.drain()
    with store.path.open("r+b") as file:
        for at in range(300_000, store.path.stat().st_size - 1000, 262_144):
            file.seek(at)
            file.write(os.urandom(8))
    with pytest.raises(StoreDamaged), store.read() as ledger:
        ledger.rows("select max(answer), max(prompt), count(*) from turns join payloads using (turn_id)")
    assert store.drain().quarantined is not None
    assert ids(store) == sorted(each.turn.turn_id for each in made)


def test_a_store_that_lost_its_newest_rows_gets_them_again(store: Store, journal: Journal):
    keys = record(journal, 5)
    store.drain()
    old = store.path.read_bytes()
    keys += record(journal, 5)
    journal.close()
    store.drain()
    store.path.write_bytes(old)
    Store(store.data_dir).drain()
    assert ids(store) == sorted(keys)


def test_a_line_that_fits_no_table_hides_nothing_before_it_is_drained(store: Store, journal: Journal):
    record(journal, 3)
    odd = make_trace(started_at=NOW)
    journal.write(replace(odd, turn=replace(odd.turn, seconds="soon")))  # type: ignore[arg-type] # as damaged
    record(journal, 2)
    with store.read() as ledger:
        assert len(ledger.rows("select turn_id from turns")) == 5
    assert store.drain().damaged == 1
    assert len(ids(store)) == 5


def test_a_store_that_was_taken_away_is_built_again(store: Store, journal: Journal):
    keys = record(journal, 5)
    journal.close()
    store.drain()
    store.path.unlink()
    store.drain()
    assert ids(store) == keys


def test_a_newer_schema_is_not_written_to(store: Store, journal: Journal):
    keys = record(journal, 1)
    store.drain()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("insert into migrations values (99, now())")
        connection.execute("alter table turns add column mood text")
    before = store.path.read_bytes()
    keys += record(journal, 1)
    with pytest.raises(StoreVersion, match="99"):
        Store(store.data_dir).drain()
    assert "99" in (store.health().trouble or "") or Store(store.data_dir).health().trouble
    assert store.path.read_bytes() == before
    assert ids(store) == sorted(keys)


def test_an_older_schema_is_kept_aside_and_brought_up_to_date(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    keys = record(journal, 1)
    store.drain()
    newer = (*duck.migrations(), "alter table marks add column note text")
    monkeypatch.setattr(duck, "migrations", lambda: newer)
    with pytest.raises(StoreVersion, match=f"version {len(newer) - 1}, this program needs {len(newer)}"):
        ids(store)
    keys += record(journal, 1)
    Store(store.data_dir).drain()
    assert (store.data_dir / f"traces.duckdb.version-{len(newer) - 1}").exists()
    assert ids(store) == sorted(keys)


def test_a_drainer_killed_while_making_the_store_leaves_an_empty_one(store: Store, journal: Journal):
    keys = record(journal, 2)
    duckdb.connect(str(store.path)).close()
    assert ids(store) == sorted(keys)
    store.drain()
    assert ids(store) == sorted(keys)
