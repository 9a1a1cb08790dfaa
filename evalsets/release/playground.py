"""Asks one past turn again under another prompt or model, with the same passages or fresh ones."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Unpack

from evalsets.cases.evalset import messages
from evalsets.release.replay import recorded_history, support
from pipeline import build, providers
from pipeline.context.cache import Scope
from pipeline.errors import AnswerdeckError
from pipeline.events import Answer, Event, Failed, Question
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.found import Found, Retrieved
from pipeline.parts import Given
from pipeline.settings import Settings
from pipeline.text import sentences
from traces.queries.turns import trace
from traces.recorder import Recorder
from traces.records import Trace


class CannotReplay(AnswerdeckError):
    """A turn cannot be asked again as it was."""


class Recorded:
    """A retriever that finds what a recorded turn had found; texts that were not kept are left out."""

    def __init__(self, before: Trace, embedder: Embedder) -> None:
        self._trace = before
        self._embedder = embedder

    async def retrieve(
        self, query: str, kb: str, recorder: Recorder, scope: Scope | None = None
    ) -> Retrieved:
        """Return the passages that stood in the recorded prompt, with their vectors made anew."""
        rows = sorted((row for row in self._trace.passages if row.n is not None and row.text), key=_number)
        texts = [row.text or "" for row in rows]
        spans = [tuple(sentences(text)) for text in texts]
        with recorder.span("same passages", "retrieval", turn=self._trace.turn.turn_id):
            vector = await self._embedder.embed_query(query)
            vectors = await self._embedder.embed_passages(texts, spans) if rows else []
        candidates = tuple(
            Found(row, span, stored_vectors.sentences)
            for row, span, stored_vectors in zip(rows, spans, vectors, strict=True)
        )
        turn = self._trace.turn
        return Retrieved(query, vector, candidates, kb, turn.index_version, turn.embedder)

    async def warm(self) -> None:
        """Load nothing: the passages are there."""

    async def close(self) -> None:
        """Close nothing."""


async def again(
    settings: Settings,
    turn_id: str,
    *,
    prompt: str | None,
    model: str | None,
    fresh: bool,
    **parts: Unpack[Given],
) -> dict[str, Any]:
    """Ask a recorded turn again and return both answers side by side.

    Raises CannotReplay when there is no such turn, or its passages were not kept.
    """
    with build.store(settings).read() as ledger:
        before = trace(ledger, turn_id)
        history = recorded_history(ledger, before, build.reach(settings)) if before else []
    if before is None:
        raise CannotReplay(f"there is no turn {turn_id!r}")
    if not fresh:
        if not any(row.n is not None and row.text for row in before.passages):
            raise CannotReplay("this turn had no passages, or their texts are no longer kept; search anew")
        embedder = providers.embedder(settings)
        parts = {
            **parts,
            "knowledge": build.knowledge(settings, embedder),
            "retriever": Recorded(before, embedder),
        }
    question = Question(
        before.turn.question,
        user_id="replay",
        door="replay",
        kb=before.turn.kb,
        prompts={"answer": prompt} if prompt else {},
        model=model,
        history=messages(history),
    )
    pipeline = build.build(settings, **parts)
    last: Event | None = None
    try:
        await build.prepare(pipeline)
        async with aclosing(pipeline.answer(question)) as events:
            async for event in events:
                last = event
    finally:
        await pipeline.close()
    if isinstance(last, Failed) or not isinstance(last, Answer) or last.trace is None:
        raise CannotReplay(last.message if isinstance(last, Failed) else "the turn ended without an answer")
    return {"before": _told(before), "after": _told(last.trace), "same_passages": not fresh}


def _told(answer: Trace) -> dict[str, Any]:
    turn = answer.turn
    columns = (
        "turn_id prompt prompt_fingerprint model outcome answer seconds first_token_seconds input_tokens "
        "output_tokens cost_usd hit passages citations index_version"
    )
    value, why = support(answer)
    passages = [
        {"n": row.n, "title": row.title, "cited": row.cited} for row in answer.passages if row.n is not None
    ]
    about = {key: getattr(turn, key) for key in columns.split()}
    return {**about, "support": value, "support_reason": why, "placed": passages}


def _number(row: Any) -> int:
    return row.n
