"""How questions are told apart: topics fitted to wordings, named by their words; the place of a new one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pipeline.text.sentences import STOP_WORDS, stem, tokens
from traces.queries.sortings import Sorting, TopicRow, Wording

ALIKE = 0.30  # least cosine between a question and its topic
SAME = 0.50  # least cosine between a topic and the one of an earlier fit whose number it keeps
WORDS = 2_000  # the most frequent ones tell questions apart
TOPICS = 300  # the largest
DISTINCT = 3_000  # wordings that are clustered
LASTING = 60  # words of a topic that are kept
NAMING = 3  # words of a name

Row = dict[str, float]  # a weight for each word
Scores = dict[int, float]


@dataclass(frozen=True, slots=True)
class TopicFit:
    """The topics of some wordings. Words that it does not know weigh as if one wording had them."""

    weights: Row
    unknown: float
    topics: tuple[TopicRow, ...]
    _holders: dict[str, list[tuple[int, float]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for topic in self.topics:
            for word, weight in topic.words.items():
                holders[word].append((topic.topic, weight))
        object.__setattr__(self, "_holders", dict(holders))

    def place(self, question: str) -> tuple[int | None, int]:
        """Return the topic of a question, None when it fits none, and the number of its content words."""
        own = stems(question)
        row = {word: self.weights.get(word, self.unknown) for word in own}
        length = math.sqrt(sum(weight * weight for weight in row.values()))
        scores: Scores = defaultdict(float)
        for word, weight in row.items():
            for topic, other in self._holders.get(word, ()):
                scores[topic] += weight * other
        best = max(scores, key=lambda topic: (scores[topic], -topic), default=None)
        fits = best is not None and scores[best] / length >= ALIKE
        return best if fits else None, number(own)


def stems(question: str) -> tuple[str, ...]:
    """Return the content words of a question, in order of the alphabet."""
    return tuple(sorted({stem(word) for word in tokens(question) if word not in STOP_WORDS}))


def number(words: Sequence[str]) -> int:
    """Return a number that stands for content words, 0 without any; 62 bits, the same on all machines."""
    if not words:
        return 0
    return int.from_bytes(blake2b(" ".join(words).encode(), digest_size=8).digest()) >> 2 or 1


def restored(sorting: Sorting, topics: Sequence[TopicRow]) -> TopicFit:
    """Return a fit as it was stored."""
    return TopicFit(sorting.words["weights"], sorting.words["unknown"], tuple(topics))


def fit(wordings: Sequence[Wording], before: TopicFit | None = None) -> TopicFit:
    """Fit topics to wordings, those asked most often first; a topic of two wordings at least.

    Wordings join the most alike cluster so far (leader algorithm over tf-idf vectors). Topics that an
    earlier fit had too keep their numbers.
    """
    rows = [(wording, stems(wording.question)) for wording in wordings]
    rows = [(wording, own) for wording, own in rows if own][:DISTINCT]
    frequency = Counter(word for _, own in rows for word in own)
    vocabulary = [word for word, _ in frequency.most_common(WORDS)]
    weights = {word: math.log((1 + len(rows)) / (1 + frequency[word])) + 1 for word in vocabulary}
    unknown = math.log((1 + len(rows)) / 2) + 1
    if not rows:
        return TopicFit({}, unknown, ())
    matrix = _matrix([own for _, own in rows], weights, unknown)
    member, centroids = _led(matrix)
    sizes, volume = Counter(member), Counter[int]()
    for (wording, _), group in zip(rows, member, strict=True):
        volume[group] += wording.times
    real = [group for group, _ in volume.most_common() if group >= 0 and sizes[group] > 1][:TOPICS]
    spoken = _spoken([wording.question for wording, _ in rows])
    examples: dict[int, str] = {}
    for (wording, _), group in zip(rows, member, strict=True):
        examples.setdefault(group, wording.question)
    words = [_words(centroids[group], vocabulary) for group in real]
    names = _apart([_name(row, spoken) for row in words])
    numbers = _numbers(words, before)
    topics = [
        TopicRow(numbers[place], names[place], examples[group], words[place])
        for place, group in enumerate(real)
    ]
    return TopicFit(weights, unknown, tuple(topics))


def _matrix(rows: Sequence[tuple[str, ...]], weights: Row, unknown: float) -> NDArray[np.float32]:
    column = {word: place for place, word in enumerate(weights)}
    matrix = np.zeros((len(rows), len(weights)), np.float32)
    for place, row in enumerate(rows):
        length = math.sqrt(sum(weights.get(word, unknown) ** 2 for word in row))
        for word in row:
            if word in column:
                matrix[place, column[word]] = weights[word] / length
    return matrix


def _led(matrix: NDArray[np.float32]) -> tuple[list[int], NDArray[np.float32]]:
    """Return the cluster of each row (-1: it has no words) and the sum of each cluster's rows.

    A row has a dozen of the words, so only theirs are compared: a hundredth of the work.
    """
    sums = np.zeros((matrix.shape[1], len(matrix)), np.float32)  # words by clusters
    lengths = np.ones(len(matrix), np.float32)
    member: list[int] = []
    count = 0
    for row in matrix:
        words = np.flatnonzero(row)
        if not words.size:
            member.append(-1)
            continue
        own = row[words]
        alike = (own @ sums[words, :count]) / lengths[:count]
        best = int(alike.argmax()) if count else -1
        if best < 0 or alike[best] < ALIKE:
            best, count = count, count + 1
        sums[words, best] += own
        lengths[best] = np.linalg.norm(sums[:, best])
        member.append(best)
    return member, sums[:, :count].T


def _words(centroid: NDArray[np.float32], vocabulary: Sequence[str]) -> Row:
    """Return the heaviest words of a cluster with their weights, as a row of length one."""
    length = float(np.linalg.norm(centroid))
    heaviest = [int(at) for at in np.argsort(-centroid, kind="stable")[:LASTING] if centroid[at] > 0]
    return {vocabulary[at]: round(float(centroid[at]) / length, 5) for at in heaviest}


def _spoken(questions: Sequence[str]) -> Mapping[str, Counter[str]]:
    """Return how people write each word."""
    spoken: dict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        for word in tokens(question):
            spoken[stem(word)][word] += 1
    return spoken


def _name(words: Row, spoken: Mapping[str, Counter[str]]) -> str:
    """Return the words that weigh most in a topic, as people write them."""
    return " · ".join(spoken[word].most_common(1)[0][0] for word in list(words)[:NAMING])


def labels(questions: Sequence[tuple[int, str]], weights: Row, unknown: float) -> dict[int, tuple[str, str]]:
    """Return a name and an example for each topic, by the words of these questions of it alone."""
    own: dict[int, list[str]] = defaultdict(list)
    for topic, question in questions:
        own[topic].append(question)
    names: list[str] = []
    for texts in own.values():
        frequency = Counter(word for text in texts for word in stems(text))
        heavy = {word: times * weights.get(word, unknown) for word, times in frequency.items()}
        names.append(_name(dict(sorted(heavy.items(), key=lambda pair: (-pair[1], pair[0]))), _spoken(texts)))
    return {topic: (name, texts[-1]) for name, (topic, texts) in zip(_apart(names), own.items(), strict=True)}


def _apart(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        names[place] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _numbers(words: Sequence[Row], before: TopicFit | None) -> list[int]:
    """Number topics: each keeps the number of the most alike earlier one, new ones get new numbers."""
    earlier = before.topics if before else ()
    pairs = sorted(
        (
            (-sum(weight * old.words.get(word, 0.0) for word, weight in row.items()), place, old.topic)
            for place, row in enumerate(words)
            for old in earlier
        )
    )
    numbers: dict[int, int] = {}
    for alike, place, topic in pairs:
        if -alike >= SAME and place not in numbers and topic not in numbers.values():
            numbers[place] = topic
    fresh = max((old.topic for old in earlier), default=0)
    for place in range(len(words)):
        if place not in numbers:
            fresh += 1
            numbers[place] = fresh
    return [numbers[place] for place in range(len(words))]
