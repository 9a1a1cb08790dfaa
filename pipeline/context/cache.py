"""Passages retrieved for a question, kept for whoever asks the same in other words."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.context.likeness import THRESHOLD, same
from pipeline.knowledge.found import Retrieved, Vector

SIZE = 512  # questions kept per key, about 60 KB each with passages and vectors
KEYS = 64  # users, prompts and models side by side; the least used go
SAMPLE = 0.05  # share of hits that are searched afresh and compared
SHOWN = 5  # passages compared


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks, and under what: nobody is served from another scope."""

    owner: str  # a user, or "" for the workspace
    prompt: str
    model: str
    guardrails: str


@dataclass(frozen=True, slots=True)
class Hit:
    """What was retrieved for a question that asks the same."""

    retrieved: Retrieved
    similarity: float  # cosine of the two questions
    seconds: float  # what the search took then
    checked: bool  # whether this hit is to be compared with a fresh search


@dataclass(frozen=True, slots=True)
class _Entry:
    retrieved: Retrieved
    vector: Vector
    seconds: float


_Key = tuple[Scope, str, str]  # scope, knowledge base, its version
_Shelf = OrderedDict[str, _Entry]  # by question, the least used first


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
    ) -> None:
        self.share = share
        self._sample = sample
        self._size = size
        self._chance = chance
        self._kept: OrderedDict[_Key, _Shelf] = OrderedDict()

    def find(self, scope: Scope, query: str, vector: Vector, kb: str, version: str) -> Hit | None:
        """Return what was kept for a question that asks the same, or None."""
        key = (scope, kb, version)
        shelf = self._kept.get(key)
        if not shelf:
            return None
        question = alike({text: entry.vector for text, entry in shelf.items()}, query, vector)
        if question is None:
            return None
        self._kept.move_to_end(key)
        shelf.move_to_end(question)
        entry = shelf[question]
        served = replace(entry.retrieved, query=query, query_vector=vector)
        return Hit(served, float(entry.vector @ vector), entry.seconds, self._chance() < self._sample)

    def put(self, scope: Scope, retrieved: Retrieved, seconds: float) -> None:
        """Keep what a search found; versions before this one are forgotten."""
        vector, version = retrieved.query_vector, retrieved.index_version
        if retrieved.degraded is not None or vector is None or version is None or not retrieved.found:
            return
        for old in [key for key in self._kept if key[1] == retrieved.kb and key[2] != version]:
            del self._kept[old]
        shelf = self._kept.setdefault((scope, retrieved.kb, version), OrderedDict())
        shelf[retrieved.query] = _Entry(retrieved, vector, seconds)
        shelf.move_to_end(retrieved.query)
        while len(shelf) > self._size:
            shelf.popitem(last=False)
        while len(self._kept) > KEYS:
            self._kept.popitem(last=False)


def alike(vectors: Mapping[str, Vector], query: str, vector: Vector) -> str | None:
    """Return the kept question that asks the same: itself, else the nearest that passes; or None."""
    if query in vectors or not vectors:
        return query if query in vectors else None
    questions = list(vectors)
    cosines = np.array(list(vectors.values())) @ vector
    near = np.flatnonzero(cosines >= THRESHOLD)
    for place in near[np.argsort(-cosines[near])].tolist():
        if same(query, questions[place]):
            return questions[place]
    return None


def differ(earlier: Retrieved, fresh: Retrieved) -> bool:
    """Say whether a hit was false: the best fresh passage, or most of them, are not among those kept."""
    mine = [candidate.passage.chunk_id for candidate in earlier.found[:SHOWN]]
    theirs = [candidate.passage.chunk_id for candidate in fresh.found[:SHOWN]]
    if not theirs:
        return bool(mine)
    return theirs[0] not in mine or 2 * len(set(mine) & set(theirs)) < len(theirs)
