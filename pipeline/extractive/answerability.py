"""Whether anything that a cross-encoder has read answers the question, as one number."""

from __future__ import annotations

import json
import math
from functools import cache

from pipeline.context.condenser import split
from pipeline.extractive.evidence import WEIGHTS
from pipeline.extractive.reading import Reading
from pipeline.extractive.segments import Segment
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.text.polarity import alike
from pipeline.text.sentences import STOP_WORDS, stem, tokens

FEATURES = ("strength", "alone", "unmatched")
CERTAIN = 1e-4  # least distance of a probability from 0 and 1
MOST = 6  # unmatched words from which on more do not count
LEAST = -11.0  # about the lowest score there is


def strength(reading: Reading, best: Segment, score: float, encoder: CrossEncoder) -> float:
    """Return how likely the best segment, of that score, answers, 0..1, and no less than exact rules say.

    `reading` is that by words. Reads one pair more, the segment without its title.
    """
    weights = _weights()
    values = features(reading, best, score, encoder)
    total = weights["bias"] + sum(weights[name] * v for name, v in zip(FEATURES, values, strict=True))
    return max(1 / (1 + math.exp(-total)), reading.least)


def features(
    reading: Reading, best: Segment | None, score: float, encoder: CrossEncoder
) -> tuple[float, float, float]:
    """Return one value for each of FEATURES; without a segment the lowest.

    A title that names the subject lifts the score of whatever stands under it, so the score without it
    counts where it is lower. A question in many words that the segment lacks gets low scores of right
    answers, too, so their number is weighed beside.
    """
    if best is None:
        return odds(reading.strength), LEAST, 0.0
    alone = min(score, float(encoder.scores(reading.spelt, [best.text("")])[0]))
    text = f"{reading.passages[best.passage].passage.title} {best.text('')}"
    return odds(reading.strength), alone, float(min(unmatched(reading.spelt, text), MOST))


def unmatched(question: str, text: str) -> int:
    """Return how many content words of the question itself, not of the turn before, a text lacks."""
    stems = {stem(token) for token in tokens(text)}
    own = {token: stem(token) for token in tokens(split(question)[0]) if token not in STOP_WORDS}
    return sum(stems.isdisjoint(alike(word) | {word}) for word in own.values())


def odds(probability: float) -> float:
    """Return the log odds of a probability, no nearer to 0 or 1 than CERTAIN."""
    inner = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(inner / (1 - inner))


@cache
def _weights() -> dict[str, float]:
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))["strength_crossed"]
