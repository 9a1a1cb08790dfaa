"""A person's own documents beside a knowledge base, read as one: one search, one order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.found import Vector
from pipeline.knowledge.shelf import Keys, MemoryShelf, Scores, Shelf, StoredChunk
from pipeline.text.sentences import tokens

OWN = "Your documents"  # what they are called in passages and citations; no knowledge base can be
FAR = 1 << 62  # the keys of the own rows lie so far below theirs, so they are negative


class Beside:
    """A Shelf made of two. `base` is None where there is no knowledge base to search."""

    def __init__(self, base: Shelf | None, own: Shelf) -> None:
        self._base = base
        self._own = own
        self.version = own.version if base is None else f"{base.version}+{own.version}"
        self.embedder = own.embedder
        self.dimensions = own.dimensions
        self.chunks = own.chunks + (0 if base is None else base.chunks)
        self.expanded = own.expanded and (base is None or base.expanded)

    def respelt(self, query: str) -> str:
        """Return the query as the base writes it, or as the own documents do that know a word alone."""
        if self._base is None or (isinstance(self._own, MemoryShelf) and self._own.knows(tokens(query))):
            return self._own.respelt(query)
        return self._base.respelt(query)

    async def by_vector(self, vector: Vector) -> Scores:
        """Return the cosines of both, their spread over all rows."""
        own = await self._own.by_vector(vector)
        base = Scores.none() if self._base is None else await self._base.by_vector(vector)
        return self._together(own, base)

    async def by_text(self, query: str) -> Scores:
        """Return the matches of both by BM25, made comparable: its height depends on the number of chunks."""
        base = Scores.none() if self._base is None else await self._base.by_text(query)
        return self._comparable(await self._own.by_text(query), base)

    async def by_pieces(self, query: str) -> Scores:
        """Return the matches of both by their expansions, made comparable; none when one has no such."""
        if not self.expanded:
            return Scores.none()
        base = Scores.none() if self._base is None else await self._base.by_pieces(query)
        return self._comparable(await self._own.by_pieces(query), base)

    async def cosines(self, vector: Vector, keys: Keys) -> NDArray[np.float32]:
        """Return the exact cosine of each row with the vector."""
        values = np.empty(len(keys), np.float32)
        own = keys < 0
        if own.any():
            values[own] = await self._own.cosines(vector, keys[own] + FAR)
        if self._base is not None and not own.all():
            values[~own] = await self._base.cosines(vector, keys[~own])
        return values

    async def rows(self, keys: Sequence[int]) -> list[StoredChunk]:
        """Return the rows in the order of the keys, the own ones marked."""
        own = iter(await self._own.rows([key + FAR for key in keys if key < 0]))
        others = [key for key in keys if key >= 0]
        base = iter(await self._base.rows(others) if self._base is not None else ())
        return [replace(next(own), kb=OWN) if key < 0 else next(base) for key in keys]

    async def keys(self, name: str) -> Keys:
        """Return the keys of a chunk, or of all chunks of a document, by its id."""
        own = await self._own.keys(name) - FAR
        return own if self._base is None else np.concatenate([own, await self._base.keys(name)])

    def _comparable(self, own: Scores, base: Scores) -> Scores:
        own = _scaled(own, self._own.chunks, self.chunks)
        return self._together(own, _scaled(base, self.chunks - self._own.chunks, self.chunks))

    def _together(self, own: Scores, base: Scores) -> Scores:
        counts = np.array([self._own.chunks, self.chunks - self._own.chunks], np.float64)
        means = np.array([own.mean, base.mean])
        squares = np.array([own.deviation, base.deviation]) ** 2 + means**2
        shares = counts / max(counts.sum(), 1.0)
        mean = float(shares @ means)
        deviation = math.sqrt(max(float(shares @ squares) - mean * mean, 0.0)) or 1.0
        return Scores(
            np.concatenate([own.keys - FAR, base.keys]),
            np.concatenate([own.values, base.values]),
            np.concatenate([-1 - own.pages, base.pages]),
            mean,
            deviation,
        )


def _scaled(scores: Scores, chunks: int, every: int) -> Scores:
    """Return scores that weigh by rarity as if the rarest word were as rare among the chunks as among all."""
    factor = np.float32(math.log1p(every / 1.5) / math.log1p(max(chunks, 1) / 1.5))
    mean, deviation = scores.mean * float(factor), scores.deviation * float(factor)
    return replace(scores, values=scores.values * factor, mean=mean, deviation=deviation)
