"""The ledger in PostgreSQL keeps what the embedded one promises, from many hosts and over kills."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.databases import Databases
from tests.factories import make_passage, make_score, make_trace
from tests.recorded import ids, record
from tests.traces.postgres_ledger import address, alive, run, shared
from traces.errors import StoreError
from traces.export import export_jsonl, export_parquet
from traces.ids import uuid7
from traces.journal import Journal
from traces.postgres import dialect, schema
from traces.queries.turns import trace
from traces.records import Payload, Trace
from traces.retention import erase, forget_turns, prune_turns
from traces.rows import TABLES, columns
from traces.store import Store

__all__ = ["address", "alive", "shared"]

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def test_lines_are_drained_once(shared: Store, alive: Journal, address: str) -> None:
    keys = record(alive, 5)
    assert ids(shared) == sorted(keys)  # the live tail
    assert shared.drain().lines == 5
    assert shared.drain().lines == 0
    keys += record(alive, 3)
    assert ids(shared) == sorted(keys)
    assert Store(shared.data_dir, address).drain().lines == 3
    assert ids(shared) == sorted(keys)
    alive.close()
    assert shared.drain().retired == 1
    assert ids(shared) == sorted(keys)


def test_two_drainers_with_old_marks_add_nothing_twice(shared: Store, alive: Journal, address: str) -> None:
    other = Store(shared.data_dir, address)
    keys = record(alive, 2)
    shared.drain()
    other.drain()
    keys += record(alive, 2)
    other.drain()
    keys += record(alive, 2)
    assert shared.drain().lines == 2
    assert ids(shared) == sorted(keys)


def test_hosts_share_one_ledger_and_see_their_own_tail(postgres: Databases, tmp_path: Path) -> None:
    address = postgres.fresh()
    hosts = [Store(tmp_path / name, address) for name in ("one", "two")]
    journals = [Journal(host.journal) for host in hosts]
    first, second = record(journals[0], 3), record(journals[1], 2)
    hosts[0].drain()
    assert ids(hosts[0]) == sorted(first)
    assert ids(hosts[1]) == sorted(first + second)
    hosts[1].drain()
    assert ids(hosts[0]) == ids(hosts[1]) == sorted(first + second)
    for journal in journals:
        journal.close()


def test_hosts_that_start_at_once_make_one_schema(postgres: Databases, tmp_path: Path) -> None:
    address, keys, troubles = postgres.fresh(), [], []
    stores = [Store(tmp_path / str(number), address) for number in range(4)]
    for store in stores:
        journal = Journal(store.journal)
        keys += record(journal, 2)
        journal.close()

    def drain(store: Store) -> None:
        try:
            store.drain()
        except StoreError as error:
            troubles.append(error)

    threads = [threading.Thread(target=drain, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (troubles, ids(stores[0])) == ([], sorted(keys))
    assert run(address, "select count(*) from answerdeck.migrations") == [(len(schema.migrations()),)]


def test_a_line_that_fits_no_table_is_put_aside_alone(shared: Store, alive: Journal) -> None:
    keys = record(alive, 3)
    (path,) = shared.journal.glob("[0-9]*.jsonl")
    with path.open("ab") as file:
        file.write(
            b'{"kind":"score","written_ns":1,"score_id":"s","turn_id":"t","name":"n","value":"many",'
            b'"source":"user","created_at":"2026-11-23T05:00:00Z","failed":false}\n'
        )
    keys += record(alive, 2)
    with shared.read() as ledger:  # the tail cannot be read whole, but the store can
        assert ledger.hidden_bytes > 0
    done = shared.drain()
    assert (done.lines, done.damaged) == (5, 1)
    assert ids(shared) == sorted(keys)


def test_a_trace_comes_back_as_it_was_recorded(shared: Store, alive: Journal) -> None:
    made = make_trace(
        question="ü\u2028 \\ 'q' %s $x", answer="a\tb\\n", started_at=NOW, hit=None, cost_usd=1e-9
    )
    odd = {"a\x00": [1, None, "\\u0000"], "ü": {"b": 1.5}}
    made = replace(made, spans=(replace(made.spans[0], attributes=odd), *made.spans[1:]))
    alive.write(made)
    tidy = {"a\ufffd": [1, None, "\\u0000"], "ü": {"b": 1.5}}
    wanted = replace(made, spans=(replace(made.spans[0], attributes=tidy), *made.spans[1:]))
    for _ in ("from the live tail", "from the store"):
        with shared.read() as ledger:
            assert trace(ledger, made.turn.turn_id) == wanted
        shared.drain()


def test_tables_have_the_columns_of_the_dataclasses_and_go_to_files(
    shared: Store, alive: Journal, tmp_path: Path
) -> None:
    import pyarrow.parquet

    record(alive, 2)
    alive.write(make_score("t", tags="a,b"))
    shared.drain()
    record(alive, 1)
    with shared.read(exporting=True) as ledger:
        for table in TABLES:
            assert list(ledger.frame(f"table {table}").columns) == list(columns(table))
    files = export_parquet(partial(shared.read, exporting=True), tmp_path / "out")
    assert export_jsonl(shared.read, tmp_path / "out.jsonl") == 3
    read = {file.stem: pyarrow.parquet.read_table(file) for file in files}
    assert [table.num_rows for table in read.values()] == [3, 3, 6, 3, 3, 1, 0, 0]
    assert str(read["turns"].schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert read["spans"]["attributes"][0].as_py() == "{}"


def user_trace(user: str, word: str, **columns: Any) -> Trace:
    made = make_trace(user_id=user, question=f"{word} question", answer=f"{word} answer", **columns)
    key = made.turn.turn_id
    payload = Payload(key, f"{word} prompt", f"{word} raw")
    return replace(made, payload=payload, passages=(make_passage(key, text=f"{word} passage"),))


def test_an_erased_user_is_gone_from_the_ledger_and_this_journal(postgres: Databases, tmp_path: Path) -> None:
    address = postgres.fresh()
    here, there = Store(tmp_path / "here", address), Store(tmp_path / "there", address)
    for store in (here, there):
        journal = Journal(store.journal)
        mine, others = user_trace("eve", "xylophone"), user_trace("bob", "other")
        for line in (mine, others, make_score(others.turn.turn_id, user_id="eve", reason="xylophone")):
            journal.write(line)
        journal.close()
        store.drain()
    done = erase(here, "eve")
    assert (done.turns, done.scores, done.lines) == (2, 2, 2)
    (left,) = done.left
    assert re.fullmatch(r"the journal of host \S+", left)
    with here.read() as ledger:
        assert ledger.rows("select user_id, count(*) as n from turns group by 1") == [
            {"user_id": "bob", "n": 2}
        ]
        assert ledger.rows("select * from scores") == []
        assert ledger.rows("select * from payloads where prompt like 'xylo%'") == []
    assert erase(there, "eve").lines == 2


def test_old_texts_are_forgotten_month_by_month_and_turns_stay(
    shared: Store, alive: Journal, address: str
) -> None:
    def at(days: float) -> Trace:
        started_at = NOW - timedelta(days=days)
        return user_trace("ada", "w", started_at=started_at, turn_id=uuid7(int(started_at.timestamp() * 1e9)))

    odd = user_trace("ada", "w", started_at=NOW - timedelta(days=90), turn_id="imported-1")
    for made in (at(100), at(70), at(69), at(24), at(22), at(1), odd):
        alive.write(made)
    shared.drain()
    parts = "select relname from pg_class where relname like 'payloads\\_20%' and relkind = 'r' order by 1"
    assert [row[0] for row in run(address, parts)] == [f"payloads_2026_{n:02d}" for n in (8, 9, 10, 11)]
    done = prune_turns(shared, 23, NOW)
    assert (done.payloads, done.passages) == (5, 5)
    assert [row[0] for row in run(address, parts)] == ["payloads_2026_10", "payloads_2026_11"]
    with shared.read() as ledger:
        assert ledger.rows("select count(*) as n from turns") == [{"n": 7}]
        assert ledger.rows("select count(*) as n from payloads") == [{"n": 2}]
    assert prune_turns(shared, 23, NOW).payloads == 0
    assert forget_turns(shared, 80, NOW) == 2
    with shared.read() as ledger:
        assert ledger.rows("select count(*) as n from spans where turn_id = 'imported-1'") == [{"n": 0}]
        assert ledger.rows("select count(*) as n from turns") == [{"n": 5}]


def test_the_months_bounds_hold_every_id_of_the_month() -> None:
    for moment in ("2026-12-31T23:59:59.999", "2026-12-01T00:00:00", "2027-01-01T00:00:00"):
        when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        key = uuid7(int(when.timestamp() * 1000) * 1_000_000)
        month = dialect.month(key)
        assert month is not None and month.begin <= key < month.end, moment
        assert month.name == f"payloads_{when:%Y_%m}"
    assert dialect.month("imported-1") is None
