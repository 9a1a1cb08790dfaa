"""Every journal line is moved exactly once, whatever the line or its segment looks like."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.recorded import ids, record
from traces import segments
from traces.journal import Journal
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


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
    assert (segments.live(store.journal), len(segments.drained(store.journal))) == ([], 1)
