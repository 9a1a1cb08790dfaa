"""Readers, drainers and strangers share one data folder."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import pytest

from tests.factories import make_score
from tests.recorded import ids, record
from traces import duck, rows, writers
from traces.errors import StoreBusy
from traces.journal import Journal, encode
from traces.locks import holding
from traces.store import Store, drain_forever

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def test_a_reader_waits_for_a_window_and_then_says_busy(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    record(journal, 1)
    store.drain()
    monkeypatch.setattr("traces.embedded.READER_WAITS_SECONDS", 0.1)
    with holding(store.data_dir, "alone", 1), pytest.raises(StoreBusy, match="try again"):
        ids(store)
    assert len(ids(store)) == 1


def test_a_patient_command_outwaits_what_makes_a_page_say_busy(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    record(journal, 1)
    store.drain()
    record(journal, 1)
    for name in ("READER_WAITS_SECONDS", "WRITER_WAITS_SECONDS"):
        monkeypatch.setattr(f"traces.embedded.{name}", 0.02)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with holding(store.data_dir, "alone", 1):
            held.set()
            done.wait(0.2)

    for work in (store.drain, lambda: ids(store)):
        with pytest.raises(StoreBusy):
            _beside(hold, held, work)
        store.patience = 30.0
        assert _beside(hold, held, work) is not None
        store.patience = 0.0


def _beside(hold: Callable[[], None], held: threading.Event, work: Callable[[], object]) -> object:
    """Do the work while another thread holds the store."""
    holder = threading.Thread(target=hold)
    holder.start()
    try:
        held.wait(5)
        return work()
    finally:
        holder.join()
        held.clear()


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


def test_a_waiting_drainer_goes_before_new_readers(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("traces.embedded.WRITER_WAITS_SECONDS", 60.0)  # readers without end would outlast it
    record(journal, 1)
    store.drain()
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            with suppress(StoreBusy):  # on a slow machine a reader may give up; the drainer may not
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


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_repetition_that_rode_in_the_tags_gets_its_column(store: Store, journal: Journal):
    journal.write(make_score("t1", tags="repetition:2"))
    store.drain()
    with writers.writing(store.path) as connection:  # as migration 5 left it
        connection.execute("alter table scores drop column repetition")
        connection.execute("drop table missing; drop table latest; drop table hourly_left")
        connection.execute("delete from migrations where version > 5")
    line = orjson.loads(encode(make_score("t2", tags="repetition:3")))
    del line["repetition"]
    assert rows.rows(orjson.dumps(line))[0][1][-1] == 3
    journal.write(make_score("t3", tags="too long", repetition=None))
    store.drain()
    with store.read() as ledger:
        scores = ledger.rows("select turn_id, repetition, tags from scores order by turn_id")
    assert [tuple(score.values()) for score in scores] == [("t1", 2, None), ("t3", None, "too long")]


def test_migrations_are_numbered_without_a_gap_or_a_double() -> None:
    numbers = [int(path.name[:3]) for path in sorted(duck.SCHEMA.glob("[0-9]*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))
