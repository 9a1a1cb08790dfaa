"""What retrieval hands to the rest of a turn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from traces.records import Passage

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RetrievedChunk:
    """A retrieved chunk: its row in the ledger and the passage-side work done at ingestion.

    `passage.text` is always set here. `spans` are (start, end) character offsets of the
    chunk's sentences in `passage.text`; `vectors` has shape (len(spans), dimensions), float32,
    L2-normalised rows, or is None when the embedder gives no sentence vectors.
    `screened` is what the passage guard saw in these sentences at ingestion, chunk by chunk; () when
    it did not look at all of them.
    """

    passage: Passage
    spans: tuple[tuple[int, int], ...] = ()
    vectors: NDArray[np.float32] | None = None
    screened: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The candidates for one query, best first. `query_vector` is None when embedding failed."""

    query: str
    query_vector: Vector | None
    candidates: tuple[RetrievedChunk, ...]
    kb: str
    index_version: str | None
    embedder: str | None
    degraded: str | None = None  # why only a part of retrieval worked, e.g. "embed_failed"
    fallback: bool = False  # the embedded order stands, since the reranker in force failed
    halves: tuple[tuple[str, Vector | None], ...] = ()  # the parts of two questions in one, embedded

    def best(self, count: int) -> Retrieved:
        """Return it with the first `count` candidates only."""
        return replace(self, candidates=self.candidates[:count])

    @property
    def top_score(self) -> float | None:
        """Cosine of the best vector match, or None when nothing was compared."""
        scores = [candidate.passage.vector_score for candidate in self.candidates]
        return max((score for score in scores if score is not None), default=None)
