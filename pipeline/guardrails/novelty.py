"""Weighs the words of a sentence that its passages lack: other words for theirs, or something new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import mul

from pipeline.guardrails.lines import AKIN_LETTERS, LineStems, PassageSentence, Word, stemmed
from pipeline.guardrails.stretches import ENDING, stands
from pipeline.text.kindred import kindred
from pipeline.text.polarity import figure
from pipeline.text.sentences import STOP_WORDS, rarity

LIKE, SAME = 0.3, 0.9  # likeness from which a word counts as another's, and at which it counts as the same
MOST = 4.0  # new words beyond which more say nothing more


def measure_novelty(
    content: Sequence[Word], lines: Sequence[PassageSentence], everywhere: LineStems
) -> dict[str, float]:
    """Return how far the content words of a sentence are from any in the passages it cites.

    `far_*` are of words as far from all others; `cover` is the share of the words, kindred counting in
    part, that one line has, `gain` what the kindred add to it, and `back` how near the words of that line
    which the sentence lacks are to its own.
    """
    standing = {word for word in set(content) if stands(word, everywhere)}
    near = {word: _nearness(word, everywhere, word in standing) for word in set(content)}
    away = {word: 1.0 - _greatest(kin) for word, kin in near.items()}
    far = [away[word] for word in content]
    new = [away[word] for word in content if word not in standing and not word[1][0].isdigit()]
    count = max(len(content), 1)
    covers = _covers(content, near, lines)
    cover = max(covers, default=0.0)
    stand = sum(word in standing for word in content)
    return {
        "far_sum": min(sum(new), MOST),
        "far_share": sum(new) / count,
        "far_max": max(new, default=0.0),
        "far_mean": sum(new) / max(len(new), 1),
        "far_rare": max(map(mul, far, (rarity(word) for word, _ in content)), default=0.0),
        "far_last": far[-1] if far else 0.0,
        "far_tail": sum(far[-ENDING:]),
        "kin": sum(1.0 - distance for distance in new),
        "kin_share": sum(1.0 - distance for distance in new) / count,
        "cover": cover,
        "gain": cover - stand / count,
        "back": _back(content, lines[covers.index(cover)].text) if covers else 1.0,
    }


def _greatest(near: Mapping[str, float]) -> float:
    """Return the greatest nearness, 0 of none."""
    return max(near.values(), default=0.0)


def _nearness(word: Word, there: LineStems, stands_there: bool) -> dict[str, float]:
    """Return the stems of the passages that are the word or near to it, 0..1."""
    kin = _kin(word[0], there.stems)
    return {**kin, word[0]: 1.0} if stands_there else kin


def _kin(word: str, there: AbstractSet[str]) -> dict[str, float]:
    """Return the kindred of a stem that are among others, and how near they are, 0..1."""
    likeness = kindred(word)
    return {other: min((likeness[other] - LIKE) / (SAME - LIKE), 1.0) for other in likeness.keys() & there}


def _covers(
    content: Sequence[Word], near: Mapping[Word, Mapping[str, float]], lines: Sequence[PassageSentence]
) -> list[float]:
    """Return the share of the words that each line has, kindred counting in part."""
    place_of = {word: place for place, word in enumerate(near)}
    places = [place_of[word] for word in content]
    index: dict[str, list[tuple[int, float]]] = {}
    for place, ((word, token), kin) in enumerate(near.items()):
        for other, nearest in {**kin, word: 1.0, figure(token): 1.0}.items():
            index.setdefault(other, []).append((place, nearest))
    sought = frozenset(index)
    long = [(place, word[:AKIN_LETTERS]) for place, (word, _) in enumerate(near) if len(word) > AKIN_LETTERS]
    covers: list[float] = []
    for line in lines:
        has = [0.0] * len(near)
        for other in line.reach.stems & sought:
            for place, nearest in index[other]:
                if nearest > has[place]:
                    has[place] = nearest
        for place, beginning in long:
            if beginning in line.reach.beginnings:
                has[place] = 1.0
        covers.append(sum([has[place] for place in places]) / max(len(content), 1))
    return covers


def _back(content: Sequence[Word], line: str) -> float:
    """Return how near the line's content words that the sentence lacks are to the sentence's, their mean."""
    mine = {word for word, _ in content}
    lacking = {word for word, token in stemmed(line) if token not in STOP_WORDS} - mine
    return sum(_greatest(_kin(word, mine)) for word in lacking) / len(lacking) if lacking and mine else 1.0
