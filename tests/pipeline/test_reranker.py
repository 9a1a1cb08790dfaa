"""Rerankers: every protocol over a real socket, and the embedded order when one fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.breakers import Breakers
from pipeline.context.patience import Patience
from pipeline.context.reranker import Remote
from pipeline.context.retrieval import Retriever
from pipeline.errors import ConfigurationError
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.providers import reranker
from pipeline.settings import load_settings
from tests.factories import make_turn
from tests.fake_embedder import WordEmbedder
from traces.recorder import Recorder
from traces.records import Record, Trace

PAGES = [
    Document("battery", "Charge the battery", "Plug in the cable. The battery charges in an hour."),
    Document("screen", "Clean the screen", "Use a soft cloth for the battery screen."),
    Document("sound", "Louder sound", "Turn the dial of the battery speaker."),
]
Reply = Callable[[dict[str, Any]], tuple[int, Any]]


class Sink:
    def write(self, record: Record) -> None:
        pass


class Server:
    """A loopback server that keeps what it was asked and answers by a function of the body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Reply = lambda _: (200, {})
        self.wait_seconds = 0.0
        self._answering: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def hang_up(self) -> None:
        """Close the connections of those who still wait for an answer."""
        for task in (waiting := list(self._answering)):
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next round

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.asked.append((head[0].split()[1], headers, body))
        await asyncio.sleep(self.wait_seconds)
        status, answer = self.reply(body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode()
        )
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server, f"http://127.0.0.1:{port}"
        await server.hang_up()


@pytest.fixture
async def knowledge(tmp_path: Path) -> Knowledge:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())
    await store(PAGES, "kb", knowledge)
    return knowledge


async def ask(retriever: Retriever) -> tuple[list[str], Trace]:
    recorder = Recorder(make_turn(), Sink())
    found = await retriever.retrieve("charge battery", "kb", recorder)
    return [one.passage.document_id for one in found.candidates], recorder.close()


def spans(trace: Trace) -> dict[str, Any]:
    return next(span.attributes for span in trace.spans if span.name == "rerank")


def texts(body: dict[str, Any]) -> list[str]:
    return body.get("documents") or body["texts"]


def last_first(body: dict[str, Any]) -> list[tuple[int, float]]:
    """Score "sound" highest, listing the best first as servers do."""
    scored = [
        (n, {"L": 0.9, "C": 0.5}[text[0]] - 0.1 * text.count("hour")) for n, text in enumerate(texts(body))
    ]
    return sorted(scored, key=lambda pair: -pair[1])


PROTOCOLS: dict[str, Reply] = {
    "cohere": lambda body: (
        200,
        {"results": [{"index": n, "relevance_score": s} for n, s in last_first(body)]},
    ),
    "jina": lambda body: (
        200,
        {
            "results": [
                {"index": n, "relevance_score": s, "document": {"text": ""}} for n, s in last_first(body)
            ]
        },
    ),
    "voyage": lambda body: (
        200,
        {"object": "list", "data": [{"index": n, "relevance_score": s} for n, s in last_first(body)]},
    ),
    "local": lambda body: (
        200,
        {"results": [{"index": n, "relevance_score": s} for n, s in last_first(body)]},
    ),
    "tei": lambda body: (200, [{"index": n, "score": s} for n, s in last_first(body)]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_protocol_orders_the_passages(knowledge: Knowledge, protocol: str) -> None:
    async with serving() as (server, url):
        server.reply = PROTOCOLS[protocol]
        remote = Remote(protocol, "m", address=f"{url}/rerank", api_key="secret")
        retriever = Retriever(knowledge, reranker=remote, patience=Patience(rerank=10.0))
        await retriever.warm()
        order, trace = await ask(retriever)
        await retriever.close()
    assert order == ["sound", "screen", "battery"]
    assert spans(trace)["by"] == f"{protocol}:m"
    [(path, headers, body)] = server.asked
    assert (path, headers["authorization"], body["query"]) == ("/rerank", "Bearer secret", "charge battery")
    assert len(texts(body)) == 3 and "Charge the battery\nPlug in" in "".join(texts(body))
    assert (
        set(body)
        == {
            "cohere": {"model", "query", "documents", "top_n"},
            "jina": {"model", "query", "documents", "top_n"},
            "local": {"model", "query", "documents", "top_n"},
            "voyage": {"model", "query", "documents", "top_k"},
            "tei": {"query", "texts", "truncate"},
        }[protocol]
    )


BROKEN: dict[str, Reply] = {
    "busy": lambda _: (429, {"message": "slow down"}),
    "down": lambda _: (503, b""),
    "moved": lambda _: (302, b""),
    "no json": lambda _: (200, b"<html>"),
    "a text missing": lambda _: (200, {"results": [{"index": 0, "relevance_score": 1.0}]}),
    "an index beyond": lambda body: (
        200,
        {"results": [{"index": n + 1, "relevance_score": 1.0} for n in range(len(texts(body)))]},
    ),
    "not a number": lambda body: (
        200,
        {"results": [{"index": n, "relevance_score": None} for n in range(len(texts(body)))]},
    ),
    "another shape": lambda _: (200, "ok"),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_failing_reranker_leaves_the_embedded_order(knowledge: Knowledge, fault: str) -> None:
    expected, _ = await ask(Retriever(knowledge))
    async with serving() as (server, url):
        server.reply = BROKEN[fault]
        retriever = Retriever(
            knowledge, reranker=Remote("jina", "m", address=url), patience=Patience(rerank=10.0)
        )
        order, trace = await ask(retriever)
        await retriever.close()
    assert order == expected and len(server.asked) == 1
    assert spans(trace)["by"] == "embedded" and spans(trace)["instead_of"] == "jina:m"


async def test_a_slow_reranker_is_left_behind_and_then_rests(knowledge: Knowledge) -> None:
    expected, _ = await ask(Retriever(knowledge))
    breakers = Breakers()
    async with serving() as (server, url):
        server.wait_seconds = 60.0
        remote = Remote("cohere", "m", address=url)
        retriever = Retriever(knowledge, reranker=remote, breakers=breakers, patience=Patience(rerank=0.05))
        for _ in range(12):
            order, trace = await ask(retriever)
            assert order == expected
            took = next(span.seconds for span in trace.spans if span.name == "rerank")
            assert took < 30.0
        await retriever.close()
    assert breakers.by_name["reranker cohere:m"].report().state == "open"
    assert len(server.asked) < 12  # it is not asked while it rests
    assert breakers.by_name["knowledge kb"].report().state == "closed"


async def test_an_address_nobody_listens_on_leaves_the_embedded_order(knowledge: Knowledge) -> None:
    expected, _ = await ask(Retriever(knowledge))
    order, _ = await ask(Retriever(knowledge, reranker=Remote("tei", "m", address="http://127.0.0.1:1/")))
    assert order == expected


def test_the_settings_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_RETRIEVAL__RERANKER", "voyage:rerank-2")
    with pytest.raises(ConfigurationError, match="VOYAGE_API_KEY"):
        load_settings(data_dir=tmp_path)
    monkeypatch.setenv("VOYAGE_API_KEY", "k")
    assert reranker(load_settings(data_dir=tmp_path)).name == "voyage:rerank-2"
    monkeypatch.setenv("ANSWERDECK_RETRIEVAL__RERANKER", "local:bge")
    with pytest.raises(ConfigurationError, match="reranker_url"):
        load_settings(data_dir=tmp_path)
    monkeypatch.setenv("ANSWERDECK_RETRIEVAL__RERANKER", "coherent:x")
    with pytest.raises(ConfigurationError, match="cohere:<model>"):
        load_settings(data_dir=tmp_path)
