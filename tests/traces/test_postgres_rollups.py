"""The rollups in PostgreSQL: always what the rows say, from many hosts and with a live tail."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.databases import Databases
from tests.traces.test_rollups import NOON, WEEK, thumb, traffic, write
from traces import retention, rollups
from traces.journal import Journal
from traces.postgres import dialect, schema
from traces.queries.board import board
from traces.store import Store


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.fresh()


def host(folder: Path, address: str, *records: Any) -> Store:
    """Drain records of a host of their own."""
    store = Store(folder, address)
    journal = Journal(store.journal)
    write(journal, *records)
    journal.close()
    store.drain()
    return store


def stored(address: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(address) as connection:
        return {
            table: sorted(connection.execute(f"table {dialect.STORED}.{table}".encode()).fetchall(), key=repr)
            for table in rollups.TABLES
        }


def as_rebuilt(store: Store, address: str) -> bool:
    before = stored(address)
    store.rebuild()
    return before == stored(address)


def test_they_are_what_a_rebuild_makes_from_two_hosts_and_late_lines(address: str, tmp_path: Path) -> None:
    turns = list(traffic(120))
    late = turns[40:50]
    host(tmp_path / "one", address, *(turn for turn in turns[:80] if turn not in late))
    two = host(tmp_path / "two", address, *turns[80:], thumb(turns[5], -1.0))
    host(tmp_path / "one", address, *late, thumb(turns[5], 1.0, minutes=9), thumb(turns[6], -1.0))
    before = stored(address)
    assert all(before.values())
    assert as_rebuilt(two, address)
    with two.read() as ledger:
        now = board(ledger, WEEK, 86_400).now
    assert now.turns == sum(turn.turn.door != "eval" for turn in turns)
    assert now.rated == sum(turn.turn.door != "eval" for turn in (turns[5], turns[6]))
    retention.erase(two, "user-1")
    assert as_rebuilt(two, address)
    for user in range(5):
        retention.erase(two, f"user-{user}")
    assert not any(stored(address).values())


def test_hosts_that_drain_the_same_hour_at_once_count_it_once(address: str, tmp_path: Path) -> None:
    turns = list(traffic(80, days=0.1))
    stores = [Store(tmp_path / str(number), address) for number in range(4)]
    for number, store in enumerate(stores):
        journal = Journal(store.journal)
        write(journal, *turns[number::4])
        journal.close()
    stores[0].drain()  # the schema is there
    threads = [threading.Thread(target=store.drain) for store in stores[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(row[8] for row in stored(address)["hourly"]) == len(turns)
    assert as_rebuilt(stores[0], address)


def test_a_live_tail_that_reaches_into_closed_days_is_read_beside_them(address: str, tmp_path: Path) -> None:
    turns = list(traffic(90))
    late = [turn for turn in turns[10:40:9] if turn.turn.door != "eval"]
    store = host(tmp_path, address, *(turn for turn in turns if turn not in late))
    journal = Journal(store.journal)
    write(journal, *late)
    journal.close()
    with store.read() as ledger:
        live = board(ledger, WEEK, 86_400)
    store.drain()
    with store.read() as ledger:
        assert live == board(ledger, WEEK, 86_400)
    assert live.now.turns == sum(turn.turn.door != "eval" for turn in turns)


def test_a_ledger_loses_the_table_that_no_question_was_asked_of(address: str, tmp_path: Path) -> None:
    store = host(tmp_path, address, *traffic(3))
    with psycopg.connect(address) as connection:  # as version 8 left it
        table, view = f"{dialect.STORED}.daily_parts", f"{dialect.READ}.daily_parts"
        connection.execute(f"create table {table} (part text not null)".encode())
        connection.execute(f"create view {view} as select * from {table}".encode())  # noqa: S608 - constants
        connection.execute(f"delete from {dialect.STORED}.migrations where version > 8".encode())  # noqa: S608
    host(tmp_path, address, *traffic(3, seed=9))
    with psycopg.connect(address) as connection:
        there = connection.execute("select 1 from pg_class where relname = 'daily_parts'").fetchall()
    assert there == [] and as_rebuilt(store, address)


def test_an_older_ledger_gets_its_rollups_filled(address: str, tmp_path: Path) -> None:
    store = host(tmp_path, address, *traffic(30))
    whole = stored(address)
    with psycopg.connect(address) as connection:  # as version 4 left it
        connection.execute(f"drop schema {dialect.READ} cascade".encode())
        for table in (*rollups.TABLES, *rollups.TOPICS):
            connection.execute(f"drop table {dialect.STORED}.{table}".encode())
        connection.execute(f"alter table {dialect.STORED}.scores drop column repetition".encode())
        delete = f"delete from {dialect.STORED}.migrations where version >= %s"  # noqa: S608 - a constant
        connection.execute(delete.encode(), [schema.TABLES])
    [turn] = traffic(1, seed=9)
    newer = replace(turn, turn=replace(turn.turn, started_at=datetime(2026, 11, 21, tzinfo=UTC)))
    host(tmp_path, address, newer)
    assert len(stored(address)["hourly"]) == len(whole["hourly"]) + 1
    assert as_rebuilt(store, address)
    assert NOON - timedelta(days=4) < stored(address)["hourly"][0][0]
