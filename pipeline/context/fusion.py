"""Puts the scores of both searches together, and picks the candidates of as many pages as can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.shelf import Keys, Scores

SPARSE = 0.4  # weight of the learned-sparse z-scores; see the room's README
NEAR = 20  # best chunks looked at per candidate wanted, to find enough different pages
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """All rows either search scored, with the weighted sum of both z-scores; NaN is not measured."""

    keys: Keys
    pages: Keys
    cosines: Numbers
    texts: Numbers
    fused: Numbers


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of two voices beside that of the vectors, 1: full text, and the learned-sparse one."""

    text: float = 0.3
    sparse: float = SPARSE


def fuse(cosines: Scores, texts: Scores, weights: Weights, pieces: Scores | None = None) -> Pool:
    """Score all rows by z(cosine) + text x z(BM25) + sparse x z(expansion), all over the whole table.

    Every text match has its cosine in `cosines`, or there are no cosines at all. A row that shares
    no word with the query has a BM25 of 0. `pieces` have all rows; None where passages have no expansions.
    """
    every = cosines if len(cosines.keys) else texts
    size, hits = len(every.keys), np.searchsorted(every.keys, texts.keys)
    text, overlap, cosine = np.full(size, np.nan), np.zeros(size), np.full(size, np.nan)
    text[hits] = overlap[hits] = texts.values
    cosine[: len(cosines.keys)] = cosines.values
    fused = weights.text * (overlap - texts.mean) / texts.deviation
    if len(cosines.keys):
        fused += (cosine - cosines.mean) / cosines.deviation
    if pieces is not None:
        about = pieces.values if len(pieces.keys) == size else _of(pieces, every.keys)
        fused += weights.sparse * (about - pieces.mean) / pieces.deviation
    return Pool(every.keys, every.pages, cosine, text, fused)


def _of(scores: Scores, keys: Keys) -> NDArray[np.float32]:
    return scores.values[np.searchsorted(scores.keys, keys)]


def best(pool: Pool, candidates: int) -> Keys:
    """Return the places of the candidates.

    The best chunk of each page comes first; other chunks only fill what is left.
    """
    order = _top(pool.fused, NEAR * candidates)
    _, first = np.unique(pool.pages[order], return_index=True)
    if len(first) < candidates:
        order = _top(pool.fused, len(pool.fused))
        _, first = np.unique(pool.pages[order], return_index=True)
    leaders = np.sort(first)[:candidates]
    others = np.ones(len(order), bool)
    others[first] = False
    later = np.flatnonzero(others)[: candidates - len(leaders)]
    return order[np.concatenate([leaders, later])]


def neighbours(pool: Pool, places: Keys) -> Numbers:
    """Return the fused score of each candidate's second-best neighbour, NaN where its page has one chunk."""
    pages = pool.pages[places]
    near = np.flatnonzero(np.isin(pool.pages, pages))
    scores: dict[int, list[float]] = {}
    for page, score in zip(pool.pages[near].tolist(), pool.fused[near].tolist(), strict=True):
        scores.setdefault(page, []).append(score)
    return np.array(
        [sorted(scores[page])[-2] if len(scores[page]) > 1 else np.nan for page in pages.tolist()]
    )


def _top(values: Numbers, count: int) -> Keys:
    """Return the places of the highest values, best first, earlier places first among equals."""
    if count < len(values):
        places = np.sort(np.argpartition(-values, count)[:count])
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")]


def strangers(texts: Scores, cosines: Scores, chunks: int) -> Keys:
    """Return the rows that only the full-text search found, of a table with so many chunks."""
    if len(cosines.keys) == chunks:
        return texts.keys[:0]
    return texts.keys[~np.isin(texts.keys, cosines.keys, assume_unique=True)]


def joined(cosines: Scores, keys: Keys, values: NDArray[np.float32], texts: Scores) -> Scores:
    """Add the cosines of rows that only the full-text search found."""
    pages = texts.pages[np.searchsorted(texts.keys, keys)]
    every = np.concatenate([cosines.keys, keys])
    order = np.argsort(every)
    return Scores(
        every[order],
        np.concatenate([cosines.values, values])[order],
        np.concatenate([cosines.pages, pages])[order],
        cosines.mean,
        cosines.deviation,
    )


def ranks(values: Numbers, places: Keys) -> list[int | None]:
    """Return the 1-based rank of each place among the measured values."""
    there = np.sort(values[~np.isnan(values)])
    higher = len(there) - np.searchsorted(there, values[places], side="right")
    return [
        None if unmeasured else rank + 1
        for unmeasured, rank in zip(np.isnan(values[places]).tolist(), higher.tolist(), strict=True)
    ]


def measured(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
