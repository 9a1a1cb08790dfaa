"""Kills of drainers, writers and the PostgreSQL server lose and double nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.databases import Databases
from tests.recorded import ids
from traces.store import Store

WRITER = """
import os, sys, time
from pathlib import Path
from tests.factories import make_trace
from traces.journal import Journal

journal = Journal(Path(sys.argv[1]) / "journal", segment_bytes=100_000)
acknowledged = os.open(Path(sys.argv[1]) / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    trace = make_trace(answer="x" * 2000)
    journal.write(trace)
    os.write(acknowledged, trace.turn.turn_id.encode() + b"\\n")
    time.sleep(0.01)
"""
DRAINER = """
import sys, threading
from pathlib import Path
from traces.store import Store, drain_forever

drain_forever(Store(Path(sys.argv[1]), sys.argv[2]), threading.Event(), 0.02)
"""


class Crew:
    """Two hosts with two writers and two drainers each, on one ledger."""

    def __init__(self, address: str, folder: Path) -> None:
        self.stores = [Store(folder / name, address) for name in ("one", "two")]
        self._address = address
        self.running: list[tuple[str, Store, subprocess.Popen[bytes]]] = []
        for store in self.stores:
            store.data_dir.mkdir()
            for code in (WRITER, WRITER, DRAINER, DRAINER):
                self.start(code, store)

    def start(self, code: str, store: Store) -> None:
        command = [sys.executable, "-c", code, str(store.data_dir), self._address]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)
        self.running.append((code, store, process))

    def kill(self, at: int) -> None:
        code, store, process = self.running.pop(at)
        assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start(code, store)

    def end(self) -> None:
        for _, _, process in self.running:
            process.kill()
            process.wait()

    def acknowledged(self) -> list[str]:
        files = [store.data_dir / "acknowledged" for store in self.stores]
        return [line for file in files if file.exists() for line in file.read_text().splitlines()]


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_kills_of_drainers_writers_and_the_server_lose_and_double_nothing(
    postgres: Databases, tmp_path: Path, kills: int
) -> None:
    choose = random.Random(kills)
    address = postgres.fresh()
    crew = Crew(address, tmp_path)
    try:
        for number in range(kills):
            before, until = len(crew.acknowledged()), time.monotonic() + 60
            while len(crew.acknowledged()) < before + 5:  # somebody is at work: this kill can hurt
                assert time.monotonic() < until, "nobody writes"
                time.sleep(0.01)
            time.sleep(choose.uniform(0, 0.2))
            if number % 4 == 3:
                postgres.kill()
                postgres.start()
            else:
                crew.kill(choose.randrange(len(crew.running)))
    finally:
        crew.end()
    acknowledged = crew.acknowledged()
    for store in crew.stores:
        store.drain()
    stored = ids(crew.stores[0])
    assert len(acknowledged) > kills
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
