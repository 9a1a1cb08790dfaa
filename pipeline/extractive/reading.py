"""What the embedded model read for a question: the sentences weighed, and which page it trusts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.knowledge.found import RetrievedChunk

SURE = 0.65  # chance of a page from which on it alone answers; see the room's README
RIVAL = 0.4  # share of the likeliest page's chance that another must have to be quoted beside it


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage and the probability that it belongs to the answer."""

    text: str
    passage: int  # which of the passages read, 0 is the best
    position: int  # which sentence of it
    start: int  # offset in the passage's text
    probability: float
    stems: frozenset[str]
    same_line: bool  # as the sentence before it
    contrary: bool = False  # it says the contrary of what is asked, or speaks of another code
    within: float = 0.0  # the same probability if its passage is the one that answers


@dataclass(frozen=True, slots=True)
class Reading:
    """The passages read for a question: all their sentences, and how strong the evidence is.

    `chances` says of each passage how likely it is the one that answers; they add up to 1. `least` is the
    strength that the very code, or a row with every word of the question, gives whatever else is said;
    `spelt` is the question with its mistyped words mended.
    """

    passages: tuple[RetrievedChunk, ...]
    sentences: tuple[Sentence, ...]
    strength: float
    chances: tuple[float, ...] = ()
    least: float = 0.0
    spelt: str = ""

    def rivals(self) -> tuple[str, ...]:
        """Return the two documents that may be meant, the likelier first; () when one is sure to be."""
        chances: dict[str, float] = {}
        for candidate, chance in zip(self.passages, self.chances, strict=True):
            document = candidate.passage.document_id
            chances[document] = chances.get(document, 0.0) + chance
        there = {self.passages[sentence.passage].passage.document_id for sentence in self.sentences}
        first, *others = sorted(there, key=lambda document: -chances[document])
        if not others or chances[first] >= SURE or chances[others[0]] < RIVAL * chances[first]:
            return ()
        return first, others[0]

    def on(self, document_id: str) -> Reading:
        """Return the reading of one document as if it were the one that answers."""
        mine = tuple(
            replace(sentence, probability=sentence.within)
            for sentence in self.sentences
            if self.passages[sentence.passage].passage.document_id == document_id
        )
        return replace(self, sentences=mine)


def choose(probabilities: Sequence[float]) -> list[int]:
    """Return the indexes, ascending, whose set has the highest expected F1.

    With independent probabilities it is a prefix of the descending order (Lewis 1995).
    """
    if not probabilities:
        return []
    values = np.array(probabilities)
    order = np.argsort(-values, kind="stable")
    expected = 2 * np.cumsum(values[order]) / (np.arange(1, len(values) + 1) + values.sum())
    return sorted(int(i) for i in order[: int(expected.argmax()) + 1])
