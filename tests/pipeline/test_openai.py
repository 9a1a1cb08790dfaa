"""OpenAI's protocol over a real socket, through the real SDK."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from pipeline.models.model import Text, Tokens
from pipeline.models.openai import OpenAIChat
from pipeline.rehearsal.server import FaultServer
from pipeline.text.tokens import by_length
from tests.waiting import hung_up, until
from tests.wire import ANSWER, ask, make_prompt

KEY = "sk-planted-0123456789"


@pytest.fixture
async def model(server: FaultServer) -> AsyncIterator[OpenAIChat]:
    model = OpenAIChat("gpt-6-luna", base_url=server.openai_url, api_key=KEY)
    yield model
    await model.close()


async def test_what_is_sent(server: FaultServer, model: OpenAIChat) -> None:
    await ask(model)
    request = server.requests[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "gpt-6-luna",
        "messages": [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": "How do I turn on bounce keys?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 64,
    }


async def test_a_local_server_gets_the_older_limit_and_no_secret(server: FaultServer) -> None:
    model = OpenAIChat("qwen", base_url=server.openai_url, provider="local")
    heard = await ask(model)
    await model.close()
    assert model.name == "local:qwen"
    assert heard.text == ANSWER
    assert server.requests[0].body["max_tokens"] == 64
    assert "max_completion_tokens" not in server.requests[0].body
    assert server.requests[0].headers["authorization"] == "Bearer not-a-secret"


async def test_usage_request_id_and_model(model: OpenAIChat) -> None:
    stop = (await ask(model)).stop
    assert stop is not None
    assert stop.tokens == Tokens(20, 8, 5, None)
    assert stop.request_id == "req_loopback_1"
    assert stop.model == "gpt-6-luna"


@pytest.mark.parametrize(
    "counts",
    ["missing=1", "input=0", "input=-5", "input=1e12", "output=-1", "output=0", "cached=999",
     'input="20"', "input=1.5", "input=NaN", "input=null", "output=true"],
)  # fmt: skip
async def test_absurd_usage_is_estimated(server: FaultServer, model: OpenAIChat, counts: str) -> None:
    server.script(f"usage?{counts}")
    stop = (await ask(model)).stop
    assert stop is not None
    assert stop.tokens == Tokens(14, by_length(len(ANSWER)), estimated=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("0", 0.0), ("-1", None), ("99999", 99999.0), ("abc", None), ("inf", None),
     ("Wed,%2021%20Oct%202015%2007:28:00%20GMT", 0.0)],
)  # fmt: skip
async def test_retry_after(
    server: FaultServer, model: OpenAIChat, header: str, seconds: float | None
) -> None:
    server.script(f"status?code=429&retry_after={header}")
    error = (await ask(model)).error
    assert error is not None
    assert (error.error_class, error.retry_after, error.status) == ("rate_limited", seconds, 429)


async def test_an_endless_answer_is_cut_off(server: FaultServer, model: OpenAIChat) -> None:
    server.script("endless")
    heard = await ask(model, make_prompt(most=16))
    assert heard.stop is not None
    assert heard.stop.reason == "length"
    assert heard.stop.tokens.estimated
    assert len(heard.text) == 16 * 16


async def test_a_drip_ends_at_the_deadline(server: FaultServer, model: OpenAIChat) -> None:
    server.script("drip?gap=0.05")
    heard = await ask(model, seconds=1.5)
    assert heard.outcome == "deadline"
    assert heard.text.startswith("Set the fallback ")


async def test_a_slow_reader_is_not_the_providers_silence(server: FaultServer) -> None:
    model = OpenAIChat("m", base_url=server.openai_url, api_key=KEY, gap_seconds=1.0)
    await model.warm()
    server.script("ok?words=30&rate=100")
    words = 0
    async with aclosing(model.stream(make_prompt(), 10.0)) as events:
        async for event in events:
            if words == 1:
                await asyncio.sleep(1.5)
            words += isinstance(event, Text)
    assert words > 1
    await model.close()


async def test_closing_closes_the_upstream(server: FaultServer, model: OpenAIChat) -> None:
    server.script("ok?words=400&rate=100")
    async with aclosing(model.stream(make_prompt(), 10.0)) as events:
        async for event in events:
            assert isinstance(event, Text)
            break
    await hung_up(server)


async def test_cancelling_closes_the_upstream(server: FaultServer, model: OpenAIChat) -> None:
    server.script("hang")
    task = asyncio.create_task(ask(model))
    await until(lambda: bool(server.requests))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hung_up(server)


async def test_connections_are_kept(server: FaultServer, model: OpenAIChat) -> None:
    for _ in range(5):
        await ask(model)
    assert len({request.peer for request in server.requests}) == 1


async def _outcome(base_url: str, connect_seconds: float = 0.5) -> str:
    model = OpenAIChat("m", base_url=base_url, api_key=KEY, connect_seconds=connect_seconds)
    await model.warm()
    heard = await ask(model)
    await model.close()
    assert KEY not in str(heard.error)
    return heard.outcome


async def test_connection_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert await _outcome(f"http://127.0.0.1:{port}/v1") == "connect"


async def test_unknown_host() -> None:
    assert await _outcome("http://models.invalid/v1") == "dns"


async def test_black_hole() -> None:
    with socket.socket() as full:  # its queue is full: further connections are never answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        callers = [socket.socket() for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        try:
            assert await _outcome(f"http://127.0.0.1:{full.getsockname()[1]}/v1") == "timeout_connect"
        finally:
            for caller in callers:
                caller.close()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_self_signed_certificate(self_signed: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_handshake, args=(listener, self_signed), daemon=True)
        thread.start()
        assert await _outcome(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", 5.0) == "tls"
        thread.join(5)


def _handshake(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return
