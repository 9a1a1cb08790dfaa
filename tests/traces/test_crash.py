"""kill -9 at any moment, of writers or drainer: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from traces.store import Store

LIFELINE = """
import os, sys, threading

threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(1)), daemon=True).start()
"""  # a child ends with the test that started it, however that ended
WRITER = """
import os, sys, time
from pathlib import Path
from tests.factories import make_trace
from traces.journal import Journal

journal = Journal(Path(sys.argv[1]) / "journal", segment_bytes=200_000)
acknowledged = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    trace = make_trace(answer="x" * 3000)
    journal.write(trace)
    os.write(acknowledged, trace.turn.turn_id.encode() + b"\\n")
    time.sleep(0.01)
"""
DRAINER = """
import sys, threading
from pathlib import Path
from traces.store import Store, drain_forever

drain_forever(Store(Path(sys.argv[1])), threading.Event(), 0.02)
"""
READER = """
import sys, time
from pathlib import Path
from traces.errors import StoreBusy
from traces.store import Store

store, seen = Store(Path(sys.argv[1])), 0
while True:
    try:
        with store.read() as ledger:
            (row,) = ledger.rows("select count(*) as n, count(distinct turn_id) as ids from turns")
    except StoreBusy:
        continue
    assert row["n"] == row["ids"], row
    assert row["n"] >= seen or ledger.hidden_bytes, (row, seen)
    seen = row["n"]
    time.sleep(0.05)
"""


class Crew:
    """Writer, drainer and reader processes on one data folder, to be killed and replaced."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.acknowledged = data / "acknowledged"
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, code: str) -> None:
        command = [sys.executable, "-c", LIFELINE + code, str(self.data), str(self.acknowledged)]
        child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE)
        self.running.append((code, child))

    def kill(self, at: int) -> None:
        """Kill one of them as a power cut would, and start another in its place."""
        code, process = self.running.pop(at)
        assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.start(code)

    def end(self) -> None:
        for code, process in self.running:
            if code == READER:
                assert process.poll() is None, "the reader saw something wrong"
            process.kill()
            process.communicate()

    def ids(self) -> list[str]:
        return self.acknowledged.read_text().splitlines() if self.acknowledged.exists() else []


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, kills: int):
    choose = random.Random(kills)
    crew = Crew(tmp_path)
    for code in (WRITER,) * 4 + (DRAINER, READER):
        crew.start(code)
    try:
        for _ in range(kills):
            before = len(crew.ids())
            until = time.monotonic() + 30
            while len(crew.ids()) < before + 5:  # somebody is at work: this kill can hurt
                assert time.monotonic() < until, "nobody writes"
                time.sleep(0.01)
            time.sleep(choose.uniform(0, 0.3))
            crew.kill(choose.choice([at for at, (code, _) in enumerate(crew.running) if code != READER]))
    finally:
        crew.end()
    acknowledged = crew.ids()
    assert len(acknowledged) > kills
    store = Store(tmp_path)
    with store.read() as ledger:
        live = [row["turn_id"] for row in ledger.rows("select turn_id from turns")]
        hidden = ledger.hidden_bytes
    store.drain()
    with store.read() as ledger:
        drained = [row["turn_id"] for row in ledger.rows("select turn_id from turns")]
        payloads = ledger.rows("select count(*) as n from payloads")[0]["n"]
    assert len(live) == len(set(live))
    assert len(drained) == len(set(drained)) == payloads
    assert hidden or set(acknowledged) <= set(live)
    assert set(acknowledged) <= set(drained)
    assert store.health().quarantined == ()


def test_a_turn_is_seen_by_every_read_of_another_process_that_begins_after_it(tmp_path: Path):
    from tests.factories import make_trace
    from traces.journal import Journal

    code = (
        "import sys, time; from pathlib import Path; from traces.store import Store;"
        "store = Store(Path(sys.argv[1]));\n"
        "while True:\n"
        "    began = time.time()\n"
        "    with store.read() as ledger: turns = ledger.rows('select turn_id from turns')\n"
        "    print(began, len(turns), flush=True)\n"
    )
    journal = Journal(tmp_path / "journal")
    journal.write(make_trace())
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for turns in range(2, 7):
            journal.write(make_trace())
            written, began, seen = time.time(), 0.0, 0
            while began < written:
                began, seen = map(float, reader.stdout.readline().split())
            assert seen == turns
        reader.kill()
    journal.close()
