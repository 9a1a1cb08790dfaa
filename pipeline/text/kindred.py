"""Knows words of like meaning: "compulsory" and "mandatory", "kids" and "children".

The table is made by evalsets/fit_kindred.py of the embedding model's vectors of single words. Likeness is
that of a field, not of a claim: "permitted" is like "allowed", and "forbidden" is, too, but less.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).parent / "kindred.npz"
STEPS = 255.0  # of a stored likeness to 1


@lru_cache(maxsize=8192)
def kindred(stem: str) -> Mapping[str, float]:
    """Return the stems of like meaning with their likeness, 0.4..1; none of a stem not in the table."""
    stems, place_of, starts, others, likeness = _table()
    place = place_of.get(stem)
    if place is None:
        return {}
    first, last = starts[place], starts[place + 1]
    return {
        stems[other]: step / STEPS
        for other, step in zip(others[first:last].tolist(), likeness[first:last].tolist(), strict=True)
    }


@cache
def _table() -> tuple[list[str], dict[str, int], np.ndarray, np.ndarray, np.ndarray]:
    with np.load(TABLE) as stored:
        stems = bytes(stored["stems"]).decode("ascii").split("\n")
        starts, others, likeness = stored["starts"], stored["others"], stored["likeness"]
    return stems, {stem: place for place, stem in enumerate(stems)}, starts, others, likeness
