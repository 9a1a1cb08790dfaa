"""One version of a knowledge base as retrieval reads it: small ones whole in memory."""

from __future__ import annotations

import hashlib
import math
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.context.found import Vector

log = logging.getLogger(__name__)
COLUMNS = ["chunk_id", "document_id", "title", "url", "text", "spans", "sentences", "checksum"]


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows that match a query, best first; keys are only good on the shelf that gave them.

    `mean` and `deviation` are over all rows of the table, those that did not match included.
    """

    keys: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float = 0.0
    deviation: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A stored chunk with its passage-side work."""

    chunk_id: str
    document_id: str
    title: str
    url: str
    text: str
    spans: tuple[tuple[int, int], ...]
    vectors: NDArray[np.float32] | None


class Shelf(Protocol):
    """What retrieval asks of a knowledge base. Keys name rows of this shelf only."""

    @property
    def version(self) -> str: ...

    @property
    def embedder(self) -> str: ...

    @property
    def chunks(self) -> int: ...

    async def by_vector(self, vector: Vector, limit: int) -> Matches: ...

    async def by_text(self, query: str, limit: int) -> Matches: ...

    async def cosines(self, vector: Vector, keys: Sequence[int]) -> list[float]: ...

    async def rows(self, keys: Sequence[int]) -> list[Row]: ...


class MemoryShelf:
    """All vectors as one matrix and all rows as lists: exact cosines in a tenth of a millisecond."""

    def __init__(
        self,
        version: str,
        embedder: str,
        columns: dict[str, list[Any]],
        matrix: NDArray[np.float32],
        search: Any,
    ) -> None:
        self.version = version
        self.embedder = embedder
        self._columns = columns
        self._matrix = matrix
        self._search = search
        self._keys = {chunk_id: key for key, chunk_id in enumerate(columns["chunk_id"])}

    @property
    def chunks(self) -> int:
        return len(self._keys)

    async def by_vector(self, vector: Vector, limit: int) -> Matches:
        """Return the rows nearest to the vector by cosine."""
        if not self._keys:
            return Matches((), ())
        scores = self._matrix @ vector
        limit = min(limit, len(scores))
        best = np.argpartition(-scores, limit - 1)[:limit]
        best = best[np.lexsort((best, -scores[best]))]
        mean, deviation = float(scores.mean()), float(scores.std())
        return Matches(tuple(best.tolist()), tuple(scores[best].tolist()), mean, deviation or 1.0)

    async def by_text(self, query: str, limit: int) -> Matches:
        """Return the rows that share words with the query, by BM25."""
        found = [
            (self._keys[chunk_id], score)
            for chunk_id, score in await self._search(query, limit)
            if chunk_id in self._keys
        ]
        scores = tuple(score for _, score in found)
        return Matches(tuple(key for key, _ in found), scores, *spread(scores, self.chunks))

    async def cosines(self, vector: Vector, keys: Sequence[int]) -> list[float]:
        """Return the exact cosine of each row with the vector."""
        return (self._matrix[list(keys)] @ vector).tolist()

    async def rows(self, keys: Sequence[int]) -> list[Row]:
        """Return the rows in the order of the keys."""
        return [
            row({name: self._columns[name][key] for name in COLUMNS}, self._matrix.shape[1]) for key in keys
        ]


def spread(scores: Sequence[float], size: int) -> tuple[float, float]:
    """Return mean and deviation of the scores of `size` rows; those not listed score zero."""
    if not scores:
        return 0.0, 1.0
    mean = sum(scores) / size
    variance = sum(score * score for score in scores) / size - mean * mean
    return mean, math.sqrt(max(variance, 0.0)) or 1.0


def row(columns: dict[str, Any], dimensions: int) -> Row:
    """Build a Row from stored columns; spans are int32 pairs, sentence vectors float16."""
    spans = np.frombuffer(columns["spans"] or b"", np.int32).reshape(-1, 2)
    vectors = None
    if columns["sentences"]:
        vectors = np.frombuffer(columns["sentences"], np.float16).reshape(-1, dimensions).astype(np.float32)
    return Row(
        chunk_id=columns["chunk_id"],
        document_id=columns["document_id"],
        title=columns["title"],
        url=columns["url"],
        text=columns["text"],
        spans=tuple((start, end) for start, end in spans.tolist()),
        vectors=vectors,
    )


def checksum(chunk_id: str, title: str, url: str, text: str) -> str:
    """Hash what people will be shown, so that a flipped byte in the store is noticed."""
    shown = "\0".join((chunk_id, title, url, text))
    return hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()
