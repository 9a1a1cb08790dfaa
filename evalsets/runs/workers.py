"""Spreads the cases of a run over workers: in this process now, behind one small interface."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Fan(Protocol):
    """How the work of a run is spread."""

    async def map(self, items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Do the work of every item; the first exception ends the rest and is raised."""
        ...


class InProcess:
    """So many items at a time, in this process's event loop."""

    def __init__(self, width: int) -> None:
        self.width = width

    async def map(self, items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
        remaining = iter(items)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.width, len(items))):
                    group.create_task(_take(remaining, work))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None


async def _take(remaining: Iterator[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Take item after item until none is left; several of these share the iterator."""
    for item in remaining:
        await work(item)
        await asyncio.sleep(0)  # an item may have had nothing to wait for; let a cancel through
