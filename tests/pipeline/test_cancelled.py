"""A client that leaves closes the call to the provider, through both doors."""

from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest

from pipeline.http.api import create_app
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.openai import OpenAIChat
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import load_settings
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline
from tests.waiting import hung_up

LID = "What happens when I close the lid of my laptop?"
LIMITS: dict[str, Any] = {"connect_seconds": 2.0, "first_token_seconds": 5.0, "gap_seconds": 5.0}
DOORS: dict[str, dict[str, Any]] = {
    "/api/chat": {"question": LID},
    "/v1/chat/completions": {
        "model": "answerdeck",
        "stream": True,
        "messages": [{"role": "user", "content": LID}],
    },
}


def openai(server: FaultServer) -> OpenAIChat:
    return OpenAIChat("stub", base_url=server.openai_url, api_key="k", **LIMITS)


def anthropic(server: FaultServer) -> AnthropicMessages:
    return AnthropicMessages("stub", base_url=server.anthropic_url, api_key="k", **LIMITS)


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("make", [openai, anthropic])
async def test_leaving_closes_the_call_upstream(path: str, make: Callable[[FaultServer], Any]) -> None:
    with FaultServer("ok?words=600&rate=20") as provider:
        pipeline = await make_pipeline(make(provider))
        outcomes: list[tuple[str, bool]] = []
        pipeline.observers.append(
            lambda trace: outcomes.append((trace.turn.outcome, (trace.turn.model or "").endswith(":stub")))
        )
        async with (
            served(create_app(pipeline, load_settings())) as address,
            httpx.AsyncClient(timeout=60) as http,
        ):
            async with http.stream("POST", address + path, json=DOORS[path]) as reply:
                async for piece in reply.aiter_text():
                    if "delta" in piece and "fallback" in piece:
                        break
            await hung_up(provider)  # long before the thirty seconds that its answer takes
    assert outcomes == [("abandoned", True)]
