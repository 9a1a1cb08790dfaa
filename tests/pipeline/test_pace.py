"""The pace: calls are spaced, and go to the next model when the wait is too long."""

from __future__ import annotations

from pipeline.events import Message
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.found import Retrieved
from pipeline.models.gateway import Gateway, Time
from pipeline.models.model import Prompt, Stop
from pipeline.models.pace import Pace
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.rehearsal.clock import Clock
from tests.factories import make_turn
from traces.recorder import Nowhere, Recorder


def prompt() -> Prompt:
    nothing = Retrieved("q", None, (), "", None, None)
    return Prompt("s" * 400, (Message("user", "q" * 400),), "q", nothing, max_output_tokens=100)


async def seconds_of(calls: int, pace: Pace, clock: Clock, deadline: float = 60.0) -> list[str]:
    models = [Scripted("a", name="openai:a"), Scripted("b", name="anthropic:b")]
    gateway = Gateway(
        models, Extractive(), prices=Prices(), paces={"openai": pace}, timing=Time(clock, clock.sleep)
    )
    answered: list[str] = []
    for _ in range(calls):
        recorder = Recorder(make_turn(), Nowhere())
        async for event in gateway.stream(prompt(), recorder, deadline):
            if isinstance(event, Stop):
                answered.append(event.model)
    return answered


def test_an_unlimited_pace_never_waits() -> None:
    pace = Pace(None, None)
    pace.take(10**9)
    assert pace.wait(10**9) == 0


def test_tokens_given_back_shorten_the_wait() -> None:
    clock = Clock(0.0)
    pace = Pace(None, 6000, clock)
    pace.take(600)
    assert pace.wait(300) == 3.0
    pace.correct(300)
    assert pace.wait(300) == 0


async def test_calls_keep_to_the_requests_a_minute() -> None:
    clock = Clock(0.0)
    answered = await seconds_of(90, Pace(60, None, clock), clock)
    assert set(answered) == {"openai:a"}
    assert 83 <= clock.now <= 90  # six at once, then one a second


async def test_calls_keep_to_the_tokens_a_minute() -> None:
    clock = Clock(0.0)
    await seconds_of(21, Pace(None, 3000, clock), clock)  # some 220 tokens each, 300 counted until it ends
    assert 76 <= clock.now <= 95


async def test_a_wait_beyond_the_deadline_goes_to_the_next_model() -> None:
    clock = Clock(0.0)
    answered = await seconds_of(9, Pace(60, None, clock), clock, deadline=1.5)
    assert answered == ["openai:a"] * 6 + ["anthropic:b"] * 3
    assert clock.now == 0
