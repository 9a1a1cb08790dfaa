"""Which sentences say what an expected answer says, so that nobody has to mark them by hand."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.text.sentences import STOP_WORDS, rarity, stem, tokens

ECHO = 0.4  # weight of a word that the question has already: it does not tell the answer
NEAR = 0.85  # share of the best sentence's share from which on another says the same
LEAST = 0.5  # of the expected answer that the best sentence must have, else none is known to answer


def says(question: str, reference: str, text: str) -> float:
    """Return the share of an expected answer's words that a text has, rare words weighing more, 0..1."""
    weights = _weights(question, reference)
    total = sum(weights.values())
    stems = {stem(token) for token in tokens(text)}
    return sum(weight for word, weight in weights.items() if word in stems) / total if total else 0.0


def answering(question: str, reference: str, texts: Sequence[str]) -> frozenset[int]:
    """Return the numbers of the sentences that say the expected answer; none when not even the best does."""
    shares = [0.0 if text.startswith("#") else says(question, reference, text) for text in texts]
    best = max(shares, default=0.0)
    if best < LEAST:
        return frozenset()
    return frozenset(number for number, part in enumerate(shares) if part >= NEAR * best)


def _weights(question: str, reference: str) -> dict[str, float]:
    echoed = {stem(token) for token in tokens(question)}
    words = [token for token in tokens(reference) if token not in STOP_WORDS]
    rarities = {stem(token): rarity(token) for token in reversed(words)}
    return {word: weight * (ECHO if word in echoed else 1.0) for word, weight in rarities.items()}
