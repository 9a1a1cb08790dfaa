"""The store gives back what was recorded, exactly once, whatever happens to its files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import make_passage, make_score, make_trace
from traces import duck, segments
from traces.errors import StoreBusy, StoreDamaged, StoreError, StoreVersion
from traces.journal import Journal
from traces.locks import holding
from traces.queries.turns import find_turn_prefix, trace
from traces.records import Case, Run, Span, SpanKind, Usage
from traces.rows import TABLES, columns
from traces.store import Store, drain_forever

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def journal(store: Store):
    journal = Journal(store.journal)
    yield journal
    journal.close()


def ids(store: Store) -> list[str]:
    with store.read() as ledger:
        return [row["turn_id"] for row in ledger.rows("select turn_id from turns order by turn_id")]


def record(journal: Journal, turns: int) -> list[str]:
    """Record some turns; returns their ids in order."""
    made = [make_trace() for _ in range(turns)]
    for each in made:
        journal.write(each)
    return sorted(each.turn.turn_id for each in made)


# What was recorded comes back

texts = st.text(st.characters(codec=None), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def any_trace(draw: st.DrawFn) -> Any:
    base = make_trace(
        question=draw(texts),
        answer=draw(st.none() | texts),
        started_at=draw(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        cost_usd=draw(st.none() | numbers),
        input_tokens=draw(st.none() | st.integers(0, 2**62)),
        hit=draw(st.none() | st.booleans()),
    )
    key = base.turn.turn_id
    kinds = st.sampled_from(get_args(SpanKind))
    return replace(
        base,
        payload=replace(base.payload, prompt=draw(st.none() | texts), raw_response=draw(st.none() | texts)),
        spans=tuple(
            Span(
                key, n, draw(st.none() | st.just(0)), draw(texts), draw(kinds), draw(numbers), 0.5, draw(each)
            )
            for n, each in enumerate(
                [st.dictionaries(st.text(max_size=5), values, max_size=3)] * draw(st.integers(0, 3))
            )
        ),
        passages=tuple(
            make_passage(key, n, text=draw(st.none() | texts), vector_score=draw(st.none() | numbers))
            for n in range(1, draw(st.integers(0, 3)) + 1)
        ),
        usages=tuple(
            Usage(
                key,
                n,
                "answer",
                draw(texts),
                cost_usd=draw(st.none() | numbers),
                estimated=draw(st.booleans()),
            )
            for n in range(1, draw(st.integers(0, 2)) + 1)
        ),
        scores=tuple(
            make_score(
                key,
                draw(texts),
                draw(st.none() | numbers),
                source="online",
                created_at=NOW + timedelta(seconds=n),
            )
            for n in range(draw(st.integers(0, 2)))
        ),
    )


def sound(value: Any) -> Any:
    """Replace lone surrogates as the journal does."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(sound(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{field.name: sound(getattr(value, field.name)) for field in fields(value)})
    return value


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_trace(), min_size=1, max_size=15))
def test_a_trace_comes_back_as_it_was_recorded(tmp_path: Path, recorded: list[Any]):
    data = tmp_path / recorded[0].turn.turn_id
    store, journal = Store(data), Journal(data / "journal")
    for each in recorded:
        journal.write(each)
    for _ in ("from the live tail", "from the store"):
        with store.read() as ledger:
            for each in recorded:
                assert trace(ledger, each.turn.turn_id) == sound(each)
        store.drain()
    journal.close()


def test_nothing_is_unknown_to_an_empty_store(store: Store):
    with store.read() as ledger:
        assert trace(ledger, "nobody") is None
        assert ledger.rows("select count(*) as n from turns") == [{"n": 0}]
    assert store.drain().lines == 0
    assert list(store.data_dir.iterdir()) == [] or ids(store) == []


def test_a_turn_is_found_by_the_start_of_its_id(store: Store, journal: Journal):
    (key,) = record(journal, 1)
    with store.read() as ledger:
        assert find_turn_prefix(ledger, key[:13]) == [key]
        assert find_turn_prefix(ledger, "zzz") == []


def test_tables_have_exactly_the_columns_of_the_dataclasses(store: Store, journal: Journal):
    record(journal, 1)
    for _ in range(2):
        with store.read() as ledger:
            for table in TABLES:
                assert list(ledger.frame(f"table {table}").columns) == list(columns(table))
        store.drain()


def test_the_newest_record_of_a_run_and_the_last_word_of_a_user_count(store: Store, journal: Journal):
    run = Run("r", "demo", "f", "answer@v1", "running", NOW, done=0)
    journal.write(run)
    journal.write(Case("r", "c", "Why?", relevant_ids=["a", "b"], history=[{"role": "user", "text": "Hi"}]))
    journal.write(make_score("t", value=1.0, user_id="ada", created_at=NOW))
    store.drain()
    journal.write(replace(run, state="finished", done=7, settings={"candidates": 20}))
    journal.write(make_score("t", value=-1.0, user_id="ada", created_at=NOW + timedelta(seconds=1)))
    journal.write(make_score("t", value=1.0, user_id="bob", created_at=NOW))
    journal.write(make_score("t", "recall@5", 0.2, source="eval"))
    for _ in range(2):
        with store.read() as ledger:
            (found,) = ledger.rows("select * from runs")
            assert Run(**found) == replace(run, state="finished", done=7, settings={"candidates": 20})
            (case,) = ledger.rows("select * from cases")
            assert Case(**case).relevant_ids == ["a", "b"]
            assert Case(**case).history == [{"role": "user", "text": "Hi"}]
            in_force = ledger.rows("select user_id, value from scores order by user_id nulls last")
            assert [(row["user_id"], row["value"]) for row in in_force] == [
                ("ada", -1.0),
                ("bob", 1.0),
                (None, 0.2),
            ]
            assert len(ledger.rows("select * from score_history")) == 4
        store.drain()


PORTABLE = """
with hourly as (
    select date_trunc('hour', started_at) as hour, model,
           percentile_cont(0.95) within group (order by seconds) as p95,
           count(*) filter (where outcome = 'failed') as failed,
           avg(case when hit then 1.0 else 0.0 end) as hit_rate
    from turns where started_at >= $since and question ilike $like group by 1, 2
)
select *, row_number() over (partition by model order by hour) as n from hourly order by hour
"""


def test_the_shared_subset_of_sql_works_with_bound_values(store: Store, journal: Journal):
    journal.write(make_trace(started_at=NOW, seconds=1.0, question="100% sure?"))
    journal.write(make_trace(started_at=NOW + timedelta(minutes=1), seconds=2.0, outcome="failed"))
    store.drain()
    with store.read() as ledger:
        (row,) = ledger.rows(PORTABLE, since=NOW - timedelta(days=1), like="%")
        assert row["hour"] == NOW
        assert row["p95"] == pytest.approx(1.95)
        assert (row["failed"], row["hit_rate"], row["n"]) == (1, 1.0, 1)
        assert ledger.rows(PORTABLE, since=NOW, like="' or 1=1 --") == []
        with pytest.raises(duckdb.Error):
            ledger.rows("select * from no_such_table")


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/passwd')",
        "copy (select 1) to '/tmp/out.csv'",
        "attach '/tmp/other.duckdb' as other",
        "set enable_external_access = true",
        "install httpfs",
        "select * from os",  # a Python name is no table
    ],
)
def test_a_reader_can_only_read_the_ledger(store: Store, journal: Journal, sql: str):
    record(journal, 1)
    store.drain()
    with store.read() as ledger, pytest.raises((duckdb.Error, StoreError)):
        ledger.rows(sql)
    with store.read() as ledger, pytest.raises((duckdb.Error, StoreError)):
        ledger.rows("delete from stored.turns")


# Exactly once


def test_lines_are_drained_once(store: Store, journal: Journal):
    keys = record(journal, 5)
    assert store.drain().lines == 5
    assert store.drain().lines == 0
    keys += record(journal, 3)
    assert ids(store) == sorted(keys)
    assert Store(store.data_dir).drain().lines == 3
    assert store.drain().lines == 0
    assert ids(store) == sorted(keys)


def test_two_drainers_with_old_marks_add_nothing_twice(store: Store, journal: Journal):
    other = Store(store.data_dir)
    keys = record(journal, 2)
    store.drain()
    other.drain()
    keys += record(journal, 2)
    other.drain()
    keys += record(journal, 2)
    assert store.drain().lines == 2
    assert ids(store) == sorted(keys)


def test_half_a_line_waits_for_its_end(store: Store, journal: Journal):
    keys = record(journal, 1)
    (path,) = segments.live(store.journal)
    line = path.read_bytes()
    with path.open("ab") as file:
        file.write(line[:200])
    assert ids(store) == keys
    assert store.drain().lines == 1
    with path.open("ab") as file:
        file.write(line[200:])
    assert store.drain().lines == 1


def test_a_torn_last_line_is_put_aside_when_its_writer_is_gone(store: Store, journal: Journal):
    keys = record(journal, 2)
    (path,) = segments.live(store.journal)
    with path.open("ab") as file:
        file.write(b'{"kind":"trace","turn":{"turn_id":"to')
    store.drain()
    assert store.health().damaged_lines == 0
    journal.close()
    done = store.drain()
    assert (done.damaged, done.retired) == (1, 1)
    assert (store.health().damaged_lines, segments.live(store.journal)) == (1, [])
    assert "ended in the middle" in (store.journal / "damaged.jsonl").read_text()
    assert ids(store) == keys


DAMAGED_LINES = [
    b"not json",
    b'{"kind":"elephant"}',
    b'{"kind":"trace","turn":{}}',
    b'{"kind":"score"}',
    b"[1,2]",
    b"\xff\xfe\x00",
    b'{"kind":"run","run_id":"r"}',
    b'{"kind":"score","written_ns":1,"score_id":"s","turn_id":"t","name":"n","value":"many","source":"user",'
    b'"created_at":"2026-11-23T05:00:00Z","failed":false}',
    b'{"kind":"score","written_ns":1,"score_id":"s","turn_id":"t","name":"n","value":1,"source":"user",'
    b'"created_at":"yesterday","failed":false}',
]


def test_damaged_lines_never_block_the_others(store: Store, journal: Journal):
    keys: list[str] = []
    for line in DAMAGED_LINES:
        keys += record(journal, 2)
        (path,) = segments.live(store.journal)
        with path.open("ab") as file:
            file.write(line + b"\n\n")
    keys += record(journal, 1)
    done = store.drain()
    assert (done.lines, done.damaged) == (len(keys), len(DAMAGED_LINES))
    assert store.health().damaged_lines == len(DAMAGED_LINES)
    assert store.drain().lines == 0
    assert ids(store) == sorted(keys)


def test_a_big_backlog_moves_in_capped_windows(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("traces.drainer.WINDOW_BYTES", 20_000)
    keys = record(journal, 60)
    assert store.drain().windows > 3
    assert ids(store) == keys


def test_a_reader_shows_the_newest_of_a_backlog_it_cannot_hold(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("traces.store.TAIL_BYTES", 10_000)
    keys = record(journal, 30)
    with store.read() as ledger:
        shown = [row["turn_id"] for row in ledger.rows("select turn_id from turns order by turn_id")]
        assert 0 < len(shown) < 30
        assert shown == keys[-len(shown) :]
        assert ledger.hidden_bytes > 10_000
    store.drain()
    with store.read() as ledger:
        assert (len(ids(store)), ledger.hidden_bytes) == (30, 0)


def test_segments_go_only_when_drained_and_abandoned(store: Store, journal: Journal):
    record(journal, 1)
    assert store.drain().retired == 0
    assert len(segments.live(store.journal)) == 1
    journal.close()
    assert store.drain().retired == 1
    assert (segments.live(store.journal), len(segments.kept(store.journal))) == ([], 1)


# Damage


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
    with pytest.raises(StoreVersion, match="version 1, this program needs 2"):
        ids(store)
    keys += record(journal, 1)
    Store(store.data_dir).drain()
    assert (store.data_dir / "traces.duckdb.version-1").exists()
    assert ids(store) == sorted(keys)


# Beside each other


def test_a_reader_waits_for_a_window_and_then_says_busy(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    record(journal, 1)
    store.drain()
    monkeypatch.setattr("traces.store.READER_WAITS_SECONDS", 0.1)
    with holding(store.data_dir, "alone", 1), pytest.raises(StoreBusy, match="try again"):
        ids(store)
    assert len(ids(store)) == 1


def test_a_foreign_program_holding_the_file_is_busy_not_damage(store: Store, journal: Journal):
    keys = record(journal, 1)
    store.drain()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        keys += record(journal, 1)
        with pytest.raises(StoreBusy):
            ids(store)
        with pytest.raises(StoreBusy):
            store.drain()
        holder.communicate()
    store.drain()
    assert store.health().quarantined == ()
    assert ids(store) == sorted(keys)


def test_a_waiting_drainer_goes_before_new_readers(store: Store, journal: Journal):
    record(journal, 1)
    store.drain()
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            ids(store)

    readers = [threading.Thread(target=keep_reading) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(3):
            record(journal, 1)
            assert store.drain().lines == 1
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_only_one_process_is_the_drainer_and_a_dead_one_blocks_nobody(store: Store, journal: Journal):
    keys = record(journal, 1)
    code = (
        "import sys, threading; from pathlib import Path; from traces.store import Store, drain_forever;"
        "drain_forever(Store(Path(sys.argv[1])), threading.Event(), 0.05)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(store.data_dir)]) as drainer:
        until = time.monotonic() + 30
        while store.health().drainer != drainer.pid:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert not store.drain().elected
        drainer.kill()
    assert store.health().drainer is None
    keys += record(journal, 1)
    assert store.drain().elected
    assert ids(store) == sorted(keys)


def test_draining_in_a_thread_survives_trouble_and_ends(store: Store, journal: Journal):
    stop = threading.Event()
    drainer = threading.Thread(target=drain_forever, args=(store, stop, 0.02))
    drainer.start()
    try:
        keys = record(journal, 1)
        wait_for(lambda: store.path.exists())
        with holding(store.data_dir, "alone", 5):
            store.path.write_bytes(b"")
        keys += record(journal, 1)
        wait_for(lambda: bool(store.health().quarantined))
    finally:
        stop.set()
        drainer.join()
    assert ids(store) == sorted(keys)
    assert store.health().trouble is None


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)
