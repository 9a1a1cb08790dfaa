"""The gateway: who answers, how often it asks, what it records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from pipeline.errors import ErrorClass, ModelError
from pipeline.models.gateway import Gateway, Retries, Time
from pipeline.models.model import Model, ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.rehearsal.server import FaultServer
from tests.factories import make_turn
from tests.waiting import until
from tests.wire import ANSWER, make_prompt
from traces.recorder import Nowhere, Recorder
from traces.records import Trace

OWN = {"input_per_million": 1.0, "output_per_million": 2.0}


class House:
    """A gateway over scripted models, with a clock that only sleeping moves."""

    def __init__(self, *models: Model, **settings: Any) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.last = Scripted("From the documents [1].", name="extractive")
        self.gateway = Gateway(
            models,
            self.last,
            prices=Prices({"a": OWN, "b": OWN}),
            timing=Time(lambda: self.now, self._sleep, lambda: 0.5),
            **settings,
        )
        self.trace: Trace | None = None

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def ask(self, seconds: float = 60.0, **how: Any) -> tuple[str, Stop]:
        recorder = Recorder(make_turn(), Nowhere())
        text, stops = "", list[Stop]()
        try:
            async with aclosing(self.gateway.stream(make_prompt(), recorder, seconds, **how)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        text += event.text
                    elif isinstance(event, Stop):
                        stops.append(event)
        finally:
            self.trace = recorder.close()
        assert len(stops) == 1
        return text, stops[0]

    @property
    def calls(self) -> list[tuple[str, str | None]]:
        """The calls of the last turn: model and error class."""
        assert self.trace is not None
        return [(usage.model, usage.error_class) for usage in self.trace.usages]


def broken(error_class: ErrorClass, **more: Any) -> ModelError:
    return ModelError(error_class, f"{error_class} happened", **more)


async def test_the_first_model_answers_and_is_recorded() -> None:
    house = House(Scripted("Yes [1].", name="a"), Scripted("No.", name="b"))
    text, stop = await house.ask()
    assert (text, stop.model, stop.degraded, stop.cut) == ("Yes [1].", "a", None, None)
    assert house.trace is not None
    (usage,) = house.trace.usages
    assert (usage.purpose, usage.model, usage.estimated, usage.stop_reason) == ("answer", "a", False, "stop")
    assert usage.cost_usd == pytest.approx(
        (usage.input_tokens or 0) * 1e-6 + (usage.output_tokens or 0) * 2e-6
    )
    assert usage.price_version == "config"
    span = house.trace.spans[1]
    assert (span.name, span.kind, span.error) == ("model · a", "model", None)
    assert span.attributes["attempt"] == 1
    assert span.attributes["breaker"] == "closed"


@pytest.mark.parametrize(
    "error_class", ["rate_limited", "overloaded", "provider_5xx", "protocol", "cut", "empty"]
)
async def test_one_retry_before_the_first_token(error_class: ErrorClass) -> None:
    house = House(Scripted(broken(error_class), "Yes.", name="a"))
    text, stop = await house.ask()
    assert (text, stop.degraded) == ("Yes.", None)
    assert house.calls == [("a", error_class), ("a", None)]
    assert house.slept == [0.375]


@pytest.mark.parametrize(
    "error_class",
    ["connect", "dns", "tls", "timeout_connect", "timeout_first_token", "auth", "bad_request", "deadline"],
)
async def test_no_retry_where_it_cannot_help(error_class: ErrorClass) -> None:
    house = House(Scripted(broken(error_class), name="a"), Scripted("B.", name="b"))
    text, stop = await house.ask()
    assert (text, stop.model, stop.degraded) == ("B.", "b", None)
    assert house.calls == [("a", error_class), ("b", None)]
    assert house.slept == []


async def test_at_most_three_calls_then_the_last_resort() -> None:
    down = broken("overloaded")
    house = House(Scripted(down, name="a"), Scripted(down, name="b"), Scripted("C.", name="c"))
    text, stop = await house.ask()
    assert text == "From the documents [1]."
    assert (stop.model, stop.degraded) == ("extractive", "overloaded")
    assert house.calls == [
        ("a", "overloaded"),
        ("a", "overloaded"),
        ("b", "overloaded"),
        ("extractive", None),
    ]
    assert house.trace is not None
    assert [usage.cost_usd for usage in house.trace.usages] == [0.0, 0.0, 0.0, 0.0]
    assert [usage.price_version for usage in house.trace.usages] == ["not billed"] * 3 + ["built-in"]


@pytest.mark.parametrize(
    ("retry_after", "slept"), [(0.0, [0.125]), (2.0, [2.125]), (5.0, [5.125]), (6.0, []), (99999.0, [])]
)
async def test_retry_after_is_honoured_when_it_fits(retry_after: float, slept: list[float]) -> None:
    house = House(
        Scripted(broken("rate_limited", retry_after=retry_after), "A.", name="a"), Scripted("B.", name="b")
    )
    text, _ = await house.ask()
    assert house.slept == slept
    assert text == ("A." if slept else "B.")


async def test_a_wait_must_leave_time_to_answer() -> None:
    house = House(Scripted(broken("rate_limited", retry_after=2.0), "A.", name="a"), Scripted("B.", name="b"))
    text, _ = await house.ask(seconds=3.0)
    assert (text, house.slept) == ("B.", [])


async def test_what_a_named_model_said_before_it_broke_off_stands() -> None:
    house = House(Scripted(["Open ", "Settings", broken("timeout_gap")], name="a"), Scripted("B.", name="b"))
    text, stop = await house.ask(model="a")
    assert (text, stop.cut, stop.reason, stop.model) == ("Open Settings", "timeout_gap", "cut", "a")
    assert house.calls == [("a", "timeout_gap")]
    assert house.trace is not None
    (usage,) = house.trace.usages
    assert (usage.estimated, usage.output_tokens, usage.input_tokens) == (True, 4, 14)
    assert usage.cost_usd == pytest.approx(22e-6)


async def test_context_overflow_is_raised_and_no_failure() -> None:
    house = House(Scripted(broken("context_overflow"), name="a"), Scripted("B.", name="b"))
    for _ in range(20):
        with pytest.raises(ModelError) as raised:
            await house.ask()
        assert raised.value.error_class == "context_overflow"
    assert house.gateway.breakers["a"].state == "closed"


async def test_a_refusal_is_an_answer() -> None:
    house = House(Scripted(broken("refused"), name="a"), Scripted("B.", name="b"))
    text, stop = await house.ask()
    assert (text, stop.reason, stop.model, stop.degraded) == ("", "refusal", "a", None)
    assert house.gateway.breakers["a"].report().failures == 0


async def test_a_named_model_is_never_replaced() -> None:
    house = House(Scripted("A.", name="a"), Scripted(broken("overloaded"), name="b"))
    with pytest.raises(ModelError) as raised:
        await house.ask(model="b")
    assert raised.value.error_class == "overloaded"
    assert house.calls == [("b", "overloaded"), ("b", "overloaded")]
    text, stop = await house.ask(model="extractive")
    assert (text, stop.degraded) == ("From the documents [1].", None)


async def test_a_named_model_can_be_made() -> None:
    house = House(Scripted("A.", name="a"), make=lambda name: Scripted("Made.", name=name))
    assert (await house.ask(model="openai:other"))[0] == "Made."
    assert "openai:other" in house.gateway.breakers


async def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ModelError, match="'x' is not configured; use a, extractive"):
        await House(Scripted("A.", name="a")).ask(model="x")


async def test_the_last_resort_answers_questions_only() -> None:
    house = House(Scripted(broken("connect"), name="a"))
    with pytest.raises(ModelError):
        await house.ask(purpose="judge")


async def test_the_last_resort_as_the_choice_is_not_degraded() -> None:
    house = House()
    text, stop = await house.ask()
    assert (text, stop.degraded) == ("From the documents [1].", None)
    assert house.gateway.report() == []


async def test_the_breaker_keeps_calls_away() -> None:
    dead = Scripted(broken("connect"), name="a")
    house = House(dead)
    reasons = [(await house.ask())[1].degraded for _ in range(50)]
    assert len(dead.prompts) == 5
    assert reasons == ["connect"] * 5 + ["breaker_open"] * 45
    assert house.trace is not None
    skipped = house.trace.spans[1]
    assert (skipped.error, skipped.attributes["breaker"]) == ("breaker_open", "open")
    assert house.calls == [("extractive", None)], "what was not called is not counted as a call"


async def test_a_bad_key_opens_at_once() -> None:
    house = House(Scripted(broken("auth", status=401), name="a"))
    await house.ask()
    (report,) = house.gateway.report()
    assert report.state == "open"
    assert "auth" in report.history[0].reason


async def test_the_primary_returns_after_its_rest() -> None:
    model = Scripted(*[broken("connect")] * 5, "Back.", name="a")
    house = House(model, Scripted("B.", name="b"))
    for _ in range(8):
        await house.ask()
    house.now += 10.5
    assert [(await house.ask())[0] for _ in range(3)] == ["Back."] * 3
    assert house.gateway.breakers["a"].state == "closed"


async def test_retries_stay_a_tenth_of_the_calls() -> None:
    house = House(Scripted(broken("rate_limited", retry_after=0.0), name="a"))
    for _ in range(200):
        await house.ask()
    model = house.gateway._models["a"]
    assert isinstance(model, Scripted)
    assert len(model.prompts) <= 200 * 1.1 + 5


def test_the_retry_budget_is_bounded() -> None:
    retries = Retries()
    for _ in range(1000):
        retries.earn()
    assert sum(retries.take() for _ in range(100)) == 10


class Rude:
    name = "a"

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        yield Text("")
        raise KeyError("a bug")


async def test_a_bug_in_a_model_does_not_break_the_turn() -> None:
    house = House(Rude())
    text, stop = await house.ask()
    assert (text, stop.degraded) == ("From the documents [1].", "internal")


class Silent:
    name = "a"

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        for event in ():
            yield event


async def test_a_model_without_a_stop() -> None:
    assert (await House(Silent()).ask())[1].degraded == "protocol"


async def test_leaving_records_what_was_used() -> None:
    model = Scripted("one two three four", name="a")
    house = House(model)
    recorder = Recorder(make_turn(), Nowhere())
    async with aclosing(house.gateway.stream(make_prompt(), recorder, 60.0)) as events:
        async for _ in events:
            break
    (usage,) = recorder.close().usages
    assert (usage.error_class, usage.estimated, usage.output_tokens) == ("cancelled", True, 2)
    assert model.closed == 1
    assert house.gateway.breakers["a"].report().failures == 0


async def test_over_the_wire_until_all_is_down() -> None:
    prices = Prices()
    with FaultServer() as first, FaultServer() as second:
        models = [
            OpenAIChat("gpt-6-luna", base_url=server.openai_url, api_key="sk-x", first_token_seconds=1.5)
            for server in (first, second)
        ]
        models[1].name = "openai:gpt-6.1-terra"
        gateway = Gateway(models, Scripted("Passages.", name="extractive"), prices=prices)
        await gateway.warm()
        seen = []
        for script in (["ok"], ["overloaded", "ok"], ["hang"], ["status?code=503"] * 2):
            first.script(*script)
            seen.append(await _answer(gateway))
        second.script(*["status?code=500"] * 9)
        first.script(*["cut_first"] * 9)
        seen.append(await _answer(gateway))
        await gateway.close()
    assert seen == [
        (ANSWER, "openai:gpt-6-luna", None),
        (ANSWER, "openai:gpt-6-luna", None),
        (ANSWER, "openai:gpt-6.1-terra", None),
        (ANSWER, "openai:gpt-6.1-terra", None),
        ("Passages.", "extractive", "provider_5xx"),
    ]


async def _answer(gateway: Gateway) -> tuple[str, str, str | None]:
    recorder, text, stop = Recorder(make_turn(), Nowhere()), "", Stop("none", Tokens(), "none")
    async with aclosing(gateway.stream(make_prompt(), recorder, 10.0)) as events:
        async for event in events:
            if isinstance(event, Text):
                text += event.text
            elif isinstance(event, Stop):
                stop = event
    return text, stop.model, stop.degraded


async def test_leaving_closes_the_upstream_and_leaks_no_task() -> None:
    with FaultServer("ok?words=400&rate=100") as server:
        model = OpenAIChat("m", base_url=server.openai_url, api_key="sk-x")
        gateway = Gateway([model], Scripted("Passages.", name="extractive"), prices=Prices())
        await gateway.warm()
        before = len(asyncio.all_tasks())
        tasks = [asyncio.create_task(_answer(gateway)) for _ in range(5)]
        await until(lambda: sum(request.sent > 0 for request in server.requests) == 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: all(request.disconnected is not None for request in server.requests))
        await until(lambda: len(asyncio.all_tasks()) == before)
        await gateway.close()
