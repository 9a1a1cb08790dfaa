"""How far an answer says what its reference says: what it adds, leaves out and says otherwise.

No model of language judges it: words and their order, numbers, negations and opposites, and the sentence
vectors of the embedded MiniLM, whatever embedder the search uses, so that values compare over systems.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.found import Vector
from pipeline.text.polarity import contradicted, numbers, opposites
from pipeline.text.sentences import STOP_WORDS, sentences, stem, tokens

FEATURES = (
    *("odd_number", "opposite", "denies", "negation", "swapped_words", "new_share", "swapped_distance"),
    *("swapped_overlap", "new_word_distance", "order", "nearness", "new_nearness", "frame"),
)
# Fitted by evalsets/fit_agreement.py on the rows with an even number of training/correctness.tsv.
WEIGHTS: tuple[float, ...] = (
    *(3.4622, 3.2974, 2.174, 2.2306, 2.2296, 0.1765, 5.7927),
    *(-8.1795, -10.0576, 5.8431, 1.0724, -2.3303, 12.7512),
)
BIAS = -3.207
CONTRADICTED = 0.6  # the least chance that another number or an opposite says something else
ADDED = 0.8  # what an answer loses when all its sentences are additions
NEAR = 0.4  # cosine from which a sentence speaks of what the reference speaks of
ADDS = 0.1  # share of the reference's words that only this sentence has
SAYS = 0.6  # share of a sentence's words that the reference has
AKIN_LETTERS = 5
COMPARED = 12  # new and missing words whose vectors are compared
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|cannot|neither|nor|none|nobody|nothing|only)\b|n['’]t\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ReferenceMatch:
    """What an answer makes of its reference; all shares 0..1."""

    score: float
    whole: float  # how much as long as the reference the part is that speaks of it
    otherwise: float  # probability that it says something else
    added: tuple[str, ...]  # sentences that say nothing of the reference


def agree(question: str, reference: str, answer: str) -> ReferenceMatch:
    """Return how far the answer says what the reference says, no more, no less and nothing else."""
    own_words, added = _split(reference, answer)
    text, count = " ".join(own_words), len(own_words) + len(added)
    if not text or not _content(reference):
        return ReferenceMatch(0.0, 0.0, 0.0, tuple(added))
    whole = min(1.0, len(_content(text)) / len(_content(reference)))
    values = features(question, reference, text)
    otherwise = _chance(values) if text != reference else 0.0
    if values[0] or values[1]:  # a number or an opposite that the reference does not have
        otherwise = max(otherwise, CONTRADICTED)
    score = (1 - otherwise) * whole * (1 - ADDED * len(added) / max(count, 1))
    return ReferenceMatch(score, whole, otherwise, tuple(added))


def features(question: str, reference: str, text: str) -> tuple[float, ...]:
    """Return FEATURES of the part of an answer that speaks of the reference."""
    answered, expected = _content(text), _content(reference)
    stems, wanted_stems = [stem(word) for word in answered], [stem(word) for word in expected]
    question_stems = {stem(word) for word in tokens(question)}
    new = [
        word for word in answered if not _there(stem(word), wanted_stems) and stem(word) not in question_stems
    ]
    lost = [word for word in expected if not _there(stem(word), stems)]
    swapped, length = float(bool(new and lost)), max(1, len(answered))
    bag = sum((Counter(stems) & Counter(wanted_stems)).values())
    order = bag - _in_order(stems, wanted_stems)
    negation = len(_NEGATION.findall(text)) != len(_NEGATION.findall(reference))
    near, distances = _cosine(text, reference), _distances(new, lost)
    frame = SequenceMatcher(None, tokens(text), tokens(reference), autojunk=False).ratio()
    return (
        float(bool({n for n, _ in numbers(text)} - {n for n, _ in numbers(reference)})),
        float(bool(opposites(text, reference))),
        float(bool(contradicted(text, reference))),
        float(negation) * min(1, len(new) + order + 1),
        swapped,
        len(new) / length,
        swapped * (1 - _cosine(" ".join(new), " ".join(lost))) if swapped else 0.0,
        swapped * bag / length,
        float(np.mean(distances)) if distances else 0.0,
        order / length,
        near,
        float(bool(new)) * near,
        float(bool(new)) * frame,
    )


def _chance(values: Sequence[float]) -> float:
    logit = BIAS + sum(weight * value for weight, value in zip(WEIGHTS, values, strict=True))
    return 1 / (1 + float(np.exp(-logit)))


def _split(reference: str, answer: str) -> tuple[list[str], list[str]]:
    """Return the sentences that speak of the reference, and those that add something else."""
    parts = _cut(answer)
    if len(parts) < 2:
        near = _cosine(answer, reference) >= NEAR or _share(answer, reference) >= SAYS
        return (parts, []) if near else ([], parts)
    sentences_of_it: list[str] = []
    added: list[str] = []
    everything = _share(reference, answer)
    for place, part in enumerate(parts):
        near = max(_cosine(part, text) for text in (reference, *_cut(reference)))
        without = _share(reference, " ".join(parts[:place] + parts[place + 1 :]))
        speaks = everything - without > ADDS or _share(part, reference) >= SAYS
        (sentences_of_it if near >= NEAR and speaks else added).append(part)
    return sentences_of_it, added


def _cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def _content(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in STOP_WORDS]


def _share(text: str, other: str) -> float:
    words, there = {stem(word) for word in _content(text)}, [stem(word) for word in _content(other)]
    return sum(_there(word, there) for word in words) / len(words) if words else 1.0


def _there(word: str, others: Sequence[str]) -> bool:
    """Say whether a stem or its kin is there: "installer" for "installation"."""
    long = len(word) > AKIN_LETTERS
    return word in others or (long and any(other[:AKIN_LETTERS] == word[:AKIN_LETTERS] for other in others))


def _in_order(words: Sequence[str], others: Sequence[str]) -> int:
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def _distances(new: Sequence[str], lost: Sequence[str]) -> list[float]:
    """Return for each new word how far the nearest missing word is; 0.5 where none is missing."""
    if not lost:
        return [0.5] * len(new)
    return [1 - max(_cosine(claim, other) for other in lost[:COMPARED]) for claim in new[:COMPARED]]


def _cosine(text: str, other: str) -> float:
    return float(_vector(text) @ _vector(other)) if text and other else 1.0


@lru_cache(maxsize=1)
def _embedder() -> MiniLM:
    return MiniLM()


@lru_cache(maxsize=4096)
def _vector(text: str) -> Vector:
    return _embedder().vector(text)
