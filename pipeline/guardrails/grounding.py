"""Measures how well the passages support an answer, without a model.

Two voices: the words that one and the same sentence of the passages holds, lowered by the amount of
unsupported words, and plain content-word precision. Figures per left-out set: evalsets/README.md.
Tried and not kept: weights fitted on one set of labels (worse on the other than either voice alone),
rarity weights, bigrams, the worst sentence, cosines of sentence vectors.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from pipeline.citations import MARKER
from pipeline.guardrails.lines import TitledPassage, opened
from pipeline.guardrails.support import contradicts
from pipeline.text.sentences import STOP_WORDS, list_marker, sentences, stem, tokens

STOP_WORD = 0.75  # weight of a stop word; "I" and "you" tell chat from documents
PRECISION = 0.4  # weight of content-word precision, beside words in one sentence; figures: evalsets/README.md
AMOUNT = 0.3  # weight of how many words are unsupported, whatever the answer's length
MANY = 3.0  # unsupported words that halve that part
HEARD = 0.5  # weight of words that are in no passage and were said earlier in the conversation
WRONG = 0.8  # what is left of a sentence that the passages contradict: a number, a direction, a negation

_NOTHING_KNOWN = re.compile(
    r"\b(?:(?:do|does|did|could|can|am|is|are) ?(?:not|n't)|cannot|(?:do|does|did|could|ca|is|are)n't"
    r"|no|not|unable to|without)\b[^.]{0,60}\b(?:information|details|know|knowledge|find|found|mention\w*"
    r"|documents?|passages?|context|specified|provided|available)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class GroundedSentence:
    """A sentence of the answer, how well the passages support it (0..1), and what it cites."""

    text: str
    score: float
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Grounding:
    """The groundedness of an answer, 0..1; None when it has no words to check."""

    score: float | None
    sentences: tuple[GroundedSentence, ...]


def ground(answer: str, passages: Sequence[TitledPassage], heard: Sequence[str] = ()) -> Grounding:
    """Return how far the passages support the answer.

    A sentence's score is the weighted share of its words that one sentence of the passages has,
    blended with the share of its content words that stand anywhere in them; the answer's is their
    mean by length, lowered by the number of unsupported words. Words of `heard`, what was said before
    the question, count half. An answer without passages is right when it only says that it knows nothing.
    """
    pieces = [
        (text, [(stem(word), STOP_WORD if word in STOP_WORDS else 1.0) for word in _said(text)])
        for text in _cut(answer)
    ]
    before = {stem(word) for text in heard for word in tokens(text)}
    sought = before.union(word for _, words in pieces for word, _ in words)
    postings, count = _postings(passages, sought)
    said_before = before - postings.keys()
    grounded: list[GroundedSentence] = []
    tally = _Tally()
    for text, words in pieces:
        if not words:
            continue
        source = _Known(words, postings, said_before)
        together = _most(words, postings, count) / source.weight
        right = WRONG if count and contradicts(text, passages) else 1.0
        tally.add(source, together, right)
        score = right * ((1 - PRECISION) * together + PRECISION * source.precision)
        grounded.append(GroundedSentence(text, score, tuple(map(int, MARKER.findall(text)))))
    if not grounded:
        return Grounding(None, ())
    if not count:
        nothing = all(_NOTHING_KNOWN.search(sentence.text) for sentence in grounded)
        return Grounding(float(nothing), tuple(replace(share, score=float(nothing)) for share in grounded))
    return Grounding(tally.score, tuple(grounded))


class _Known:
    """How much of a sentence's words the passages have, and what was said before them."""

    def __init__(
        self, words: Sequence[tuple[str, float]], postings: Mapping[str, object], before: Set[str]
    ) -> None:
        self.weight = sum(share for _, share in words)
        self.covered = sum(share * _credit(word, postings, before) for word, share in words)
        content = [_credit(word, postings, before) for word, share in words if share == 1.0]
        self.content, self.precise = float(len(content)), sum(content)

    @property
    def precision(self) -> float:
        return self.precise / self.content if self.content else self.covered / self.weight


def _credit(word: str, postings: Mapping[str, object], before: Set[str]) -> float:
    return 1.0 if word in postings else HEARD if word in before else 0.0


class _Tally:
    """The sums over an answer's sentences."""

    def __init__(self) -> None:
        self.weight = self.supported = self.lacking = self.content = self.precise = 0.0

    def add(self, source: _Known, together: float, right: float) -> None:
        self.weight += source.weight
        self.supported += together * right * source.weight
        self.lacking += source.weight - source.covered
        self.content += source.content
        self.precise += source.precise * right

    @property
    def score(self) -> float:
        """The two voices together."""
        share = (1 - AMOUNT) * self.supported / self.weight + AMOUNT / (1 + self.lacking / MANY)
        return (1 - PRECISION) * share + PRECISION * (self.precise / self.content if self.content else share)


def _postings(passages: Sequence[TitledPassage], sought: Set[str]) -> tuple[dict[str, list[int]], int]:
    """Return for each stem that is sought the passages' sentences it stands in, and how many have words."""
    postings: dict[str, list[int]] = defaultdict(list)
    count = 0
    for passage in passages:
        for line in opened(passage.title, passage.text or ""):
            if line.words.stems:
                for word in line.words.stems & sought:
                    postings[word].append(count)
                count += 1
    return dict(postings), count


def _cut(text: str) -> Iterable[str]:
    return (text[start:end] for start, end in sentences(text))


def _most(words: Sequence[tuple[str, float]], postings: dict[str, list[int]], count: int) -> float:
    """Return the most weight of words that one sentence of the passages holds."""
    held = [0.0] * max(count, 1)
    for word, weight in words:
        for place in postings.get(word, ()):
            held[place] += weight
    return max(held)


def _said(sentence: str) -> list[str]:
    """Return the words of a sentence without its citations and the number that lists it."""
    plain = MARKER.sub(" ", sentence)
    marker = list_marker(plain)
    return tokens(plain.lstrip()[len(marker) :] if marker else plain)
