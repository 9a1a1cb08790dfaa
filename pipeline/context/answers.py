"""Answers kept for whoever asks the same of the same passages; off unless configured."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.context.cache import KEYS, SAMPLE, SIZE, CacheScope, Shelves
from pipeline.knowledge.found import Vector
from pipeline.text.polarity import contradicted, numbers, opposites
from pipeline.text.sentences import words

SHARED = 0.5  # share of the shorter answer's content words that two answers to one question share


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A question, and all that shaped its answer beside its words."""

    scope: CacheScope
    kb: str
    version: str
    prompt: str  # its fingerprint
    longest: int  # tokens that the answer may have
    passages: tuple[str, ...]  # the chunks in the prompt, in order: citations count them
    question: str
    vector: Vector

    @property
    def key(self) -> tuple[object, ...]:
        return (self.scope, self.kb, self.version, self.prompt, self.longest, self.passages)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, the model that gave it, and what it took."""

    text: str
    model: str
    seconds: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class AnswerHit:
    """A kept answer for a question that asks the same; a checked one is to be compared with a fresh one."""

    answer: KeptAnswer
    similarity: float
    checked: bool


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """An answer kept for a question."""

    vector: Vector
    answer: KeptAnswer


class AnswerCache:
    """Answers by what was asked, in memory; a new version of a knowledge base drops those of the old ones."""

    def __init__(
        self,
        *,
        share: Literal["user", "workspace"] = "workspace",
        sample: float = SAMPLE,
        size: int = SIZE,
        chance: Callable[[], float] = random.random,
        shelves: Shelves[AnswerEntry] | None = None,
    ) -> None:
        self.share = share
        self._sample = sample
        self._chance = chance
        self._kept: Shelves[AnswerEntry] = Shelves(size, KEYS * size) if shelves is None else shelves
        self._versions: dict[str, str] = {}

    def find(self, query: AnswerKey) -> AnswerHit | None:
        """Return the answer kept for a question that asks the same, or None."""
        entry = self._kept.like(query.key, query.question, query.vector)
        if entry is None:
            return None
        return AnswerHit(entry.answer, float(entry.vector @ query.vector), self._chance() < self._sample)

    def put(self, query: AnswerKey, answer: KeptAnswer) -> None:
        """Keep an answer."""
        if self._versions.get(query.kb) != query.version:
            self._kept.forget_others(query.kb, query.version)
            self._versions[query.kb] = query.version
        self._kept.keep(query.key, query.question, AnswerEntry(query.vector, answer))

    def drop(self, query: AnswerKey) -> None:
        """Forget the answers to a question and its like: they proved wrong."""
        self._kept.drop(query.key, query.question, query.vector)

    def close(self) -> None:
        """Let go of what the entries are kept by."""
        self._kept.close()


def disagree(text: str, other: str) -> bool:
    """Say whether two answers to one question differ in what they say, not in how."""
    mine, yours = set(words(text)), set(words(other))
    shorter = min(len(mine), len(yours))
    if shorter and len(mine & yours) < SHARED * shorter:
        return True
    values, others = set(numbers(text)), set(numbers(other))
    if values - others and others - values:
        return True
    return bool(opposites(text, other, acts=True) or contradicted(text, other))
