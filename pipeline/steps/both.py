"""Searches for each of two questions in one beside the whole, so that both have their passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from pipeline.context.cache import CacheScope
from pipeline.extractive.double import halves
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.steps.parts import Finder
from traces.recorder import Recorder


async def retrieve(
    retriever: Finder, query: str, kb: str, recorder: Recorder, scope: CacheScope | None, own: str | None
) -> Retrieved:
    """Return the candidates as the retriever does; for two questions in one, those of each part, too.

    `halves` has the vector of each part. Raises what the retriever raises.
    """
    whole = await retriever.retrieve(query, kb, recorder, scope, own)
    parts = halves(query)
    if parts is None or whole.query_vector is None or not whole.candidates:
        return whole
    answers = [await retriever.retrieve(part, kb, recorder, scope, own) for part in parts]
    vectors = tuple((part, each.query_vector) for part, each in zip(parts, answers, strict=True))
    return replace(whole, candidates=_in_turn([*answers, whole]), halves=vectors)


def _in_turn(answers: Sequence[Retrieved]) -> tuple[RetrievedChunk, ...]:
    """Return the candidates of all, the best of each first, none twice."""
    rows = zip_longest(*(each.candidates for each in answers))
    distinct = {
        candidate.passage.chunk_id: candidate
        for row in reversed(list(rows))
        for candidate in reversed(row)
        if candidate
    }
    ordered = list(reversed(distinct.values()))
    return tuple(
        replace(candidate, passage=replace(candidate.passage, rank=rank))
        for rank, candidate in enumerate(ordered, 1)
    )
