"""Joining deltas: the first at once, later ones together, errors and closing passed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pipeline.errors import ModelError
from pipeline.models.merged import merged
from pipeline.models.model import AnswerEvent, Stop, Text, Tokens

STOP = Stop("stop", Tokens(), "scripted")


async def words(*texts: str, then: ModelError | None = None) -> AsyncGenerator[AnswerEvent]:
    for number, text in enumerate(texts):
        yield Text(text)
        if number == 0:
            await asyncio.sleep(0.005)
    if then is not None:
        raise then
    yield STOP


async def test_the_first_text_comes_at_once_and_the_rest_together() -> None:
    events = [event async for event in merged(words("a", "b", "c", "d"), seconds=0.05)]
    assert events == [Text("a"), Text("bcd"), STOP]


async def test_a_silence_does_not_hold_back_what_was_said() -> None:
    going_on = asyncio.Event()

    async def slow() -> AsyncGenerator[AnswerEvent]:
        yield Text("a")
        yield Text("b")
        await going_on.wait()
        yield STOP

    events = merged(slow(), seconds=0.01)
    assert await asyncio.wait_for(anext(events), 1) == Text("ab")
    going_on.set()
    assert await asyncio.wait_for(anext(events), 1) == STOP
    await events.aclose()


async def test_an_error_comes_after_the_text_before_it() -> None:
    heard: list[AnswerEvent] = []
    with pytest.raises(ModelError, match="broke"):
        async for event in merged(words("a", "b", then=ModelError("cut", "broke")), seconds=0.01):
            heard.append(event)
    assert heard == [Text("a"), Text("b")]


async def test_closing_it_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[AnswerEvent]:
        try:
            while True:
                yield Text("x")
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    events = merged(endless(), seconds=0.01)
    await anext(events)
    await events.aclose()
    assert closed.is_set()
