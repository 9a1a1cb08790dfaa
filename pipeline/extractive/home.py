"""Picks the passage that answers, among those read: by rank, nearness, and the question's words in it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.text import STOP_WORDS

Numbers = NDArray[np.float64]
FEATURES = (
    *("first", "rank", "cosine", "cosine_two", "coverage", "coverage_titled", "coverage_page"),
    *("title", "title_asked", "telling", "doing"),
)


class Opened(Protocol):
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


def features(page: Opened) -> dict[str, Numbers]:
    """Return one value per passage under each name of FEATURES."""
    table = np.array([_passage(page, number) for number in range(len(page.titles))])
    return dict(zip(FEATURES, table.T, strict=True))


def share(matches: Numbers, weights: Numbers) -> Numbers:
    """Return the weighted share of the asked words that each row has."""
    total = float(weights.sum())
    return matches @ weights / total if total > 0 else np.zeros(len(matches))


def _passage(page: Opened, number: int) -> list[float]:
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
