"""Measures how well the passages support an answer, without a model.

Three voices weigh the same: how many of a sentence's words one sentence of the passages has, how many stand
anywhere in them, and how few do not, whatever the answer's length. Figures per set: evalsets/README.md.
Tried and not kept: weights fitted on one set of labels (worse on the other than the best voice alone),
rarity weights, bigrams, the worst sentence, vectors of sentences and of words in context.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from pipeline.citations import MARKER
from pipeline.guardrails.lines import TitledPassage, opened
from pipeline.guardrails.support import contradicts
from pipeline.guardrails.unknowing import courteous, deferring, unknowing
from pipeline.text.sentences import STOP_WORDS, list_marker, sentences, stem, tokens

STOP_WORD = 0.5  # weight of a stop word beside a content word; the speaker's tell chat from documents
SPEAKER = frozenset("i i'd i'll i'm i've me my myself mine we we're us our ours".split())  # noqa: SIM905
MANY = 3.0  # unsupported words that halve the third voice
HEARD = 0.5  # weight of words that are in no passage and were said earlier in the conversation
WRONG = 0.8  # what is left of a sentence that the passages contradict: a number, a direction, a negation

_MARKER_ALONE = re.compile(r"\W*\d{1,3}[.)]\W*")  # the number of a list that runs on in a line

Words = Mapping[str, float]  # the weight of each stem, as often as it stands there


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

    A sentence is scored as an answer of its own. Words of `heard`, what was said before the question, count
    half. What only says that nothing is known states nothing and scores 1, and so does an answer of such
    sentences, with courtesies and hints where else to look. Without passages every other answer scores 0.
    """
    pieces = [(text, words) for text in _cut(answer) if (words := _weighed(text))]
    if not pieces:
        return Grounding(None, ())
    source = _Source(passages, heard, {word for _, words in pieces for word in words})
    parts = [source.part(text, words) for text, words in pieces]
    claims = [part for part in parts if part.states]
    if len(claims) < len(parts):
        claims = [part for part in claims if not (courteous(part.text) or deferring(part.text))]
    grounded = tuple(
        GroundedSentence(
            part.text,
            source.score([part]) if part.states else 1.0,
            tuple(map(int, MARKER.findall(part.text))),
        )
        for part in parts
    )
    return Grounding(source.score(claims) if claims else 1.0, grounded)


@dataclass(frozen=True, slots=True)
class _Part:
    """A sentence, the weight of its words, and how much of it is supported."""

    text: str
    states: bool
    weight: float
    anywhere: float
    together: float  # by one sentence of the passages
    right: float


class _Source:
    """What the passages and the conversation so far have of the stems of an answer."""

    def __init__(self, passages: Sequence[TitledPassage], heard: Sequence[str], stems: Set[str]) -> None:
        before = {stem(word) for text in heard for word in tokens(text)}
        self._passages = passages
        self._places, self._count = _places(passages, stems | before)
        self._before = before - self._places.keys()

    def part(self, text: str, words: Words) -> _Part:
        anywhere = sum(weight * self._credit(word) for word, weight in words.items())
        right = WRONG if self._count and contradicts(text, self._passages) else 1.0
        total = sum(words.values())
        return _Part(text, not unknowing(text), total, anywhere, self._most(words), right)

    def score(self, parts: Sequence[_Part]) -> float:
        """Return the mean of the three voices over the sentences."""
        if not self._count:
            return 0.0
        weight = sum(part.weight for part in parts)
        together = sum(part.together * part.right for part in parts) / weight
        anywhere = sum(part.anywhere * part.right for part in parts) / weight
        lacking = sum(part.weight - part.anywhere for part in parts)
        right = sum(part.weight * part.right for part in parts) / weight
        return (together + anywhere + right / (1 + lacking / MANY)) / 3

    def _credit(self, word: str) -> float:
        return 1.0 if word in self._places else HEARD if word in self._before else 0.0

    def _most(self, words: Words) -> float:
        """Return the most weight of words that one sentence of the passages holds."""
        held = [0.0] * max(self._count, 1)
        for word, weight in words.items():
            for place in self._places.get(word, ()):
                held[place] += weight
        return max(held)


def _places(passages: Sequence[TitledPassage], sought: Set[str]) -> tuple[Mapping[str, list[int]], int]:
    """Return for each stem that is sought the passages' sentences it stands in, and how many have words."""
    places: dict[str, list[int]] = defaultdict(list)
    count = 0
    for passage in passages:
        for line in opened(passage.title, passage.text or ""):
            if line.words.stems:
                for word in line.words.stems & sought:
                    places[word].append(count)
                count += 1
    return dict(places), count


def _cut(text: str) -> Iterable[str]:
    return (text[start:end] for start, end in sentences(text))


def _weighed(sentence: str) -> Words:
    """Return the stems of a sentence without its citations and the number that lists it, weighed."""
    plain = MARKER.sub(" ", sentence)
    marker = list_marker(plain)
    plain = plain.lstrip()[len(marker) :] if marker else "" if _MARKER_ALONE.fullmatch(plain) else plain
    weights: dict[str, float] = defaultdict(float)
    for token in tokens(plain):
        weights[stem(token)] += _weight(token)
    return weights


def _weight(word: str) -> float:
    return STOP_WORD if word in STOP_WORDS and word not in SPEAKER else 1.0
