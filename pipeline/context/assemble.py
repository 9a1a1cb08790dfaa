"""Builds the prompt: numbers the passages, fits the budget, keeps documents apart from orders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from pipeline.events import Message
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.models.model import Prompt
from pipeline.prompts.library import PromptVersion
from pipeline.text.tokens import estimate

COPY_CHARACTERS = 200  # a text as long as this is a copy, whatever its title


def assemble(
    version: PromptVersion,
    question: str,
    standalone: str,
    history: Sequence[Message],
    retrieved: Retrieved,
    *,
    passages: int,
    context_tokens: int,
    max_output_tokens: int,
) -> Prompt:
    """Return the prompt with at most `passages` passages, within `context_tokens` (estimated).

    What does not fit goes in this order: the oldest turns, then the lowest-ranked passages; a
    single passage too long for the budget is cut at its end.
    """
    budget = context_tokens - estimate(version.text) - estimate(question)
    packed = _pack(retrieved.candidates, passages, budget)
    budget -= sum(estimate(candidate.passage.text or "") for candidate in packed)
    messages = newest(history, budget)
    boundary = _boundary(question, packed)
    system, user = version.fill(
        passages="\n\n".join(_block(candidate, n, boundary) for n, candidate in enumerate(packed, 1)),
        question=question if question == standalone else f"{question} (that is: {standalone})",
        boundary=boundary,
    )
    return Prompt(
        system=system,
        messages=(*messages, Message("user", user)),
        question=standalone,
        retrieved=replace(retrieved, candidates=_numbered(retrieved.candidates, packed)),
        max_output_tokens=max_output_tokens,
    )


def _numbered(
    candidates: Sequence[RetrievedChunk], packed: Sequence[RetrievedChunk]
) -> tuple[RetrievedChunk, ...]:
    """Return all candidates, those that reached the prompt as they stand there, with their numbers."""
    numbers = {candidate.passage.chunk_id: n for n, candidate in enumerate(packed, 1)}
    shortened = {candidate.passage.chunk_id: candidate for candidate in packed}
    keyed = ((candidate.passage.chunk_id, candidate) for candidate in candidates)
    return tuple(_number(shortened.get(key, candidate), numbers.get(key)) for key, candidate in keyed)


def newest(history: Sequence[Message], budget: float) -> Sequence[Message]:
    """Return the newest turns (a question and its answer each) that fit a budget of tokens."""
    first = 0
    while first < len(history) and sum(estimate(message.text) for message in history[first:]) > budget:
        first += 2
    return history[first:]


def _pack(candidates: Sequence[RetrievedChunk], passages: int, budget: int) -> list[RetrievedChunk]:
    packed: list[RetrievedChunk] = []
    for candidate in distinct(candidates, passages):
        text = candidate.passage.text or ""
        if estimate(text) <= budget:
            packed.append(candidate)
            budget -= estimate(text)
        elif not packed:
            packed.append(_cut(candidate, max(budget, 50)))
            break
    return packed


def distinct(candidates: Sequence[RetrievedChunk], most: int) -> list[RetrievedChunk]:
    """Return the first `most` passages that say something a better one does not: copies take one place.

    Short texts under different titles speak of different things, as rows of two tables do.
    """
    chosen: list[tuple[str, str, RetrievedChunk]] = []
    for candidate in candidates:
        if len(chosen) == most:
            break
        title, text = _folded(candidate.passage.title or ""), _folded(candidate.passage.text or "")
        if not any(
            text in other and (title == above or len(text) >= COPY_CHARACTERS) for above, other, _ in chosen
        ):
            chosen.append((title, text, candidate))
    return [entry for _, _, entry in chosen]


@lru_cache(maxsize=1024)  # the same passages come often
def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _cut(candidate: RetrievedChunk, tokens: int) -> RetrievedChunk:
    """Shorten a passage to about `tokens`, at a sentence's end where there is one."""
    text = candidate.passage.text or ""
    end = max((stop for _, stop in candidate.spans if estimate(text[:stop]) <= tokens), default=tokens * 3)
    spans = tuple(span for span in candidate.spans if span[1] <= end)
    vectors = None if candidate.vectors is None else candidate.vectors[: len(spans)]
    return RetrievedChunk(replace(candidate.passage, text=text[:end]), spans, vectors)


def _number(candidate: RetrievedChunk, n: int | None) -> RetrievedChunk:
    if candidate.passage.n == n:
        return candidate
    return RetrievedChunk(replace(candidate.passage, n=n), candidate.spans, candidate.vectors)


def _block(candidate: RetrievedChunk, n: int, boundary: str) -> str:
    passage = candidate.passage
    return f"<passage {n} {boundary}>\n{passage.title}\n{passage.text}\n</passage {n} {boundary}>"


def _boundary(question: str, packed: Sequence[RetrievedChunk]) -> str:
    """Return a marker no document can have foreseen: it depends on question and passages."""
    parts = [question, *(candidate.passage.chunk_id for candidate in packed)]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]
