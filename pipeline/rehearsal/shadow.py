"""A real pipeline in a folder of its own whose every dependency can be told to fail."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from pipeline.breaker import Policy
from pipeline.build import build
from pipeline.context.condenser import Condenser
from pipeline.context.retrieval import Patience, Retriever
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import Embedder, PassageVectors, Spans
from pipeline.knowledge.found import Vector
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.remote import RemoteEmbedder
from pipeline.knowledge.shelf import Keys, Scores, Shelf
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model, ModelEvent, Prompt
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.rehearsal.points import Points
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import Settings
from pipeline.turn import Pipeline
from traces.journal import Journal

KEY = "sk-rehearsal-0123456789abcdefghij"  # must show nowhere
LIMITS: dict[str, Any] = {"connect_seconds": 0.5, "first_token_seconds": 0.4, "gap_seconds": 0.4}
PATIENCE = Patience(embed=0.5, search=0.5, open=0.5)
DOCUMENTS = (
    Document(
        "fallback-model",
        "Set a fallback model",
        "Set a fallback model so that questions are answered while the first provider is down. Name it in"
        " the environment as ANSWERDECK_MODELS__FALLBACK and start again.",
        "https://example.com/fallback-model",
    ),
    Document(
        "test-alerts",
        "Test the alerts",
        "Send a trial message to every receiver with the command answerdeck alerts test, and look whether"
        " it arrives.",
        "https://example.com/test-alerts",
    ),
)


class Servers:
    """The three loopback servers: each provider and the embedder can fail by itself."""

    def __init__(self) -> None:
        self.openai = FaultServer()
        self.anthropic = FaultServer()
        self.embeddings = FaultServer()

    def reset(self) -> None:
        for server in (self.openai, self.anthropic, self.embeddings):
            server.reset()

    def close(self) -> None:
        for server in (self.openai, self.anthropic, self.embeddings):
            server.close()


class PointedModel:
    """A model whose calls are counted; its server is told to fail just before."""

    def __init__(self, model: Model, server: FaultServer, points: Points) -> None:
        self.name = model.name
        self._model, self._server, self._points = model, server, points

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncIterator[ModelEvent]:
        fault = self._points.next(f"model {self.name}", self.name.partition(":")[0])
        if fault is not None:
            self._server.script(fault)
        events = cast("Any", self._model.stream(prompt, seconds))
        async with aclosing(events):
            async for event in events:
                yield event

    async def close(self) -> None:
        await cast("Any", self._model).close()


class PointedEmbedder:
    """A remote embedder whose queries are counted."""

    def __init__(self, embedder: Embedder, server: FaultServer | None, points: Points) -> None:
        self._embedder, self._server, self._points = embedder, server, points

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    async def embed_query(self, text: str) -> Vector:
        if self._server is None:
            return await self._points.wait("search embedder", lambda: self._embedder.embed_query(text))
        fault = self._points.next("embed query", "embeddings")
        if fault is not None:
            self._server.script(fault)
        return await self._embedder.embed_query(text)

    def close(self) -> None:
        if close := getattr(self._embedder, "close", None):
            close()

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        return await self._embedder.embed_passages(texts, spans)


class PointedShelf:
    """A shelf whose searches and reads are counted."""

    def __init__(self, shelf: Shelf, points: Points) -> None:
        self._shelf, self._points = shelf, points
        self.version, self.embedder = shelf.version, shelf.embedder
        self.chunks, self.dimensions = shelf.chunks, shelf.dimensions

    async def by_vector(self, vector: Vector) -> Scores:
        return await self._points.wait("search vector", lambda: self._shelf.by_vector(vector))

    async def by_text(self, query: str) -> Scores:
        return await self._points.wait("search full-text", lambda: self._shelf.by_text(query))

    async def cosines(self, vector: Vector, keys: Keys) -> Any:
        return await self._points.wait("search cosines", lambda: self._shelf.cosines(vector, keys))

    def respelt(self, query: str) -> str:
        return self._shelf.respelt(query)

    async def keys(self, wanted: str) -> Keys:
        return await self._shelf.keys(wanted)

    async def rows(self, keys: Sequence[int]) -> Any:
        return await self._points.wait("search rows", lambda: self._shelf.rows(keys))


class PointedKnowledge(Knowledge):
    """A knowledge base whose opening is counted."""

    points: Points

    async def open(self, kb: str) -> Shelf:
        opened = super().open
        return PointedShelf(await self.points.wait("knowledge open", lambda: opened(kb)), self.points)


class PointedJournal(Journal):
    """A journal whose writes are counted."""

    points: Points

    def _append(self, line: bytes) -> None:
        self.points.call("journal write", lambda: super(PointedJournal, self)._append(line))


class PointedDatabase:
    """A SQLite connection whose statements are counted."""

    def __init__(self, connection: sqlite3.Connection, name: str, points: Points) -> None:
        self._connection, self._name, self._points = connection, name, points

    def execute(self, *statement: Any) -> Any:
        return self._points.call(self._name, lambda: self._connection.execute(*statement))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def shadow(
    settings: Settings,
    folder: Path,
    servers: Servers,
    points: Points,
    *,
    seconds: float,
    remote: bool,
    policy: Policy | None = None,
) -> Pipeline:
    """Build as production does, then put two providers on loopback and a counter around every dependency.

    With `remote` the embedder is a server too and the documents are our two; else the sample knowledge
    base and the embedded model.
    """
    pipeline = build(settings)
    inner: Embedder = pipeline.knowledge.embedder
    if remote:
        inner = RemoteEmbedder("stub", base_url=servers.embeddings.openai_url, api_key=KEY)
    knowledge = PointedKnowledge(
        folder / "knowledge", PointedEmbedder(inner, servers.embeddings if remote else None, points)
    )
    knowledge.points = points
    if remote:
        await store(DOCUMENTS, pipeline.rules.kb, knowledge)
    else:
        from pipeline.knowledge.ingest import ensure_sample

        await ensure_sample(knowledge, pipeline.rules.kb)
    pipeline.knowledge = knowledge
    pipeline.retriever = Retriever(knowledge, breakers=pipeline.registry, patience=PATIENCE)
    models = [
        PointedModel(
            OpenAIChat("stub", base_url=servers.openai.openai_url, api_key=KEY, **LIMITS),
            servers.openai,
            points,
        ),
        PointedModel(
            AnthropicMessages("stub", base_url=servers.anthropic.anthropic_url, api_key=KEY, **LIMITS),
            servers.anthropic,
            points,
        ),
    ]
    if policy is not None:
        pipeline.registry.rehearse(policy)
    note = pipeline.registry.note
    pipeline.gateway = Gateway(models, Extractive(), prices=Prices(), policy=policy, on_change=note)
    pipeline.condenser = Condenser(pipeline.gateway, seconds=1.0)
    pipeline.rules = replace(pipeline.rules, turn_seconds=seconds)
    journal = PointedJournal(folder / "journal")
    journal.points = points
    pipeline.record_in(journal)
    _count_files(pipeline, points)
    return pipeline


def _count_files(pipeline: Pipeline, points: Points) -> None:
    """Put counters where SQLite, the quota and the prompt files are used."""
    for owner, name in ((pipeline.memory, "conversations"), (pipeline.budget.spending, "spending")):
        file: Any = owner._file  # the vendor's border, not ours
        file.current = partial(_pointed, file.current, name, points)
    _count(pipeline.prompts, "stamp", "prompt file", points)
    _count(pipeline.force, "stamp", "audit log", points)
    _count(pipeline.quota, "take", "quota take", points)


def _pointed(current: Callable[[], Any], name: str, points: Points) -> PointedDatabase:
    return PointedDatabase(current(), name, points)


def _count(owner: Any, method: str, name: str, points: Points) -> None:
    found = getattr(owner, method)
    setattr(owner, method, lambda *values: points.call(name, lambda: found(*values)))
