"""kill -9 in the middle of turns: nothing acknowledged lost, nothing doubled, what was cut shows as cut."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from traces.store import Store


@pytest.mark.timeout(400)  # 100 kills take 95 s on two quiet cores
@pytest.mark.parametrize("kills", [5, *(pytest.param(kills, marks=pytest.mark.slow) for kills in (20, 100))])
def test_no_turn_is_lost_or_doubled(tmp_path: Path, kills: int) -> None:
    data = tmp_path / "data"
    dice = random.Random(4)
    begun: set[str] = set()
    acked: set[str] = set()
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.victim"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "ANSWERDECK_DATA_DIR": str(data)},
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    try:
        for _ in range(kills):
            victim.stdin.write("go\n")
            victim.stdin.flush()
            pid, stop_after = 0, 0
            heard = 0
            for line in victim.stdout:
                word, _, rest = line.strip().partition(" ")
                if word == "ready":
                    pid, stop_after = int(rest), dice.randint(5, 40)
                elif word == "begun":
                    begun.add(rest)
                elif word == "acked":
                    acked.add(rest)
                elif word == "gone":
                    break
                heard += bool(pid)
                if heard == stop_after:
                    time.sleep(dice.random() * 0.02)
                    os.kill(pid, signal.SIGKILL)
            if dice.random() < 0.3:
                Store(data).drain()
    finally:
        victim.stdin.close()
        victim.stdout.close()
        victim.wait(10)

    store = Store(data)
    store.drain()  # the kills leave turns unfinished: the first pass finds them,
    store.drain()  # the second moves them
    with store.read() as ledger:
        rows = ledger.rows("select turn_id, outcome, question from turns")
    outcomes = {row["turn_id"]: row["outcome"] for row in rows}
    assert acked - outcomes.keys() == set()
    assert begun - outcomes.keys() == set()
    assert max(Counter(row["turn_id"] for row in rows).values()) == 1
    assert {outcomes[turn_id] for turn_id in acked} == {"answered"}
    assert {outcomes[turn_id] for turn_id in begun - acked} <= {"cut", "answered"}
    cut = [row for row in rows if row["outcome"] == "cut"]
    assert len(cut) >= kills // 4
    assert {row["question"] for row in cut} == {"How do I turn on bounce keys?"}
    store.drain()
    with store.read() as ledger:
        assert len(ledger.rows("select turn_id from turns")) == len(rows)
    assert store.health().damaged_lines == 0
