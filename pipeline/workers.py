"""Where heavy work runs: processes of this machine, or the nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from pipeline.errors import AnswerdeckError

T = TypeVar("T")
TRIES = 4  # of a piece of work whose worker died


class WorkersError(AnswerdeckError):
    """Work cannot be given away, or those who had it died again and again."""


class Workers(Protocol):
    """Who does pure work elsewhere: asked twice, it gives the same, so that a dead worker costs time only."""

    width: int  # pieces of work that are worth having under way

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of a module there and return what it returns; raises WorkersError."""
        ...

    def close(self) -> None: ...


class Processes:
    """Processes of this machine; when one dies, what it did is done again."""

    def __init__(self, width: int | None = None) -> None:
        self.width = width or os.cpu_count() or 1
        self._pool = self._fresh()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        for _ in range(TRIES):
            pool = self._pool
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
            except BrokenProcessPool:
                if pool is self._pool:  # else another one was first
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._pool = self._fresh()
        raise WorkersError(f"{function.__name__}: its process died {TRIES} times; is the memory too small?")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _fresh(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.width, get_context("spawn"))
