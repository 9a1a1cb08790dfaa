"""A real model answers through our code, on both protocols: text, usage, cache, overflow, cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.gateway import Gateway
from pipeline.models.model import Text
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from tests.factories import make_turn
from tests.local_server import LocalServer, missing
from tests.wire import ask, make_prompt
from traces.recorder import Nowhere, Recorder

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

PATIENT: dict[str, Any] = {"first_token_seconds": 30.0}
SYSTEM = "You are a helpful assistant. Answer in one short sentence."
Real = OpenAIChat | AnthropicMessages


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(params=["openai", "anthropic"])
def build(request: pytest.FixtureRequest, server: LocalServer) -> Callable[[], Real]:
    """A new model each time: this server closes connections silently after a stream."""
    if request.param == "openai":
        return lambda: OpenAIChat("smollm2-135m", base_url=f"{server.url}/v1", provider="local", **PATIENT)
    return lambda: AnthropicMessages("smollm2-135m", base_url=server.url, api_key="not-a-secret", **PATIENT)


@pytest.fixture
async def model(build: Callable[[], Real]) -> AsyncIterator[Real]:
    model = build()
    yield model
    await model.close()


@pytest.fixture
async def other(build: Callable[[], Real]) -> AsyncIterator[Real]:
    other = build()
    yield other
    await other.close()


async def test_streams_with_usage_and_cache(model: Real, other: Real) -> None:
    prompt = make_prompt("What is the capital of France?", SYSTEM, most=24)
    first, again = await ask(model, prompt, 60.0), await ask(other, prompt, 60.0)
    for heard in (first, again):
        assert heard.stop is not None, heard.error
        assert heard.text
        tokens = heard.stop.tokens
        assert not tokens.estimated
        assert 20 < (tokens.input_tokens or 0) < 100
        assert 1 <= (tokens.output_tokens or 0) <= 24
    streamed = await ask(model, prompt, 60.0)  # its first answer told that its template opens no thought
    assert streamed.pieces > 1
    assert first.stop is not None
    assert again.stop is not None
    assert again.stop.tokens.input_tokens == first.stop.tokens.input_tokens
    assert (again.stop.tokens.cache_read_tokens or 0) > 20


async def test_length_is_told(model: Real) -> None:
    heard = await ask(model, make_prompt("Write a long story about a fox.", SYSTEM, most=8), 60.0)
    assert heard.outcome == "length"


async def test_context_overflow(model: Real) -> None:
    heard = await ask(model, make_prompt("word " * 6000, SYSTEM, most=8), 60.0)
    assert heard.outcome == "context_overflow"


async def test_cancel_frees_the_server(model: Real, other: Real, server: LocalServer) -> None:
    async with aclosing(
        model.stream(make_prompt("Count to five hundred.", SYSTEM, most=800), 60.0)
    ) as events:
        async for event in events:
            assert isinstance(event, Text)
            break
    before = server.cpu_seconds()  # its one slot is free, or it would have 800 words to write first
    heard = await ask(other, make_prompt("Say hi.", SYSTEM, most=4), 60.0)
    assert heard.text
    assert server.cpu_seconds() - before < 10


async def test_through_the_gateway(server: LocalServer) -> None:
    model = OpenAIChat("smollm2-135m", base_url=f"{server.url}/v1", provider="local", **PATIENT)
    gateway = Gateway([model], Scripted("Passages.", name="extractive"), prices=Prices())
    recorder = Recorder(make_turn(), Nowhere())
    async with aclosing(gateway.stream(make_prompt("Say hi.", SYSTEM, most=8), recorder, 60.0)) as events:
        text = "".join([event.text async for event in events if isinstance(event, Text)])
    (usage,) = recorder.close().usages
    await gateway.close()
    assert text
    assert usage.model == "local:smollm2-135m"
    assert (usage.cost_usd, usage.price_version) == (None, None), (
        "a local model is unpriced until it is priced"
    )
    assert 0 < (usage.first_token_seconds or 0) <= (usage.seconds or 0)
