"""Clusters what people asked into topics named by their own words, and lists what had no answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.text import STOP_WORDS, stem, tokens
from traces.queries.asked import Asked

ALIKE = 0.30  # least cosine between a question and its topic
WORDS = 2_000  # the most frequent ones tell questions apart
DISTINCT = 3_000  # wordings that are clustered; rarer ones of a longer list go to no topic
NAMING = 3  # words of a name
NO_TOPIC = "other questions"
NO_ANSWER = ("no_context", "failed", "cut", "degraded")


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions that share their words; shares are of `turns`, `down` of `rated`, None without any."""

    name: str
    turns: int
    down: float | None
    rated: int
    refused: float
    unanswered: float
    cost_usd: float | None  # of the turns with a known price
    change: float | None  # second half of the window against the first, None when that had no turn
    left: float  # share of its turns after which the conversation ended
    example: str
    questions: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that had no answer, in all its wordings with the same words; the newest turn decides."""

    key: str
    question: str
    times: int
    people: int  # conversations
    first: Asked
    newest: Asked
    answered: bool  # asked again since, and answered


def topics(turns: Sequence[Asked], since: datetime, until: datetime) -> list[Topic]:
    """Return the topics of a window, the largest first; what fits none comes last, together."""
    named: dict[str, list[Asked]] = defaultdict(list)
    groups, labels = _clusters(turns)
    for question, group in zip(turns, groups, strict=True):
        named[NO_TOPIC if group is None else labels[group]].append(question)
    middle = since + (until - since) / 2
    rows = [_topic(name, group, middle) for name, group in named.items()]
    return sorted(rows, key=lambda row: (row.name == NO_TOPIC, -row.turns, row.name))


def gaps(turns: Iterable[Asked]) -> list[Gap]:
    """Return the questions that got no answer, those asked most often first, answered ones last."""
    by_words: dict[str, list[Asked]] = defaultdict(list)
    for question in turns:
        by_words[key(question.question)].append(question)
    open_gaps: list[Gap] = []
    for words, group in by_words.items():
        group.sort(key=lambda turn: (turn.started_at, turn.turn_id))
        missing = [turn for turn in group if turn.outcome == "no_context"]
        if words and missing:
            answered = group[-1].outcome == "answered" and group[-1].started_at > missing[-1].started_at
            people = len({case.conversation_id for case in missing})
            open_gaps.append(
                Gap(words, missing[-1].question, len(missing), people, missing[0], group[-1], answered)
            )
    return sorted(open_gaps, key=lambda gap: (gap.answered, -gap.times, gap.key))


def key(question: str) -> str:
    """Return the content words of a question, so that other wordings with the same words are the same."""
    return " ".join(sorted({stem(word) for word in tokens(question) if word not in STOP_WORDS}))


def _clusters(turns: Sequence[Asked]) -> tuple[list[int | None], list[str]]:
    """Return the cluster of each question, None for none, and the name of each cluster.

    Wordings join the most alike cluster so far, those asked most often first (leader algorithm over
    tf-idf vectors); a cluster of one wording is none.
    """
    spoken: dict[str, Counter[str]] = defaultdict(Counter)
    stems: dict[str, tuple[str, ...]] = {}
    for turn in turns:
        if turn.question not in stems:
            words = [word for word in tokens(turn.question) if word not in STOP_WORDS]
            stems[turn.question] = tuple(sorted({stem(word) for word in words}))
            for word in words:
                spoken[stem(word)][word] += 1
    volume = Counter(item.question for item in turns)
    wordings = [question for question, _ in volume.most_common(DISTINCT) if stems[question]]
    if not wordings:
        return [None] * len(turns), []
    matrix, vocabulary = _matrix([stems[question] for question in wordings])
    member, centroids = _led(matrix)
    sizes = Counter(member)
    real = [group for group in sizes if group >= 0 and sizes[group] > 1]
    place = {group: number for number, group in enumerate(real)}
    of = {question: place.get(group) for question, group in zip(wordings, member, strict=True)}
    names = [_name(centroids[group], vocabulary, spoken) for group in real]
    return [of.get(item.question) for item in turns], _apart(names)


def _matrix(rows: Sequence[tuple[str, ...]]) -> tuple[NDArray[np.float32], list[str]]:
    frequency = Counter(word for row in rows for word in row)
    vocabulary = [word for word, _ in frequency.most_common(WORDS)]
    column = {word: number for number, word in enumerate(vocabulary)}
    matrix = np.zeros((len(rows), len(vocabulary)), np.float32)
    for number, row in enumerate(rows):
        for word in row:
            if word in column:
                matrix[number, column[word]] = np.log((1 + len(rows)) / (1 + frequency[word])) + 1
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.maximum(lengths, 1e-9)).astype(np.float32), vocabulary


def _led(matrix: NDArray[np.float32]) -> tuple[list[int], NDArray[np.float32]]:
    """Return the cluster of each row (-1: it has no words) and the sum of each cluster's rows."""
    sums = np.zeros_like(matrix)
    lengths = np.ones(len(matrix), np.float32)
    member: list[int] = []
    count = 0
    for row in matrix:
        if not row.any():
            member.append(-1)
            continue
        alike = (sums[:count] @ row) / lengths[:count]
        best = int(alike.argmax()) if count else -1
        if best < 0 or alike[best] < ALIKE:
            best, count = count, count + 1
        sums[best] += row
        lengths[best] = np.linalg.norm(sums[best])
        member.append(best)
    return member, sums[:count]


def _name(
    centroid: NDArray[np.float32], vocabulary: Sequence[str], spoken: Mapping[str, Counter[str]]
) -> str:
    """Return the words that weigh most in a cluster, as people write them."""
    heaviest = np.argsort(-centroid, kind="stable")[:NAMING]
    words = [vocabulary[int(at)] for at in heaviest if centroid[at] > 0]
    return " · ".join(spoken[word].most_common(1)[0][0] for word in words)


def _apart(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        names[place] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _topic(name: str, group: list[Asked], middle: datetime) -> Topic:
    turns = len(group)
    ratings = [question.rating for question in group if question.rating is not None]
    prices = [question.cost_usd for question in group if question.cost_usd is not None]
    later = sum(question.started_at >= middle for question in group)
    return Topic(
        name=name,
        turns=turns,
        down=sum(rating <= 0 for rating in ratings) / len(ratings) if ratings else None,
        rated=len(ratings),
        refused=sum(question.outcome == "refused" for question in group) / turns,
        unanswered=sum(question.outcome in NO_ANSWER for question in group) / turns,
        cost_usd=sum(prices) if prices else None,
        change=later / (turns - later) - 1 if turns > later else None,
        left=sum(question.last for question in group) / turns,
        example=Counter(question.question for question in group).most_common(1)[0][0],
        questions=tuple(group),
    )
