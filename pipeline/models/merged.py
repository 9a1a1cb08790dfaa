"""Joins texts that come faster than people read: a delta costs the same, however short it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby

from pipeline.models.model import AnswerEvent, Text

MERGE_SECONDS = 0.02  # 50 deltas a second look fluent


async def merged(
    events: AsyncGenerator[AnswerEvent], seconds: float = MERGE_SECONDS
) -> AsyncGenerator[AnswerEvent]:
    """Yield the first text at once and later ones joined, about one per `seconds`; then the Stop.

    An error is raised after the text that came before it. Closing this closes `events`.
    """
    waiting: list[AnswerEvent] = []
    arrived = asyncio.Event()
    reader = asyncio.create_task(_read(events, waiting, arrived))
    try:
        while waiting or not reader.done():
            await arrived.wait()
            arrived.clear()
            taken, waiting[:] = tuple(waiting), ()
            for plain, group in groupby(taken, lambda event: isinstance(event, Text)):
                if plain:
                    yield Text("".join(event.text for event in group if isinstance(event, Text)))
                    continue
                for event in group:
                    yield event
            await asyncio.wait((reader,), timeout=seconds)
        reader.result()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(
    events: AsyncGenerator[AnswerEvent], waiting: list[AnswerEvent], arrived: asyncio.Event
) -> None:
    try:
        async with aclosing(events):
            async for event in events:
                waiting.append(event)
                arrived.set()
    finally:
        arrived.set()
