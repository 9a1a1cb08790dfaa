"""Embeddings from any server that speaks the OpenAI protocol."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.knowledge.embedding import (
    QUERY_CHARACTERS,
    EmbedError,
    PassageVectors,
    RememberedVectors,
    Spans,
    checked,
    sendable,
)
from pipeline.knowledge.found import Vector
from pipeline.text.tokens import by_length

if TYPE_CHECKING:
    from httpx2 import Client, Response

OPENAI = "https://api.openai.com/v1"
BATCH = 64  # texts per request
QUERY_SECONDS = 4.0
PASSAGE_SECONDS = 60.0
CONNECT_SECONDS = 3.0
TRIES = 4  # per batch of passages; a query is tried once, the words alone must do then
LONGEST_WAIT_SECONDS = 20.0
ANSWER_BYTES = 64_000_000


class EmbeddingPace(Protocol):
    """What a provider allows a minute."""

    def wait(self, tokens: int) -> float: ...
    def take(self, tokens: int) -> None: ...


class RemoteEmbedder:
    """An embedding model behind `POST {base_url}/embeddings`; gives no sentence vectors."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str = "",
        sleep: Callable[[float], None] = time.sleep,
        remembered: RememberedVectors | None = None,
        pace: EmbeddingPace | None = None,
    ) -> None:
        self.model = model
        self.fingerprint = f"openai-protocol-{model}"
        self._url = f"{(base_url or OPENAI).rstrip('/')}/embeddings"
        self._key = api_key
        self._sleep = sleep
        self._dimensions: int | None = None
        self._remembered = remembered or RememberedVectors()
        self._pace = pace

    async def embed_query(self, text: str) -> Vector:
        """Return the query's vector, or raise EmbedError within a few seconds."""
        text = sendable(text[:QUERY_CHARACTERS])
        vector = self._remembered.get(text)
        if vector is None:
            vector = await asyncio.to_thread(self._query, text)
            self._remembered.put(text, vector)
        return vector

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        """Return one PassageVectors per text; a busy server is asked again a few times."""
        vectors: list[Vector] = []
        for begin in range(0, len(texts), BATCH):
            batch = texts[begin : begin + BATCH]
            await self.keep_pace(batch)
            vectors += await asyncio.to_thread(self._patiently, batch)
        self._alive(texts, vectors)
        return [PassageVectors(vector, None) for vector in vectors]

    async def keep_pace(self, texts: Sequence[str]) -> None:
        """Wait until the provider's limits leave room for these passages, and take it."""
        if self._pace is None:
            return
        for begin in range(0, len(texts), BATCH):
            tokens = by_length(sum(map(len, texts[begin : begin + BATCH])))
            seconds = self._pace.wait(tokens)
            self._pace.take(tokens)  # before the wait: several batches may be under way
            if seconds > 0:
                await asyncio.to_thread(self._sleep, seconds)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]
        self._remembered.close()

    @cached_property
    def _client(self) -> Client:
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx2.Client(headers=headers, follow_redirects=False, trust_env=False)

    def _query(self, text: str) -> Vector:
        return self._ask([text], QUERY_SECONDS)[0]

    def _patiently(self, texts: Sequence[str]) -> list[Vector]:
        for number in range(TRIES - 1):
            try:
                return self._ask(texts, PASSAGE_SECONDS)
            except _Busy as busy:
                self._sleep(min(busy.wait_seconds or 0.5 * 2**number, LONGEST_WAIT_SECONDS))
        return self._ask(texts, PASSAGE_SECONDS)

    def _ask(self, texts: Sequence[str], seconds: float) -> list[Vector]:
        import httpx2

        body = {"model": self.model, "input": [sendable(text) for text in texts], "encoding_format": "float"}
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            with self._client.stream("POST", self._url, json=body, timeout=timeout) as response:
                data = _body(response, time.monotonic() + seconds)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise _Busy(f"embedder {self.model!r} cannot be reached: {type(error).__name__}") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise _Busy(f"embedder {self.model!r} answered {response.status_code}", _wait(response))
        if response.status_code != 200:
            raise EmbedError(f"embedder {self.model!r} answered {response.status_code}")
        return self._vectors(data, len(texts))

    def _vectors(self, data: bytes, count: int) -> list[Vector]:
        """Put the answer's vectors in the order of the texts, after checking all of them."""
        try:
            rows = json.loads(data)["data"]
            placed = {row["index"]: np.asarray(row["embedding"], np.float64) for row in rows}
        except (ValueError, KeyError, TypeError):
            raise EmbedError(f"embedder {self.model!r} gave no embeddings", "embed_invalid") from None
        if len(rows) != count or placed.keys() != set(range(count)):
            raise EmbedError(
                f"embedder {self.model!r} gave {len(rows)} vectors, wrongly numbered, for {count} texts",
                "embed_invalid",
            )
        if self._dimensions is None:
            self._dimensions = placed[0].size
        return [checked(placed[number], self._dimensions) for number in range(count)]

    def _alive(self, texts: Sequence[str], vectors: Sequence[Vector]) -> None:
        """Refuse a model that gives different texts the same vector."""
        if len(set(texts)) >= 4 and float(np.min(np.stack(vectors) @ vectors[0])) > 0.9999:
            raise EmbedError(
                f"embedder {self.model!r} gives the same vector for different texts", "embed_failed"
            )


class _Busy(EmbedError):
    """The server may answer later; `wait_seconds` is its own word on when."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def _body(response: Response, deadline: float) -> bytes:
    """Read the answer within its deadline and a size no honest answer has."""
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > ANSWER_BYTES or time.monotonic() > deadline:
            raise _Busy("the embedder's answer is too long or too slow")
    return bytes(data)


def _wait(response: Any) -> float | None:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
