"""Spreads the cases of a run over tasks of this process; what takes CPU goes to `pipeline.workers`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


async def spread(items: Sequence[T], width: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do the work of every item, so many at a time; the first exception ends the rest and is raised."""
    remaining = iter(items)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(width, len(items))):
                group.create_task(_take(remaining, work))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _take(remaining: Iterator[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Take item after item until none is left; several of these share the iterator."""
    for item in remaining:
        await work(item)
        await asyncio.sleep(0)  # an item may have had nothing to wait for; let a cancel through
