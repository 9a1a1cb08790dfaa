"""The quota: per user, over processes, tokens held before they are spent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from pipeline.guardrails.counts import SharedCounts
from pipeline.guardrails.quota import FIRST_GUESS_TOKENS, Quota
from pipeline.rehearsal.clock import Clock

CHILD = """
import asyncio, sys
from pathlib import Path
from pipeline.guardrails.counts import SharedCounts
from pipeline.guardrails.quota import Quota

async def main():
    quota = Quota(5, counts=SharedCounts(Path(sys.argv[1])))
    print(sum([await quota.take("ada", f"{sys.argv[2]}-{n}") is None for n in range(10)]))

asyncio.run(main())
"""


async def test_the_limit_is_per_user() -> None:
    quota = Quota(3)
    assert [await quota.take("ada", f"{n}") for n in range(3)] == [None, None, None]
    wait = await quota.take("ada", "4")
    assert wait is not None
    assert 1 <= wait <= 61
    assert await quota.take("bob", "5") is None


async def test_a_refused_request_does_not_count() -> None:
    clock = Clock()
    quota = Quota(2, clock=clock)
    waits = [await quota.take("ada", f"{n}") for n in range(50)]
    assert waits[:2] == [None, None]
    assert all(wait is not None and wait <= 61 for wait in waits[2:])
    clock.now += 60.0
    assert await quota.take("ada", "later") is None


def test_two_processes_count_together(tmp_path: Path) -> None:
    path = str(tmp_path / "counts.sqlite")
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, path, name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    passed = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(passed) == 5


async def test_tokens_are_held_before_they_are_spent() -> None:
    clock = Clock()
    quota = Quota(1000, 3 * int(FIRST_GUESS_TOKENS), clock=clock)
    waits = await asyncio.gather(*(quota.take("ada", f"{n}") for n in range(20)))
    assert waits.count(None) == 3
    quota.settle("0", 100, 50)
    quota.settle("1", 100, 50)
    assert await quota.take("ada", "20") is None, "what was held and not used is free again"
    clock.now += 59.0
    quota.settle("2", 4_000, 500)
    wait = await quota.take("ada", "21")
    assert wait is not None
    assert wait <= 2.0, "what was used a minute ago no longer counts"


async def test_a_turn_larger_than_the_limit_waits_for_an_empty_minute() -> None:
    clock = Clock()
    quota = Quota(10, 100, clock=clock)
    assert await quota.take("ada", "1") is None
    assert await quota.take("ada", "2") == 60.0
    clock.now += 60.0
    assert await quota.take("ada", "3") is None


async def test_without_the_file_limits_are_stricter_and_never_open(tmp_path: Path) -> None:
    counts = SharedCounts(tmp_path / "counts.sqlite")
    quota = Quota(10, counts=counts)
    counts.close()
    assert [await quota.take("ada", f"{n}") for n in range(10)].count(None) == 5


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "counts.sqlite"
    path.write_bytes(b"not a database" * 100)
    quota = Quota(1, counts=SharedCounts(path))
    assert asyncio.run(quota.take("ada", "1")) is None
    assert len(list(tmp_path.glob("counts.sqlite.bad-*"))) == 1


def test_one_process_at_a_time_has_a_clients_turn(tmp_path: Path) -> None:
    clock = Clock()
    first, second = (Quota(9, counts=SharedCounts(tmp_path / "c.sqlite"), clock=clock) for _ in range(2))
    assert first.claim("ada", "t1", 30.0)
    assert not second.claim("ada", "t1", 30.0)
    assert second.claim("bob", "t1", 30.0)
    first.release("ada", "t1")
    assert second.claim("ada", "t1", 30.0)
    clock.now += 31.0
    assert first.claim("ada", "t1", 30.0), "a turn whose process died is free in the end"
