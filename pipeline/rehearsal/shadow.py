"""A real pipeline in a folder of its own whose every dependency can be told to fail."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pipeline import build, providers, shelving
from pipeline.breaker import Policy
from pipeline.breakers import Breakers
from pipeline.configuration.data_folder import DataFolder
from pipeline.context.condenser import Condenser
from pipeline.context.memory import Memory
from pipeline.context.patience import Patience
from pipeline.context.retrieval import Retriever
from pipeline.extractive.extractive import Extractive
from pipeline.guardrails.budget import Budget
from pipeline.guardrails.counts import Counts, SharedCounts
from pipeline.guardrails.quota import Quota
from pipeline.guardrails.spending import Spending
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import Embedder, PassageVectors, Spans
from pipeline.knowledge.found import Vector
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import ensure_sample, store
from pipeline.knowledge.remote import RemoteEmbedder
from pipeline.knowledge.shelf import Keys, Scores, Shelf
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model, ModelEvent, Prompt
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library
from pipeline.rehearsal.points import Points
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import Settings
from pipeline.steps.guards import rules
from pipeline.steps.parts import GivenParts
from pipeline.turn import Pipeline
from traces.journal import Journal

KEY = "sk-rehearsal-0123456789abcdefghij"  # must show nowhere
LIMITS: dict[str, Any] = {"connect_seconds": 0.5, "first_token_seconds": 0.4, "gap_seconds": 0.4}
PATIENCE = Patience(embed=1.0, search=1.0, open=1.0)
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

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        fault = self._points.next(f"model {self.name}", self.name.partition(":")[0])
        if fault is not None:
            self._server.script(fault)
        async with aclosing(self._model.stream(prompt, seconds)) as events:
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
        self.chunks, self.dimensions, self.expanded = shelf.chunks, shelf.dimensions, shelf.expanded

    async def by_vector(self, vector: Vector) -> Scores:
        return await self._points.wait("search vector", lambda: self._shelf.by_vector(vector))

    async def by_text(self, query: str) -> Scores:
        return await self._points.wait("search full-text", lambda: self._shelf.by_text(query))

    async def by_pieces(self, query: str) -> Scores:
        return await self._shelf.by_pieces(query)

    async def cosines(self, vector: Vector, keys: Keys) -> Any:
        return await self._points.wait("search cosines", lambda: self._shelf.cosines(vector, keys))

    def respelt(self, query: str) -> str:
        return self._shelf.respelt(query)

    async def keys(self, name: str) -> Keys:
        return await self._shelf.keys(name)

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


class PointedFile:
    """A SQLite file whose statements are counted, whichever connection is current."""

    def __init__(self, file: Any, name: str, points: Points) -> None:
        self._file, self._name, self._points = file, name, points

    def current(self) -> PointedDatabase:
        return PointedDatabase(self._file.current(), self._name, self._points)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class PointedMemory(Memory):
    """Conversations whose statements are counted."""

    def __init__(self, points: Points, **options: Any) -> None:
        super().__init__(**options)
        self._file: Any = PointedFile(self._file, "conversations", points)


class PointedSpending(Spending):
    """A file of dollars whose statements are counted."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(path)
        self._file: Any = PointedFile(self._file, "spending", points)


class PointedLibrary(Library):
    """Prompts whose files are counted when they are looked at."""

    def __init__(self, folder: Path | None, points: Points) -> None:
        super().__init__(folder)
        self._points = points

    def stamp(self, path: Path) -> int | None:
        return self._points.call("prompt file", lambda: super(PointedLibrary, self).stamp(path))


class PointedForce(Force):
    """What is in force, whose log is counted when it is looked at."""

    def __init__(self, path: Path, defaults: dict[str, str], points: Points) -> None:
        super().__init__(path, defaults)
        self._points = points

    def stamp(self) -> tuple[int, int] | None:
        return self._points.call("audit log", super().stamp)


class PointedQuota(Quota):
    """A quota whose takings are counted."""

    def __init__(
        self, requests_per_minute: int, tokens_per_minute: int | None, counts: Counts, points: Points
    ) -> None:
        super().__init__(requests_per_minute, tokens_per_minute, counts)
        self._points = points

    async def take(self, user_id: str, turn_id: str) -> float | None:
        return await self._points.call("quota take", lambda: super(PointedQuota, self).take(user_id, turn_id))


async def shadow(
    settings: Settings,
    servers: Servers,
    points: Points,
    *,
    seconds: float,
    remote: bool,
    policy: Policy | None = None,
) -> Pipeline:
    """Build as production does, with two providers on loopback and a counter around every dependency.

    With `remote` the embedder is a server too and the documents are our two; else the sample knowledge
    base and the embedded model.
    """
    registry = build.breakers(settings, policy)
    documents = await _documents(settings, servers, points, remote=remote)
    gateway = Gateway(
        _models(servers, points), Extractive(), prices=Prices(), policy=policy, on_change=registry.note
    )
    parts: GivenParts = {
        **_files(settings, registry, points),
        "rules": replace(rules(settings), turn_seconds=seconds),
        "breakers": registry,
        "knowledge": documents,
        "retriever": Retriever(documents, breakers=registry, patience=PATIENCE),
        "gateway": gateway,
        "condenser": Condenser(gateway, seconds=1.0),
    }
    return build.build(settings, **parts)


async def _documents(settings: Settings, servers: Servers, points: Points, *, remote: bool) -> Knowledge:
    """Return a counted knowledge base with documents in it."""
    inner: Embedder = providers.embedder(settings)
    if remote:
        inner = RemoteEmbedder("stub", base_url=servers.embeddings.openai_url, api_key=KEY)
    embedder = PointedEmbedder(inner, servers.embeddings if remote else None, points)
    knowledge = PointedKnowledge(DataFolder(settings.data_dir).knowledge, embedder)
    knowledge.points = points
    if remote:
        await store(DOCUMENTS, settings.kb, knowledge)
    else:
        await ensure_sample(knowledge, settings.kb)
    return knowledge


def _models(servers: Servers, points: Points) -> list[Model]:
    first = OpenAIChat("stub", base_url=servers.openai.openai_url, api_key=KEY, **LIMITS)
    second = AnthropicMessages("stub", base_url=servers.anthropic.anthropic_url, api_key=KEY, **LIMITS)
    return [PointedModel(first, servers.openai, points), PointedModel(second, servers.anthropic, points)]


def _files(settings: Settings, registry: Breakers, points: Points) -> GivenParts:
    """Return the parts that use files of this machine, counted."""
    folder, prompts, limits = DataFolder(settings.data_dir), settings.prompts, settings.limits
    journal = PointedJournal(build.store(settings).journal)
    journal.points = points
    spending = PointedSpending(folder.spending, points)
    return {
        "prompts": PointedLibrary(prompts.folder, points),
        "force": PointedForce(folder.audit, shelving.defaults(settings), points),
        "quota": PointedQuota(
            limits.requests_per_minute, limits.tokens_per_minute, SharedCounts(folder.counts), points
        ),
        "budget": Budget(spending, build.limits(settings)),
        "memory": PointedMemory(
            points, place=folder.conversations, breaker=registry.get("conversations", build.LOCAL)
        ),
        "journal": journal,
    }
