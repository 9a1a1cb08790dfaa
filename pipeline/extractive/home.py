"""Picks the passage that answers, among those read: by rank, nearness, and the question's words in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.text.sentences import STOP_WORDS, stem

OTHER = 2.0  # odds that a page about other things of the same count loses
_COUNTED = re.compile(r"\b(two|three|both|several) ([a-z]{3,})")
Numbers = NDArray[np.float64]
FEATURES = (
    *("first", "rank", "cosine", "cosine_two", "coverage", "coverage_titled", "coverage_page"),
    *("title", "title_asked", "telling", "doing"),
)


class HomeSentences(Protocol):
    """The sentences of the passages read beside the question, as evidence.Page has them.

    A row each: `rows` is its passage, `matches` which asked words it has, `cosines`, `doing`. A passage
    each: `titles` and `titled`.
    """

    rows: NDArray[np.int64]
    matches: Numbers
    cosines: Numbers
    doing: Numbers
    titles: list[set[str]]
    titled: Numbers
    words: list[str]
    rarity: Numbers
    kind: str

    def tells(self) -> Numbers: ...


def features(page: HomeSentences) -> dict[str, Numbers]:
    """Return one value per passage under each name of FEATURES."""
    table = np.array([_passage(page, number) for number in range(len(page.titles))])
    return dict(zip(FEATURES, table.T, strict=True))


def others(question: str, titles: Sequence[str]) -> Numbers:
    """Return 1 for each title that counts other things than the question: "two models", not "two prompts"."""
    mine = {count: stem(thing) for count, thing in _COUNTED.findall(question.casefold())}
    theirs = [{count: stem(thing) for count, thing in _COUNTED.findall(title.casefold())} for title in titles]
    return np.array(
        [any(mine.get(count, thing) != thing for count, thing in pairs.items()) for pairs in theirs], float
    )


def share(matches: Numbers, weights: Numbers) -> Numbers:
    """Return the weighted share of the asked words that each row has."""
    total = float(weights.sum())
    return matches @ weights / total if total > 0 else np.zeros(len(matches))


def _passage(page: HomeSentences, number: int) -> list[float]:
    own, titled = page.rows == number, page.titled[number]
    if not own.any():
        return [0.0] * len(FEATURES)
    matches, title = page.matches[own], page.titles[number] - STOP_WORDS
    cosines = np.sort(page.cosines[own])
    return [
        float(number == 0),
        1 / (number + 1),
        float(cosines[-1]),
        float(cosines[-2:].mean()),
        float(share(matches, page.rarity).max()),
        float(share(np.maximum(matches, titled), page.rarity).max()),
        float(share(np.maximum(matches.max(axis=0), titled)[None], page.rarity)[0]),
        float(share(titled[None], page.rarity)[0]),
        len(title & set(page.words)) / max(len(title), 1),
        float(page.tells()[own].max()),
        float(page.kind == "how" and (page.doing[own] * share(matches, page.rarity)).max()),
    ]
