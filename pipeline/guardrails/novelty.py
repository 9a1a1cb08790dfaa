"""Weighs the words of a sentence that its passages lack: other words for theirs, or something new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import mul

from pipeline.guardrails.lines import AKIN_LETTERS, LineStems, PassageSentence
from pipeline.guardrails.stretches import ENDING, Word
from pipeline.text.kindred import kindred
from pipeline.text.polarity import figure
from pipeline.text.sentences import STOP_WORDS, rarity, stem, tokens

LIKE, SAME = 0.3, 0.9  # likeness from which a word counts as another's, and at which it counts as the same
MOST = 4.0  # new words beyond which more say nothing more


def measure_novelty(
    content: Sequence[Word],
    near: Sequence[Mapping[str, float]],
    lines: Sequence[PassageSentence],
    everywhere: LineStems,
) -> dict[str, float]:
    """Return how far the content words of a sentence are from any in the passages it cites.

    `near` are for each word the passages' stems that are the word or near to it, see `nearness`.
    `far_*` are of words as far from all others; `cover` is the share of the words, kindred counting in
    part, that one line has, `gain` what the kindred add to it, and `back` how near the words of that line
    which the sentence lacks are to its own.
    """
    far = [1.0 - _greatest(kin) for kin in near]
    new = [
        away
        for (word, token), away in zip(content, far, strict=True)
        if not _stands(word, token, everywhere) and not token[0].isdigit()
    ]
    count = max(len(content), 1)
    covers = _covers(content, near, lines)
    cover = max(covers, default=0.0)
    stand = sum(_stands(word, token, everywhere) for word, token in content)
    return {
        "far_sum": min(sum(new), MOST),
        "far_share": sum(new) / count,
        "far_max": max(new, default=0.0),
        "far_mean": sum(new) / max(len(new), 1),
        "far_rare": max(map(mul, far, (rarity(word) for word, _ in content)), default=0.0),
        "far_last": far[-1] if far else 0.0,
        "far_tail": sum(far[-ENDING:]),
        "kin": sum(1.0 - away for away in new),
        "kin_share": sum(1.0 - away for away in new) / count,
        "cover": cover,
        "gain": cover - stand / count,
        "back": _back(content, lines[covers.index(cover)].text) if covers else 1.0,
    }


def _stands(word: str, token: str, there: LineStems) -> bool:
    return there.akin(word) or figure(token) in there.stems


def _greatest(near: Mapping[str, float]) -> float:
    """Return the greatest nearness, 0 of none."""
    return max(near.values(), default=0.0)


def nearness(word: Word, there: LineStems) -> dict[str, float]:
    """Return the stems of the passages that are the word or near to it, 0..1."""
    if _stands(*word, there):
        return {**_kin(word[0], there.stems), word[0]: 1.0}
    return _kin(word[0], there.stems)


def _kin(word: str, there: AbstractSet[str]) -> dict[str, float]:
    """Return the kindred of a stem that are among others, and how near they are, 0..1."""
    return {
        other: min((likeness - LIKE) / (SAME - LIKE), 1.0)
        for other, likeness in kindred(word).items()
        if other in there
    }


def _covers(
    content: Sequence[Word], near: Sequence[Mapping[str, float]], lines: Sequence[PassageSentence]
) -> list[float]:
    """Return the share of the words that each line has, kindred counting in part."""
    index: dict[str, list[tuple[int, float]]] = {}
    for place, ((word, token), kin) in enumerate(zip(content, near, strict=True)):
        for other, nearest in {**kin, word: 1.0, figure(token): 1.0}.items():
            index.setdefault(other, []).append((place, nearest))
    sought = frozenset(index)
    long = [
        (place, word[:AKIN_LETTERS]) for place, (word, _) in enumerate(content) if len(word) > AKIN_LETTERS
    ]
    covers: list[float] = []
    for line in lines:
        has = [0.0] * len(content)
        for other in line.reach.stems & sought:
            for place, nearest in index[other]:
                has[place] = max(has[place], nearest)
        for place, beginning in long:
            if beginning in line.reach.beginnings:
                has[place] = 1.0
        covers.append(sum(has) / max(len(content), 1))
    return covers


def _back(content: Sequence[Word], line: str) -> float:
    """Return how near the line's content words that the sentence lacks are to the sentence's, their mean."""
    mine = {word for word, _ in content}
    lacking = {stem(token) for token in tokens(line) if token not in STOP_WORDS} - mine
    return sum(_greatest(_kin(word, mine)) for word in lacking) / len(lacking) if lacking and mine else 1.0
