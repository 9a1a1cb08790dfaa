"""One version of a knowledge base as retrieval reads it, small enough to lie in memory."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.bm25 import Bm25
from pipeline.knowledge.found import Vector
from pipeline.knowledge.pieces import Pieces
from pipeline.text.codes import written
from pipeline.text.spelling import doubtful, joined, respelt

COLUMNS = ["chunk_id", "document_id", "title", "url", "text", "spans", "sentences", "checksum"]
SCREENED = "screened"  # tables made before there was a passage guard lack it
EXPANSION = "splade_tiny"  # named after the model: tables that it never read lack it
PAGE = 8  # neighbouring chunks of a document that count as one place
MATCHES = 4_000  # full-text matches read at most: their spread makes the z-scores
REMEMBERED = 256  # full-text results kept
UNPACKED = 2_000  # rows kept as retrieval reads them, 15 KB each; a turn reads some thirty

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Rows with a score each, in order of key; a key names a row of this shelf only.

    Rows with the same number in `pages` are neighbours in one document. `mean` and `deviation` are
    over all rows of the table, where a row that shares no word with a query scores 0.
    """

    keys: Keys
    values: NDArray[np.float32]
    pages: Keys
    mean: float
    deviation: float

    @classmethod
    def none(cls) -> Scores:
        """Return the scores of a search that found nothing."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A stored chunk with its passage-side work."""

    chunk_id: str
    document_id: str
    title: str
    url: str
    text: str
    spans: tuple[tuple[int, int], ...]
    vectors: NDArray[np.float32] | None
    screened: tuple[bytes, ...] = ()  # what the passage guard saw at ingestion
    kb: str | None = None  # where it is from, when that is not the knowledge base that was searched


class Shelf(Protocol):
    """What retrieval asks of a knowledge base; searches raise KnowledgeError."""

    @property
    def version(self) -> str: ...

    @property
    def embedder(self) -> str: ...

    @property
    def chunks(self) -> int: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def expanded(self) -> bool: ...

    def respelt(self, query: str) -> str: ...

    async def by_vector(self, vector: Vector) -> Scores: ...

    async def by_text(self, query: str) -> Scores: ...

    async def by_pieces(self, query: str) -> Scores: ...

    async def cosines(self, vector: Vector, keys: Keys) -> NDArray[np.float32]: ...

    async def rows(self, keys: Sequence[int]) -> list[StoredChunk]: ...

    async def keys(self, name: str) -> Keys: ...


@dataclass(slots=True)
class Held:
    """An open shelf its table version, and when that was last compared with the table's."""

    shelf: Shelf
    number: int
    checked: float
    refreshing: bool = False


class MemoryShelf:
    """All vectors as one matrix, all words as one index: each search takes a tenth of a millisecond."""

    def __init__(
        self,
        version: str,
        embedder: str,
        columns: dict[str, list[Any]],
        pages: Keys,
        matrix: NDArray[np.float32],
        searched: Bm25,
        pieces: Pieces | None = None,
    ) -> None:
        self.version = version
        self.embedder = embedder
        self._columns = columns
        self._pages = pages
        self._matrix = matrix
        self._searched = searched
        self._pieces = pieces
        self._texts: OrderedDict[str, Scores] = OrderedDict()
        self._rows: OrderedDict[int, StoredChunk] = OrderedDict()

    @property
    def chunks(self) -> int:
        return len(self._pages)

    @property
    def dimensions(self) -> int:
        return self._matrix.shape[1]

    @property
    def expanded(self) -> bool:
        return self._pieces is not None

    def respelt(self, query: str) -> str:
        """Return the query with mistyped words, split ones and codes written as the documents write them."""
        words = self._searched.vocabulary
        return written(joined(respelt(query, words), words), self._searched.codes)

    def knows(self, words: Iterable[str]) -> bool:
        """Say whether one of the words, none of the common English ones, stands in these documents."""
        return any(word in self._searched.vocabulary and doubtful(word) for word in words)

    async def by_vector(self, vector: Vector) -> Scores:
        """Return the cosine of every row with the vector."""
        if not self.chunks:
            return Scores.none()
        return self._every(self._matrix @ vector)

    def _every(self, values: NDArray[np.float32]) -> Scores:
        return Scores(
            np.arange(len(values)), values, self._pages, float(values.mean()), _positive(values.std())
        )

    async def by_text(self, query: str) -> Scores:
        """Return the rows that share words with the query, by BM25; a repeated query is free."""
        scores = self._texts.get(query)
        if scores is None:
            keys, values = self._searched.search(query)
            scores = Scores(keys, values, self._pages[keys], *spread(values, self.chunks))
            self._texts[query] = scores
            if len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)
        return scores

    async def by_pieces(self, query: str) -> Scores:
        """Return how much each row is about the query's word pieces; none when a row has no expansion."""
        if self._pieces is None:
            return Scores.none()
        return self._every(self._pieces.scores(query))

    async def cosines(self, vector: Vector, keys: Keys) -> NDArray[np.float32]:
        """Return the exact cosine of each row with the vector."""
        return self._matrix[keys] @ vector

    async def rows(self, keys: Sequence[int]) -> list[StoredChunk]:
        """Return the rows in the order of the keys."""
        return [self._row(key) for key in keys]

    async def keys(self, name: str) -> Keys:
        """Return the keys of a chunk, or of all chunks of a document, by its id."""
        ids = zip(self._columns["chunk_id"], self._columns["document_id"], strict=True)
        return np.array([key for key, pair in enumerate(ids) if name in pair], np.int64)

    def _row(self, key: int) -> StoredChunk:
        stored = self._rows.get(key)
        if stored is None:
            columns = {name: values[key] for name, values in self._columns.items()}
            stored = self._rows[key] = row(columns, self._matrix.shape[1])
            if len(self._rows) > UNPACKED:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(key)
        return stored


def spread(values: NDArray[np.float32], size: int) -> tuple[float, float]:
    """Return mean and deviation of `size` scores, of which those not listed are zero."""
    if not len(values):
        return 0.0, 1.0
    mean = float(values.sum(dtype=np.float64)) / size
    variance = float(np.square(values, dtype=np.float64).sum()) / size - mean * mean
    return mean, _positive(math.sqrt(max(variance, 0.0)))


def _positive(deviation: float) -> float:
    return float(deviation) or 1.0


def row(columns: dict[str, Any], dimensions: int) -> StoredChunk:
    """Build a chunk from stored columns; spans are int32 pairs, sentence vectors float16."""
    spans = np.frombuffer(columns["spans"] or b"", np.int32).reshape(-1, 2)
    vectors = None
    if columns["sentences"]:
        vectors = np.frombuffer(columns["sentences"], np.float16).reshape(-1, dimensions).astype(np.float32)
    return StoredChunk(
        chunk_id=columns["chunk_id"],
        document_id=columns["document_id"],
        title=columns["title"],
        url=columns["url"],
        text=columns["text"],
        spans=tuple((start, end) for start, end in spans.tolist()),
        vectors=vectors,
        screened=(columns[SCREENED],) if columns.get(SCREENED) else (),
    )


def checksum(chunk_id: str, title: str, url: str, text: str) -> str:
    """Hash what people will be shown, so that a flipped byte in the store is noticed."""
    shown = "\0".join((chunk_id, title, url, text))
    return hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()
