"""Every call of a turn that leaves the process, failed in every way it can: ten invariants hold."""

import asyncio
import gc

import pytest

from pipeline.rehearsal.sweep import Rehearsal, Result, Sweep, open_files

EVERY = 13  # of the pairs in the default run; the whole is slow


async def swept(sweep: Sweep, every: int) -> tuple[int, list[Result]]:
    chosen = await sweep.pairs()
    results = [await sweep.run(pair) for pair in chosen[::every]]
    await sweep.calls()  # and a healthy turn after the last fault
    return len(chosen), results


@pytest.mark.parametrize(
    "every", [EVERY, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_the_invariants_hold_under_every_fault(every: int) -> None:
    async with Rehearsal() as sweep:
        await sweep.calls()
        files = open_files()
        count, results = await swept(sweep, every)
        await asyncio.sleep(0.2)
        gc.collect()
        grown = open_files() - files
    assert count >= 200
    broken = [(result.pair, result.broken) for result in results if result.broken]
    assert not broken
    assert grown <= 25  # kept connections, not one a fault
