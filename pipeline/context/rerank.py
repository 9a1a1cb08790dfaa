"""Orders the fused candidates by what was prepared at ingestion: sentences and neighbours.

Chosen by figures (recall@5 / nDCG@5, one passage a page): demo_gnome_help fused 1.000 / .916, reranked
1.000 / .929; mtrag_cloud fused .387 / .332, reranked .418 / .351. Tried and not kept: lexical coverage
of the query's words, title match, mean over the best three or five sentences, chunk length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.chunking import BEGINNING
from pipeline.knowledge.found import Vector
from pipeline.knowledge.shelf import StoredChunk
from pipeline.text.codes import codes
from pipeline.text.definitions import titled

SECOND = 0.3  # weight of the second-best chunk of the same page: support from the neighbourhood
ALONE = 1.0  # how far below its best chunk a page without a second one is taken to be
SENTENCE = 1.0  # weight of the best sentence's cosine, in deviations of all cosines
PER_DOCUMENT = 3  # passages one document may take among the first


def rerank(
    fused: NDArray[np.float64],
    seconds: NDArray[np.float64],
    rows: Sequence[StoredChunk],
    vector: Vector | None,
    mean: float,
    deviation: float,
) -> NDArray[np.float64]:
    """Return a score per candidate.

    `seconds` holds the fused score of the second-best chunk of each candidate's page, NaN when it
    has none; `mean` and `deviation` are those of the query's cosines over the whole table.
    """
    scores = fused + SECOND * np.where(np.isnan(seconds), fused - ALONE, seconds)
    if vector is None:
        return scores
    return scores + SENTENCE * (np.array([_best(row, vector, mean) for row in rows]) - mean) / deviation


def capped(documents: Sequence[str], first: int, most: int = PER_DOCUMENT) -> list[int]:
    """Return the order that lets no document fill more than `most` of the first places.

    Guards against stuffing; nothing is lost, what is too much moves behind the rest.
    """
    taken: dict[str, int] = {}
    places: list[int] = []
    late: list[int] = []
    for number, document in enumerate(documents):
        taken[document] = taken.get(document, 0) + 1
        (late if len(places) < first and taken[document] > most else places).append(number)
    return places + late


def _best(row: StoredChunk, vector: Vector, otherwise: float) -> float:
    if row.vectors is None or not len(row.vectors):
        return otherwise
    return float((row.vectors @ vector).max())


def coded(query: str, texts: Sequence[str], order: list[int], first: int) -> list[int]:
    """Return the order with the best text that has a code of the query last of the first, when none has."""
    query_codes = codes(query)
    return _among(order, [bool(query_codes & codes(text)) for text in texts], first) if query_codes else order


def introduced(query: str, rows: Sequence[StoredChunk], order: list[int], first: int) -> list[int]:
    """Return the order with the beginning of the page named after what is asked for among the first."""
    return _among(order, [beginning(row, query) for row in rows], first)


def beginning(row: StoredChunk, query: str) -> bool:
    """Tell whether a chunk begins the page that is named after what the question asks for."""
    return row.chunk_id.endswith(BEGINNING) and titled(query, row.title)


def _among(order: list[int], fitting: Sequence[bool], first: int) -> list[int]:
    """Return the order with the best of the fitting ones last of the first, when none is there."""
    having = [place for place, number in enumerate(order) if fitting[number]]
    if not having or having[0] < first:
        return order
    moved = order[having[0]]
    rest = [number for number in order if number != moved]
    return [*rest[: first - 1], moved, *rest[first - 1 :]]
