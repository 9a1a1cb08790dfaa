"""Time in which our own process stood still is not the provider's slowness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from pipeline.breaker import Policy
from pipeline.errors import ModelError
from pipeline.models.gateway import Gateway
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.models.waiting import lateness
from pipeline.models.watch import CallLimits, CallWatch
from tests.factories import make_turn
from tests.wire import make_prompt
from traces.recorder import Nowhere, Recorder


class Provider:
    """Answers at once; the process stands still meanwhile, or the SDK takes long to import."""

    name = "p"

    def __init__(self, stall: float = 0.0, importing: float = 0.0, slow: float = 0.0) -> None:
        self._stall, self._importing, self._slow = stall, importing, slow

    async def warm(self) -> None:
        await asyncio.sleep(self._importing)

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        await asyncio.sleep(self._slow)
        if self._stall:
            asyncio.get_running_loop().call_soon(time.sleep, self._stall)
        await asyncio.sleep(0.0001)
        yield Text("Yes.")
        yield Stop("stop", Tokens(1, 1), self.name)


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


async def slow_calls(provider: Provider) -> int:
    last = Scripted("From the documents [1].", name="extractive")
    policy = Policy(slow_seconds=0.25, minimum_calls=50)
    gateway = Gateway([provider], last, prices=Prices({}), policy=policy)
    async for _ in gateway.stream(make_prompt(), Recorder(make_turn(), Nowhere()), 30.0):
        pass
    return gateway.report()[0].slow


@pytest.mark.parametrize("provider", [Provider(stall=0.4), Provider(importing=0.4)])
async def test_our_own_slowness_opens_no_breaker(provider: Provider) -> None:
    assert await slow_calls(provider) == 0


async def test_a_slow_provider_is_still_slow() -> None:
    assert await slow_calls(Provider(slow=1.0)) == 1


async def test_a_stall_of_our_own_loop_is_no_timeout() -> None:
    loop = asyncio.get_running_loop()
    with CallWatch("p", CallLimits(1.0, 0.2, 0.2), 30.0) as watch:
        loop.call_later(0.05, time.sleep, 0.5)
        event = asyncio.Event()
        loop.call_later(0.15, event.set)
        assert await watch.wait(event.wait())


async def test_a_silent_provider_is_still_a_timeout() -> None:
    with (
        CallWatch("p", CallLimits(1.0, 0.05, 0.2), 30.0) as watch,
        pytest.raises(ModelError, match="no first token"),
    ):
        await watch.wait(asyncio.Event().wait())


async def test_lateness_is_measured_only_while_somebody_watches() -> None:
    late = lateness()
    stand_still(0.15)
    assert late.seconds == 0.0
    with late.watched(), late.watched():
        await asyncio.sleep(0)
        stand_still(0.3)
        assert late.seconds > 0.1
        await asyncio.sleep(0.01)
    before = late.seconds
    assert before > 0.1
    await asyncio.sleep(0.01)
    assert late.seconds == before
