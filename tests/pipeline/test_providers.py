"""What every provider's client must do, over a real socket and through the real SDK."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.openai import OpenAIChat
from pipeline.rehearsal.server import FaultServer
from tests.wire import ANSWER, OUTCOMES, QUICK, SILENCES, ask

KEY = "sk-planted-0123456789"


def client(provider: str, server: FaultServer, **limits: Any) -> OpenAIChat | AnthropicMessages:
    if provider == "openai":
        return OpenAIChat("gpt-6-luna", base_url=server.openai_url, api_key=KEY, **limits)
    return AnthropicMessages("claude-haiku-5-5", base_url=server.anthropic_url, api_key=KEY, **limits)


@pytest.mark.parametrize(("fault", "outcome"), OUTCOMES.items())
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_every_fault_has_its_class(
    server: FaultServer, provider: str, fault: str, outcome: tuple[str, str]
) -> None:
    model = client(provider, server)
    server.script(fault)
    heard = await ask(model)
    assert (heard.outcome, heard.text) == outcome
    assert KEY not in str(heard.error)
    assert len(server.requests) == 1, "the SDK must not retry"
    assert (await ask(model)).text == ANSWER, "the next call works"
    await model.close()


@pytest.mark.parametrize(("fault", "outcome"), SILENCES.items())
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_every_silence_has_its_limit(
    server: FaultServer, provider: str, fault: str, outcome: tuple[str, str]
) -> None:
    model = client(provider, server, **QUICK)
    await model.warm()
    server.script(fault)
    heard = await ask(model)
    await model.close()
    assert (heard.outcome, heard.text) == outcome
