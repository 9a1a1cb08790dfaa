"""Passages retrieved for a question, kept for whoever asks the same in other words."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.auth import DEFAULT
from pipeline.context.likeness import THRESHOLD, same
from pipeline.knowledge.found import Retrieved, Vector

SIZE = 512  # questions kept per key, about 60 KB each with passages and vectors
KEYS = 64  # users, prompts and models side by side; the least used go
SAMPLE = 0.05  # share of hits that are searched afresh and compared
SHOWN = 5  # passages compared


@dataclass(frozen=True, slots=True)
class CacheScope:
    """Who asks, and under what: nobody is served from another scope."""

    owner: str  # a user, or "" for the workspace
    prompt: str
    model: str
    guardrails: str
    workspace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class SearchHit:
    """What was retrieved for a question that asks the same."""

    retrieved: Retrieved
    similarity: float  # cosine of the two questions
    seconds: float  # what the search took then
    checked: bool  # whether this hit is to be compared with a fresh search


@dataclass(frozen=True, slots=True)
class CachedSearch:
    """Passages kept for a question, and what the search took."""

    retrieved: Retrieved
    vector: Vector
    seconds: float


class Vectored(Protocol):
    """What is kept for a question: it knows the question's vector."""

    @property
    def vector(self) -> Vector: ...


E = TypeVar("E", bound=Vectored)


class Questions(Generic[E]):
    """What is kept under one key by question, the least used first, with all vectors in one matrix."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, E] = OrderedDict()
        self._rows: list[str] = []  # the question of each row
        self._matrix: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, question: str) -> bool:
        return question in self._entries

    def __getitem__(self, question: str) -> E:
        return self._entries[question]

    def alike(self, query: str, vector: Vector) -> str | None:
        """Return the kept question that asks the same: itself, else the nearest that passes; or None."""
        if query in self._entries or self._matrix is None:
            return query if query in self._entries else None
        cosines = self._matrix[: len(self._rows)] @ vector
        near = np.flatnonzero(cosines >= THRESHOLD)
        for place in near[np.argsort(-cosines[near])].tolist():
            if same(query, self._rows[place]):
                return self._rows[place]
        return None

    def use(self, question: str) -> None:
        """Count a question as used."""
        self._entries.move_to_end(question)

    def put(self, question: str, entry: E) -> None:
        """Keep an entry; it counts as used."""
        if question in self._entries:
            self._matrix_of(entry)[self._rows.index(question)] = entry.vector
        else:
            self._matrix_of(entry)[len(self._rows)] = entry.vector
            self._rows.append(question)
        self._entries[question] = entry
        self.use(question)

    def drop(self, question: str | None = None) -> None:
        """Forget a question, the least used without a name."""
        gone = next(iter(self._entries)) if question is None else question
        del self._entries[gone]
        place, last = self._rows.index(gone), self._rows.pop()
        if place < len(self._rows):  # the last row takes the free place
            self._rows[place] = last
            assert self._matrix is not None
            self._matrix[place] = self._matrix[len(self._rows)]

    def _matrix_of(self, entry: E) -> NDArray[np.float32]:
        """Return the matrix with room for one more vector like the entry's."""
        matrix, size = self._matrix, len(self._rows)
        if matrix is None or size == len(matrix):
            self._matrix = np.empty((max(16, 2 * size), len(entry.vector)), np.float32)
            if matrix is not None:
                self._matrix[:size] = matrix
            matrix = self._matrix
        return matrix


class Shelves(OrderedDict[tuple[Any, ...], Questions[E]]):
    """What is kept, by key and question, the least used first: it goes when there is too much.

    A key begins with the scope, the knowledge base and its version.
    """

    def __init__(self, size: int, keys: int) -> None:
        super().__init__()
        self._size = size  # questions of a key
        self._keys = keys

    def like(self, key: tuple[Any, ...], query: str, vector: Vector) -> E | None:
        """Return what is kept for a question that asks the same, or None; it counts as used."""
        shelf = self.get(key)
        question = None if shelf is None else shelf.alike(query, vector)
        if shelf is None or question is None:
            return None
        self.move_to_end(key)
        shelf.use(question)
        return shelf[question]

    def keep(self, key: tuple[Any, ...], query: str, entry: E) -> None:
        """Keep an entry; it counts as used."""
        shelf = self.setdefault(key, Questions())
        shelf.put(query, entry)
        while len(shelf) > self._size:
            shelf.drop()
        self.move_to_end(key)
        while len(self) > self._keys:
            self.popitem(last=False)

    def drop(self, key: tuple[Any, ...], query: str, vector: Vector) -> None:
        """Forget what is kept for a question and those that ask the same."""
        shelf = self.get(key)
        while shelf is not None and (question := shelf.alike(query, vector)) is not None:
            shelf.drop(question)

    def forget_others(self, kb: str, version: str) -> None:
        """Forget what other versions of a knowledge base gave."""
        for key in [key for key in self if key[1] == kb and key[2] != version]:
            del self[key]

    def close(self) -> None:
        """Let go of what the entries are kept by."""


class SemanticCache:
    """Retrieved passages by question, in memory; a new version of a knowledge base empties its part.

    A question is served by another's passages when `likeness.same` says that both ask the same and
    their vectors agree. Nothing degraded and nothing empty is kept.
    """

    def __init__(
        self,
        *,
        share: Literal["user", "workspace"] = "workspace",
        sample: float = SAMPLE,
        size: int = SIZE,
        chance: Callable[[], float] = random.random,
        shelves: Shelves[CachedSearch] | None = None,
    ) -> None:
        self.share = share
        self._sample = sample
        self._chance = chance
        self._kept: Shelves[CachedSearch] = Shelves(size, KEYS) if shelves is None else shelves

    def find(self, scope: CacheScope, query: str, vector: Vector, kb: str, version: str) -> SearchHit | None:
        """Return what was kept for a question that asks the same, or None."""
        entry = self._kept.like((scope, kb, version), query, vector)
        if entry is None:
            return None
        served = replace(entry.retrieved, query=query, query_vector=vector)
        return SearchHit(served, float(entry.vector @ vector), entry.seconds, self._chance() < self._sample)

    def put(self, scope: CacheScope, retrieved: Retrieved, seconds: float) -> None:
        """Keep what a search found; versions before this one are forgotten."""
        vector, version = retrieved.query_vector, retrieved.index_version
        if retrieved.degraded is not None or vector is None or version is None or not retrieved.candidates:
            return
        self._kept.forget_others(retrieved.kb, version)
        self._kept.keep(
            (scope, retrieved.kb, version), retrieved.query, CachedSearch(retrieved, vector, seconds)
        )

    def close(self) -> None:
        """Let go of what the entries are kept by."""
        self._kept.close()


def differ(earlier: Retrieved, fresh: Retrieved) -> bool:
    """Say whether a hit was false: the best fresh passage, or most of them, are not among those kept."""
    mine = [candidate.passage.chunk_id for candidate in earlier.candidates[:SHOWN]]
    theirs = [candidate.passage.chunk_id for candidate in fresh.candidates[:SHOWN]]
    if not theirs:
        return bool(mine)
    return theirs[0] not in mine or 2 * len(set(mine) & set(theirs)) < len(theirs)
