"""An embedder for tests: a vector is the hashed bag of a text's words; it can be told to fail."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from pipeline.knowledge.embedding import EmbedError, PassageVectors, Spans
from pipeline.knowledge.found import Vector
from pipeline.text.sentences import words


class WordEmbedder:
    """Texts that share words are near each other; counts its calls."""

    def __init__(self, name: str = "words", dimensions: int = 64, fail_after: int | None = None) -> None:
        self.fingerprint = name
        self.dimensions = dimensions
        self.fail_after = fail_after  # passages embedded before it breaks down
        self.queries: list[str] = []
        self.passages: list[str] = []

    async def embed_query(self, text: str) -> Vector:
        if self.fail_after is not None:
            raise EmbedError("the test wants no vectors")
        self.queries.append(text)
        return self.vector(text)

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        if self.fail_after is not None and len(self.passages) + len(texts) > self.fail_after:
            raise EmbedError("the test wants no more vectors")
        self.passages += texts
        return [
            PassageVectors(
                self.vector(text), np.stack([self.vector(text[start:end]) for start, end in places])
            )
            for text, places in zip(texts, spans, strict=True)
        ]

    def vector(self, text: str) -> Vector:
        vector = np.full(self.dimensions, 0.01, np.float32)
        for word in words(text):
            vector[zlib.crc32(word.encode()) % self.dimensions] += 1.0
        return vector / np.float32(np.linalg.norm(vector))
