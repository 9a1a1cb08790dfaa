"""Exports hold whole turns; what must be forgotten is gone from store, journal and exports."""

from __future__ import annotations

import gzip
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.factories import make_passage, make_score, make_trace
from traces import export, segments
from traces.errors import StoreBusy, StoreError
from traces.export import export_jsonl, export_parquet
from traces.journal import Journal
from traces.ledger import Ledger
from traces.queries.turns import trace
from traces.records import Payload, Trace
from traces.retention import erase, forget_turns, prune_turns
from traces.rows import TABLES
from traces.store import Store, drain_forever

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def record(store: Store, *traces: Any) -> None:
    journal = Journal(store.journal)
    for each in traces:
        journal.write(each)
    journal.close()


def test_jsonl_holds_whole_turns_of_a_time(store: Store, tmp_path: Path):
    old, new, live = (make_trace(started_at=NOW + timedelta(days=days)) for days in (-9, 0, 1))
    record(store, old, new)
    store.drain()
    record(store, live)
    out = tmp_path / "out.jsonl"
    assert export_jsonl(store.read, out) == 3
    assert export_jsonl(store.read, out, since=NOW - timedelta(days=1)) == 2
    assert export_jsonl(store.read, out, since=NOW - timedelta(days=1), until=NOW + timedelta(hours=1)) == 1
    (line,) = out.read_bytes().splitlines()
    assert orjson.loads(line) == orjson.loads(orjson.dumps(new))


@pytest.mark.usefixtures("shipped_stores")
def test_parquet_holds_every_table_drained_or_not(store: Store, tmp_path: Path):
    import duckdb

    record(store, make_trace())
    store.drain()
    record(store, make_trace())
    files = export_parquet(partial(store.read, exporting=True), tmp_path / "it's out")
    assert [file.stem for file in files] == list(TABLES)
    with duckdb.connect() as connection:
        counts = [len(connection.read_parquet(str(file)).fetchall()) for file in files]
    assert counts == [2, 2, 4, 2, 2, 0, 0, 0]
    with pytest.raises((StoreError, duckdb.Error)):
        export_parquet(store.read, tmp_path / "locked")


def test_a_long_export_lets_the_drainer_in_and_loses_and_doubles_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_PIECE", 2)
    old = [make_trace(started_at=NOW + timedelta(minutes=number // 3)) for number in range(7)]
    record(store, *old)
    store.drain()
    live = iter([make_trace(started_at=NOW + timedelta(hours=hour)) for hour in range(1, 3)])

    @contextmanager
    def read() -> Iterator[Ledger]:
        with store.read() as ledger:
            yield ledger
        if (more := next(live, None)) is not None:
            record(store, more)
            assert store.drain().lines == 1  # raises StoreBusy while a reader holds the store

    out = tmp_path / "out.jsonl"
    assert export_jsonl(read, out) == 9
    rows = [orjson.loads(line)["turn"] for line in out.read_bytes().splitlines()]
    assert {row["turn_id"] for row in rows} >= {trace.turn.turn_id for trace in old}
    assert len({row["turn_id"] for row in rows}) == 9
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)


def find(folder: Path, text: str) -> list[str]:
    """Return the files under a folder, compressed ones unpacked, that hold a text."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if text.encode() in data:
                found.append(path.name)
    return found


def user_trace(user: str, word: str) -> Trace:
    made = make_trace(user_id=user, question=f"{word} question", answer=f"{word} answer")
    key = made.turn.turn_id
    return replace(
        made,
        payload=Payload(key, f"{word} prompt", f"{word} raw"),
        passages=(make_passage(key, text=f"{word} passage"),),
    )


def test_an_erased_user_is_gone_everywhere_and_stays_gone(store: Store):
    word = "xylophone" + os.urandom(4).hex()
    mine, others = user_trace("eve", word), user_trace("bob", "other")
    rating = make_score(others.turn.turn_id, user_id="eve", reason=word)
    judged = make_score(mine.turn.turn_id, "groundedness", 0.5, source="online", reason=word)
    record(store, mine, others, rating)
    store.drain()  # into the kept segments
    alive = Journal(store.journal)
    drained, undrained = user_trace("eve", word), user_trace("eve", word)
    alive.write(drained)
    store.drain()
    alive.write(undrained)
    alive.write(judged)
    alive.write(user_trace("bob", "other"))
    done = erase(store, "eve")
    assert (done.turns, done.scores, done.lines, done.left) == (3, 2, 5, ())
    alive.write(user_trace("bob", "other"))
    alive.close()
    store.drain()
    assert find(store.data_dir, word) == []
    for rebuilt in (False, True):
        if rebuilt:
            store.path.write_bytes(b"")
            Store(store.data_dir).drain()
        with store.read() as ledger:
            assert ledger.rows("select user_id, count(*) as n from turns group by 1") == [
                {"user_id": "bob", "n": 3}
            ]
            assert ledger.rows("select * from scores") == []
            assert trace(ledger, others.turn.turn_id) == others
    assert erase(store, "nobody").turns == 0


def test_erasing_names_the_quarantined_files_left_behind(store: Store):
    record(store, user_trace("eve", "w"))
    store.drain()
    store.path.write_bytes(b"")
    Store(store.data_dir).drain()
    (left,) = erase(store, "eve").left
    assert re.fullmatch(r"traces\.duckdb\.bad-\w+", left)


def test_old_texts_are_pruned_and_turns_stay_even_after_a_rebuild(store: Store):
    old, new = user_trace("ada", "old"), user_trace("ada", "new")
    old = replace(old, turn=replace(old.turn, started_at=NOW - timedelta(days=40)))
    new = replace(new, turn=replace(new.turn, started_at=NOW - timedelta(days=1)))
    record(store, old)
    store.drain()
    (path,) = segments.drained(store.journal)
    long_ago = (NOW - timedelta(days=40)).timestamp()
    os.utime(path, (long_ago, long_ago))
    record(store, new)
    store.drain()
    done = prune_turns(store, 30, NOW)
    assert (done.payloads, done.passages, done.segments) == (1, 1, 1)
    assert prune_turns(store, 30, NOW) == type(done)(0, 0, 0)
    assert store.drain().lines == 0
    slim = replace(
        old, payload=Payload(old.turn.turn_id), passages=tuple(replace(p, text=None) for p in old.passages)
    )
    for rebuilt in (False, True):
        if rebuilt:
            store.path.write_bytes(b"")
            assert Store(store.data_dir).drain().lines == 2
        with store.read() as ledger:
            assert trace(ledger, old.turn.turn_id) == slim
            assert trace(ledger, new.turn.turn_id) == new


def test_old_turns_go_whole_and_a_rebuild_does_not_bring_them_back(store: Store):
    def turn(days: int, **columns: Any) -> Trace:
        trace = user_trace("ada", f"word{days}")
        return replace(trace, turn=replace(trace.turn, started_at=NOW - timedelta(days=days), **columns))

    old, evaluated, new = turn(400), turn(390, door="eval", run_id="r1"), turn(20)
    record(store, old, evaluated)
    record(store, make_score(old.turn.turn_id, created_at=NOW - timedelta(days=399)))
    store.drain()
    then = (NOW - timedelta(days=380)).timestamp()
    for path in segments.drained(store.journal):
        os.utime(path, (then, then))
    record(store, new)
    store.drain()
    assert forget_turns(store, 401, NOW) == 0
    assert forget_turns(store, 365, NOW) == 1
    assert forget_turns(store, 365, NOW) == 0
    assert prune_turns(store, 30, NOW).segments == 0
    kept = {evaluated.turn.turn_id, new.turn.turn_id}
    for rebuilt in (False, True):
        if rebuilt:
            store.path.write_bytes(b"")
            Store(store.data_dir).drain()
        with store.read() as ledger:
            assert {row["turn_id"] for row in ledger.rows("select turn_id from turns")} == kept
            assert {row["turn_id"] for row in ledger.rows("select turn_id from spans")} <= kept
            assert ledger.rows("select count(*) as n from scores") == [{"n": 0}]
    assert not any(b"word400" in gzip.decompress(p.read_bytes()) for p in segments.drained(store.journal))


def test_the_drainer_prunes_by_itself(store: Store):
    old = user_trace("ada", "old")
    old = replace(old, turn=replace(old.turn, started_at=datetime.now(UTC) - timedelta(days=40)))
    record(store, old)
    stop = threading.Event()
    drainer = threading.Thread(target=drain_forever, args=(store, stop, 0.02, 30))
    drainer.start()
    try:
        until = time.monotonic() + 60
        payload = old.payload
        while payload.prompt is not None:
            assert time.monotonic() < until
            with suppress(StoreBusy), store.read() as ledger:  # the schema is made under the lock
                found = trace(ledger, old.turn.turn_id)
                assert found is not None
                payload = found.payload
    finally:
        stop.set()
        drainer.join()


def test_pruning_nothing_is_fine(tmp_path: Path):
    assert prune_turns(Store(tmp_path), 30, NOW).payloads == 0
    assert erase(Store(tmp_path), "ada").turns == 0
