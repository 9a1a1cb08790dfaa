"""An independent mock server speaks both protocols to our clients: what it says, we understand.

aimock (npm @copilotkit/aimock) is written by others for other clients, so it can show what our own
fault server, written beside our clients, cannot.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.openai import OpenAIChat
from tests.console.test_supervisor import free_port
from tests.wire import ask, make_prompt

BINARY = Path(__file__).parents[2] / "node_modules" / ".bin" / "llmock"
SAID = "Grüße 東京 🙂: open Settings, click Accessibility and switch Bounce Keys on [1]."
LIMITS: dict[str, Any] = {"connect_seconds": 2.0, "first_token_seconds": 5.0, "gap_seconds": 2.0}


def missing() -> str | None:
    if shutil.which("node") is None:
        return "node is not installed"
    return None if BINARY.exists() else "npm install --no-save --prefix . @copilotkit/aimock@1.43.0"


pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def said(name: str, **more: Any) -> dict[str, Any]:
    return {"match": {"userMessage": name}, "response": {"content": SAID}, **more}


def error(name: str, status: int, kind: str) -> dict[str, Any]:
    response = {"error": {"message": "told to", "type": kind}, "status": status}
    return {"match": {"userMessage": name}, "response": response}


FIXTURES = [
    said("plain"),
    said("cut short", chunkSize=8, truncateAfterChunks=5, latency=30),
    {"match": {"userMessage": "too long"}, "response": {"content": SAID, "finishReason": "length"}},
    error("limit", 429, "rate_limit_error"),
    error("broken", 500, "server_error"),
    error("busy", 529, "overloaded_error"),
    error("who", 401, "authentication_error"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path, port = tmp_path_factory.mktemp("aimock") / "fixtures.json", free_port()
    path.write_text(json.dumps({"fixtures": FIXTURES}), "utf-8")
    command = [str(BINARY), "--port", str(port), "--fixtures", str(path), "--log-level", "warn", "--strict"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=path.parent)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["openai", "anthropic"])
def model(request: pytest.FixtureRequest, address: str) -> OpenAIChat | AnthropicMessages:
    if request.param == "openai":
        return OpenAIChat("gpt-4o", base_url=f"{address}/v1", api_key="k", **LIMITS)
    return AnthropicMessages("claude-haiku-5-5", base_url=address, api_key="k", **LIMITS)


@pytest.mark.parametrize(
    ("name", "outcome", "text"),
    [
        ("plain", "stop", SAID),
        ("too long", "length", SAID),
        ("limit", "rate_limited", ""),
        ("broken", "provider_5xx", ""),
        ("busy", "overloaded", ""),
        ("who", "auth", ""),
    ],
)
async def test_an_independent_server_is_understood(
    model: OpenAIChat | AnthropicMessages, name: str, outcome: str, text: str
) -> None:
    heard = await ask(model, make_prompt(name))
    await model.close()
    assert (heard.outcome, heard.text) == (outcome, text)
    if outcome == "stop":
        assert heard.stop is not None
        assert (heard.stop.tokens.output_tokens or 0) > 0


async def test_what_was_said_before_a_cut_is_kept(model: OpenAIChat | AnthropicMessages) -> None:
    heard = await ask(model, make_prompt("cut short"))
    await model.close()
    assert heard.outcome == "cut"
    assert heard.text
    assert SAID.startswith(heard.text)
    assert heard.text != SAID
