"""How busy the machine was while a run went on, and that one process alone makes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from evalsets.cases.evalset import EvalsetError
from pipeline.configuration.data_folder import DataFolder
from traces.locks import try_lock
from traces.records import Load

TICK_SECONDS = 0.25
GRACE_SECONDS = 0.05  # later than this the process did not get to work


class Meter:
    """Measures load averages and how late this process's own event loop is."""

    def __init__(self, runs: int) -> None:
        self._start = self._most = os.getloadavg()[0]
        self._runs = runs
        self._stalled = self._waited = 0.0

    @property
    def load(self) -> Load:
        """What was measured so far."""
        cores = os.cpu_count() or 1
        return Load(cores, self._start, self._most, self._runs, self._stalled, self._waited)

    def late(self, seconds: float) -> None:
        """Count that the loop came back so much later than it was due."""
        if seconds > GRACE_SECONDS:
            self._stalled = max(self._stalled, seconds)
            self._waited += seconds

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.late(loop.time() - due)
            self._most = max(self._most, os.getloadavg()[0])


@asynccontextmanager
async def measuring(data_dir: Path) -> AsyncIterator[Meter]:
    """Measure while something runs."""
    meter = Meter(going(data_dir))
    task = asyncio.create_task(meter.watch())
    try:
        yield meter
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def alone(data_dir: Path, run_id: str) -> Iterator[None]:
    """Hold a run's lock file; raises EvalsetError while another process makes the run of this id."""
    folder = DataFolder(data_dir).runs
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id.replace('/', '_')}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not try_lock(file) or not _linked(file, path):
            raise EvalsetError([f"run {run_id} goes on in another process; wait for it, or leave out --run"])
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is locked: nobody else holds this file
    finally:
        os.close(file)


def _linked(file: int, path: Path) -> bool:
    """Say whether the open file is still the one at the path: its last holder takes it away."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def going(data_dir: Path) -> int:
    """Return how many runs of this data folder go on now."""
    count = 0
    for path in DataFolder(data_dir).runs.glob("*.lock"):
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                count += not try_lock(file, shared=True)
            finally:
                os.close(file)
    return count
