"""Real servers for tests: PostgreSQL, one a test process, and a Redis-compatible one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.bench import engines
from console.bench.engines import Databases, Sessions
from console.bench.processes import BenchError

ROOT = Path(__file__).parents[1]


@contextmanager
def databases() -> Iterator[Databases]:
    """Run PostgreSQL; skip, with the reason, where its package cannot run."""
    try:
        with engines.databases() as running:
            yield running
    except BenchError as error:
        pytest.skip(str(error))


@contextmanager
def sessions() -> Iterator[Sessions]:
    """Run a Redis-compatible server; skip, with the reason, where its package cannot run."""
    try:
        with engines.sessions() as running:
            yield running
    except BenchError as error:
        pytest.skip(str(error))
