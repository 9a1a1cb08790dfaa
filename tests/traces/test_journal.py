"""The journal keeps every acknowledged record, whole, safe and free of secrets."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.factories import make_score, make_trace
from traces.journal import Journal, JournalError, encode
from traces.records import Span


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for path in sorted(folder.glob("[0-9]*.jsonl"))
        for line in path.read_bytes().splitlines()
        if line
    ]


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def test_each_record_is_one_line_with_its_kind(journal: Journal):
    trace, score = make_trace(), make_score("t")
    journal.write(trace)
    journal.write(score)
    first, second = lines(journal.folder)
    assert (first["kind"], first["turn"]["turn_id"]) == ("trace", trace.turn.turn_id)
    assert (second["kind"], second["score_id"]) == ("score", score.score_id)
    assert first["written_ns"] <= second["written_ns"]


def test_nothing_is_created_before_the_first_record(tmp_path: Path):
    Journal(tmp_path / "journal").close()
    assert list(tmp_path.iterdir()) == []


def test_full_segments_are_followed_by_new_ones(tmp_path: Path):
    journal = Journal(tmp_path, segment_bytes=10_000)
    for _ in range(20):
        journal.write(make_trace())
    journal.close()
    assert len(list(tmp_path.glob("*.jsonl"))) > 2
    assert len(lines(tmp_path)) == 20


def test_a_closed_journal_opens_again(journal: Journal):
    journal.write(make_trace())
    journal.close()
    journal.write(make_trace())
    assert len(lines(journal.folder)) == 2


def test_fsync_durability_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    journal = Journal(tmp_path, "fsync")
    journal.write(make_trace())
    assert len(synced) == 1
    journal.close()
    assert len(lines(tmp_path)) == 1


def test_background_durability_syncs_within_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.set())
    journal = Journal(tmp_path)
    journal.write(make_trace())
    assert synced.wait(60)
    journal.close()


@pytest.mark.parametrize(
    "text", ["lone \ud800 surrogate", "NUL \0 inside", "line\nbreak", "\U0001f600 مرحبا"]
)
def test_odd_texts_are_one_sound_line(journal: Journal, text: str):
    journal.write(make_trace(question=text))
    (line,) = lines(journal.folder)
    assert line["turn"]["question"] == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_become_null(journal: Journal, number: float):
    journal.write(make_trace(cost_usd=number))
    assert lines(journal.folder)[0]["turn"]["cost_usd"] is None


class Odd:
    def __str__(self) -> str:
        return "odd"


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value", [Odd(), 2**70, {1: "one"}, {"deep": endless()}, {"set": {1}}, b"bytes", "\udfff", {"\ud800": 1}]
)
def test_odd_attributes_never_lose_a_trace(journal: Journal, value: Any):
    trace = make_trace()
    span = Span(trace.turn.turn_id, 1, 0, "odd", "model", 0.0, 0.0, {"value": value})
    journal.write(replace(trace, spans=(span,)))
    assert lines(journal.folder)[0]["turn"]["turn_id"] == trace.turn.turn_id


def test_threads_share_one_journal(journal: Journal):
    def write() -> None:
        for _ in range(100):
            journal.write(make_score("t", reason="x" * 500))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({line["score_id"] for line in lines(journal.folder)}) == 400


def test_a_forked_child_writes_its_own_segment(journal: Journal):
    journal.write(make_trace())
    child = os.fork()
    if child == 0:
        try:
            journal.write(make_trace())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    journal.write(make_trace())
    sizes = {
        path.name.split("-")[1]: len(path.read_bytes().splitlines())
        for path in journal.folder.glob("*.jsonl")
    }
    assert sizes == {f"{os.getpid()}.jsonl": 2, f"{child}.jsonl": 1}


class Disk:
    """Stands in for os.write: takes `room` bytes, then is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write: Callable[[int, bytes], int] = os.write

    def __call__(self, file: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.write(file, data[: self.room])
        self.room -= written
        return written


def test_a_full_disk_is_said_counted_and_survived(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    journal.write(make_trace(question="before"))
    with monkeypatch.context() as full:
        full.setattr(os, "write", Disk(room=100))
        for _ in range(3):
            with pytest.raises(JournalError, match="No space left"):
                journal.write(make_trace(question="lost"))
    assert (journal.dropped, journal.trouble) == (3, "OSError: No space left on device")
    journal.write(make_trace(question="after"))
    assert journal.trouble is None
    (path,) = journal.folder.glob("*.jsonl")
    before, half, after = path.read_bytes().splitlines()
    assert orjson.loads(before)["turn"]["question"] == "before"
    assert len(half) == 100
    assert orjson.loads(after)["turn"]["question"] == "after"


def test_short_writes_are_finished(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:700]))
    journal.write(make_trace())
    journal.write(make_trace())
    assert len(lines(journal.folder)) == 2


def test_a_folder_that_cannot_be_made_is_a_journal_error(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file" / "journal")
    with pytest.raises(JournalError, match="cannot write"):
        journal.write(make_trace())
    assert journal.dropped == 1


def test_only_the_owner_may_read_a_segment(journal: Journal):
    journal.write(make_trace())
    (path,) = journal.folder.glob("*.jsonl")
    assert (path.stat().st_mode & 0o777, journal.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_encoding_gives_the_dataclass_fields():
    trace = make_trace()
    line = orjson.loads(encode(trace))
    assert list(line) == ["kind", "written_ns", *type(trace).__dataclass_fields__]
    assert list(line["turn"]) == list(type(trace.turn).__dataclass_fields__)


def test_importing_the_journal_imports_no_heavy_library():
    heavy = "{'duckdb', 'pandas', 'pyarrow', 'numpy', 'lancedb'}"
    code = f"import sys, traces.journal, traces.store, traces.recorder; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
