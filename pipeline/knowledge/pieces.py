"""Search of a shelf by what its passages are about: the word pieces of their expansions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.expansion import STORED, asked


class Pieces:
    """An inverted index of expansions by their place in a list; five bytes a piece of a passage.

    The question is not expanded, so that it costs nothing: each of its word pieces counts by its rarity
    among the expansions (Lucene's idf), times its weight in the passage.
    """

    def __init__(self, expansions: Sequence[bytes]) -> None:
        self._size = len(expansions)
        rows = np.frombuffer(b"".join(expansions), STORED)
        counts = [len(expansion) // STORED.itemsize for expansion in expansions]
        order = np.argsort(rows["piece"], kind="stable")
        self._places = np.repeat(np.arange(self._size, dtype=np.int32), counts)[order]
        self._weights = rows["weight"][order]
        holding = np.bincount(rows["piece"], minlength=np.iinfo(np.uint16).max + 1)
        self._ends = np.cumsum(holding)
        self._rarity = np.log1p((self._size - holding + 0.5) / (holding + 0.5)).astype(np.float32)

    @classmethod
    def of(cls, expansions: Sequence[bytes | None]) -> Pieces | None:
        """Return the index; None when a passage has no expansion, since it could not be compared."""
        there = [expansion for expansion in expansions if expansion is not None]
        return cls(there) if there and len(there) == len(expansions) else None

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return how much each text is about the pieces of the query; 0 where it is about none."""
        scores = np.zeros(self._size, np.float32)
        for piece in asked(query):
            postings = slice(self._ends[piece - 1] if piece else 0, self._ends[piece])
            scores[self._places[postings]] += self._rarity[piece] * self._weights[postings]
        return scores
