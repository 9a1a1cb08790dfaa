"""Anthropic's protocol over a real socket, through the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from pipeline.events import Message
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.model import Prompt, Text, Tokens
from pipeline.rehearsal.server import FaultServer
from pipeline.text.tokens import by_length
from tests.waiting import hung_up
from tests.wire import ANSWER, ask, make_prompt

KEY = "sk-ant-planted-0123456789"


@pytest.fixture
async def model(server: FaultServer) -> AsyncIterator[AnthropicMessages]:
    model = AnthropicMessages("claude-haiku-5-5", base_url=server.anthropic_url, api_key=KEY)
    yield model
    await model.close()


async def test_what_is_sent(server: FaultServer, model: AnthropicMessages) -> None:
    await ask(model)
    request = server.requests[0]
    assert KEY in request.headers["authorization"]
    assert request.body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "How do I turn on bounce keys?"}],
        "system": [{"type": "text", "text": "Answer."}],
        "stream": True,
    }


async def test_only_what_a_provider_can_cache_is_marked(
    server: FaultServer, model: AnthropicMessages
) -> None:
    whole, mark = make_prompt(), {"type": "ephemeral"}
    documents, chat = "The shop opens at nine. " * 900, "Tell me more of it. " * 1_200
    messages = (Message("user", f"{documents}\n\nWhen?"), Message("assistant", chat), Message("user", "And?"))
    await ask(model, Prompt("Answer.", messages, "", whole.retrieved, 64, stable=len(documents)))
    await ask(model, Prompt("Answer.", messages[:1], "", whole.retrieved, 64))
    await ask(model, Prompt(documents, messages[2:], "", whole.retrieved, 64))
    first, unknown, system = [request.body for request in server.requests]
    assert first["messages"][0]["content"] == [
        {"type": "text", "text": documents, "cache_control": mark},
        {"type": "text", "text": "\n\nWhen?"},
    ]
    assert first["messages"][1]["content"] == [{"type": "text", "text": chat, "cache_control": mark}]
    assert first["messages"][2]["content"] == "And?"
    assert unknown["messages"][0]["content"] == messages[0].text
    assert system["system"][0]["cache_control"] == mark


async def test_blank_messages_are_left_out(server: FaultServer, model: AnthropicMessages) -> None:
    whole = make_prompt()
    messages = (Message("user", "a"), Message("assistant", " "), *whole.messages)
    await ask(model, Prompt("", messages, whole.question, whole.retrieved, 64))
    assert [message["content"] for message in server.requests[0].body["messages"]] == [
        "a",
        "How do I turn on bounce keys?",
    ]
    assert "system" not in server.requests[0].body


async def test_input_tokens_include_the_cached(model: AnthropicMessages) -> None:
    stop = (await ask(model)).stop
    assert stop is not None
    assert stop.tokens == Tokens(12 + 5 + 3, 8, 5, 3)
    assert stop.request_id == "req_loopback_1"


async def test_a_later_usage_replaces_the_first(server: FaultServer, model: AnthropicMessages) -> None:
    server.script("usage?input=100&cached=40&output=9")
    stop = (await ask(model)).stop
    assert stop is not None
    assert stop.tokens == Tokens(143, 9, 40, 3)


@pytest.mark.parametrize(
    "counts", ["missing=1", "input=-500", "input=1e12", "output=-1", "output=0", "output=null&input=0"]
)
async def test_absurd_usage_is_estimated(server: FaultServer, model: AnthropicMessages, counts: str) -> None:
    server.script(f"usage?{counts}")
    stop = (await ask(model)).stop
    assert stop is not None
    assert stop.tokens == Tokens(14, by_length(len(ANSWER)), estimated=True)


async def test_a_long_retry_after_is_not_slept(server: FaultServer, model: AnthropicMessages) -> None:
    server.script("status?code=429&retry_after=121")
    error = (await ask(model)).error
    assert error is not None
    assert error.retry_after == 121  # who had slept would have come to the deadline


async def test_closing_closes_the_upstream(server: FaultServer, model: AnthropicMessages) -> None:
    server.script("ok?words=400&rate=100")
    async with aclosing(model.stream(make_prompt(), 10.0)) as events:
        async for event in events:
            assert isinstance(event, Text)
            break
    await hung_up(server)
