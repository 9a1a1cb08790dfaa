"""The judge: remembers, counts, stops at its cap, and never asks more at a time than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from evalsets.judges import judge as judges
from evalsets.judges.cache import JudgeCache
from evalsets.judges.judge import BudgetSpent, Judge
from pipeline.errors import ModelError
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from tests.judge_stub import JudgeStub


class Verdict(BaseModel):
    reason: str
    verdict: int


class Question(BaseModel):
    question: str


PRICES = Prices({"openai:gpt-x": {"input_per_million": 1000.0, "output_per_million": 0.0}})  # $0.80 a call


@pytest.fixture(scope="module")
def stub() -> Iterator[JudgeStub]:
    with JudgeStub() as server:
        yield server


@pytest.fixture
async def model(stub: JudgeStub) -> AsyncIterator[OpenAIChat]:
    stub.reset()
    made = OpenAIChat("gpt-x", base_url=stub.openai_url, api_key="k")
    yield made
    await made.close()
    await asyncio.sleep(0)  # the sockets close


async def test_a_reply_is_remembered_under_all_that_shaped_it(
    stub: JudgeStub, model: OpenAIChat, tmp_path: Path
) -> None:
    cache = JudgeCache(tmp_path)
    judge = Judge(model, cache=cache, prices=PRICES)
    await judge.ask("p", Verdict)
    await judge.ask("p", Verdict)
    assert (stub.calls, judge.bill.calls, judge.bill.cached) == (1, 1, 1)
    await judge.ask("q", Verdict)
    await judge.ask("p", Question)
    await Judge(model, address="elsewhere", cache=cache).ask("p", Verdict)
    await Judge(model, max_output_tokens=99, cache=cache).ask("p", Verdict)
    other = OpenAIChat("gpt-y", base_url=stub.openai_url, api_key="k")
    await Judge(other, cache=cache).ask("p", Verdict)
    await other.close()
    assert stub.calls == 6  # nothing was shared between judges, shapes or parameters
    cache.close()


async def test_asking_twice_for_one_sample_is_two_questions(
    stub: JudgeStub, model: OpenAIChat, tmp_path: Path
) -> None:
    judge = Judge(model, cache=JudgeCache(tmp_path), prices=PRICES)
    judge.open()
    for _ in range(3):
        await judge.ask("p", Question)
    assert stub.calls == 3
    account = judge.open()
    for _ in range(3):
        await judge.ask("p", Question)
    assert stub.calls == 3
    assert (account.bill.calls, account.bill.cached, account.bill.usd) == (0, 3, 0.0)


async def test_only_replies_that_fit_are_remembered(
    stub: JudgeStub, model: OpenAIChat, tmp_path: Path
) -> None:
    judge = Judge(model, cache=JudgeCache(tmp_path), prices=PRICES)
    stub.script("broken", "broken")
    with pytest.raises(ModelError):
        await judge.ask("p", Verdict)
    assert judge.bill.usd == pytest.approx(1.6)
    assert (await judge.ask("p", Verdict)).verdict == 1
    assert stub.calls == 3


async def test_the_cap_stops_it(stub: JudgeStub, model: OpenAIChat) -> None:
    judge = Judge(model, prices=PRICES, budget_usd=1.5, concurrency=1)
    results = await asyncio.gather(*(judge.ask(f"p{i}", Verdict) for i in range(10)), return_exceptions=True)
    assert stub.calls == 2
    assert sum(isinstance(one, BudgetSpent) for one in results) == 8


async def test_providers_troubles_are_waited_out(
    stub: JudgeStub, model: OpenAIChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(judges.asyncio, "sleep", sleep)
    judge = Judge(model, prices=PRICES)
    stub.script("status500", "drop", "ok")
    assert (await judge.ask("p", Verdict)).verdict == 1
    assert waits == [1.0, 2.0]
    stub.script("status500", "status500", "status500")
    with pytest.raises(ModelError, match="provider_5xx"):
        await judge.ask("p", Verdict)
    assert stub.calls == 6


async def test_so_many_calls_at_a_time(stub: JudgeStub, model: OpenAIChat) -> None:
    stub.seconds = 0.02
    judge = Judge(model, concurrency=3)
    await asyncio.gather(*(judge.ask(f"p{i}", Verdict) for i in range(12)))
    assert stub.most_in_flight == 3


async def test_an_unpriced_judge_has_no_cost(stub: JudgeStub, model: OpenAIChat) -> None:
    judge = Judge(model)
    await judge.ask("p", Verdict)
    assert judge.bill.usd is None
    assert judge.bill.input_tokens == 800
