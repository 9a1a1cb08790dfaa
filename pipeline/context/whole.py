"""Puts a small knowledge base whole into the prompt, first, where providers cache what stays the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pipeline.context.assemble import newest
from pipeline.events import Message
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.knowledge.shelf import MemoryShelf, Shelf
from pipeline.models.model import Prompt
from pipeline.prompts.library import PromptVersion
from pipeline.text.tokens import estimate
from traces.records import Passage

MARKERS_TOKENS = 24  # the lines around a passage
SMALLEST_CHUNK = 10  # tokens; more chunks than the budget can hold at this size are not read
_HERE = "\x00passages\x00"


async def everything(shelf: Shelf, budget: int, kb: str | None = None) -> tuple[RetrievedChunk, ...] | None:
    """Return all chunks in the order of their documents, or None when they are over `budget` tokens."""
    if not isinstance(shelf, MemoryShelf) or not 0 < shelf.chunks <= budget // SMALLEST_CHUNK:
        return None
    rows = await shelf.rows(range(shelf.chunks))
    if sum(estimate(row.title + row.text) + MARKERS_TOKENS for row in rows) > budget:
        return None
    rows.sort(key=lambda row: (row.document_id, int(row.chunk_id.rpartition("#")[2] or 0)))
    return tuple(
        RetrievedChunk(
            Passage("", n, row.chunk_id, row.document_id, row.title, row.url, row.text, n=n, kb=kb),
            row.spans,
            row.vectors,
            row.screened,
        )
        for n, row in enumerate(rows, 1)
    )


def fits(version: PromptVersion) -> bool:
    """Say whether nothing that changes stands before the passages in a prompt."""
    before, passages, _ = version.user.partition("{{passages}}")
    return bool(passages) and "{{question}}" not in before + version.system


def assemble_whole(
    version: PromptVersion,
    question: str,
    standalone: str,
    history: Sequence[Message],
    retrieved: Retrieved,
    whole: Sequence[RetrievedChunk],
    *,
    context_tokens: int,
    max_output_tokens: int,
) -> tuple[Prompt, tuple[Passage, ...]]:
    """Return the prompt with the whole knowledge base at its beginning, and the passages by number.

    The prompt's own `retrieved` are for the model that answers when no provider can. The oldest turns
    go when question and history exceed `context_tokens`.
    """
    boundary = _boundary(whole)
    request = question if question == standalone else f"{question} (that is: {standalone})"
    system, user = version.fill(passages=_HERE, question=request, boundary=boundary)
    before, _, rest = user.partition(_HERE)
    blocks = (
        f"<passage {candidate.passage.n} {boundary}>\n{candidate.passage.title}\n{candidate.passage.text}\n"
        f"</passage {candidate.passage.n} {boundary}>"
        for candidate in whole
    )
    prefix = before + "\n\n".join(blocks)
    asking = Message("user", rest.strip())
    budget = context_tokens - estimate(version.text) - estimate(question) - estimate(asking.text)
    messages = [*newest(history, budget), asking]
    messages[0] = replace(messages[0], text=f"{prefix}\n\n{messages[0].text}")
    best = replace(retrieved, candidates=_numbered(retrieved.candidates, whole))
    prompt = Prompt(system, tuple(messages), standalone, best, max_output_tokens, stable=len(prefix))
    return prompt, _rows(whole, retrieved)


def _numbered(
    candidates: Sequence[RetrievedChunk], whole: Sequence[RetrievedChunk]
) -> tuple[RetrievedChunk, ...]:
    """Return the candidates with the numbers that they have in the whole knowledge base."""
    numbers = {candidate.passage.chunk_id: candidate.passage.n for candidate in whole}
    return tuple(
        replace(candidate, passage=replace(candidate.passage, n=numbers.get(candidate.passage.chunk_id)))
        for candidate in candidates
    )


def _rows(whole: Sequence[RetrievedChunk], retrieved: Retrieved) -> tuple[Passage, ...]:
    """Return every passage by number, with the scores of those that were retrieved."""
    ranked = {item.passage.chunk_id: item.passage for item in retrieved.candidates}
    last = len(ranked)
    rows: list[Passage] = []
    for candidate in whole:
        rank_row = ranked.get(candidate.passage.chunk_id)
        last += rank_row is None
        row = replace(candidate.passage, rank=last) if rank_row is None else rank_row
        rows.append(replace(row, n=candidate.passage.n, text=candidate.passage.text))
    return tuple(rows)


def _boundary(whole: Sequence[RetrievedChunk]) -> str:
    """Return a marker no document can hold: it is the hash of all of them."""
    digest = hashlib.sha256()
    for candidate in whole:
        digest.update(f"{candidate.passage.chunk_id}\0{candidate.passage.text}\0".encode())
    return digest.hexdigest()[:16]
