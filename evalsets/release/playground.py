"""Asks one past turn again under another prompt or model, with the same passages or fresh ones."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from evalsets.cases.evalset import messages
from evalsets.release.replay import recorded_history, support
from pipeline.errors import AnswerdeckError
from pipeline.events import Answer, Failed, Question
from pipeline.knowledge.found import Found, Retrieved
from pipeline.text import sentences
from traces.queries.turns import trace
from traces.recorder import Recorder
from traces.records import Trace

if TYPE_CHECKING:
    from pipeline.context.cache import Scope
    from pipeline.context.retrieval import Retriever
    from pipeline.knowledge.embedding import Embedder
    from pipeline.turn import Pipeline


class CannotReplay(AnswerdeckError):
    """A turn cannot be asked again as it was."""


class Kept:
    """A retriever that finds what a recorded turn had found; texts that were not kept are left out."""

    def __init__(self, one: Trace, embedder: Embedder) -> None:
        self._trace = one
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
        found = tuple(
            Found(row, span, made.sentences) for row, span, made in zip(rows, spans, vectors, strict=True)
        )
        turn = self._trace.turn
        return Retrieved(query, vector, found, kb, turn.index_version, turn.embedder)


async def again(
    pipeline: Pipeline, turn_id: str, *, prompt: str | None, model: str | None, fresh: bool
) -> dict[str, Any]:
    """Ask a recorded turn again and return both answers side by side.

    Raises CannotReplay when there is no such turn, or its passages were not kept.
    """
    with pipeline.store.read() as ledger:
        before = trace(ledger, turn_id)
        history = recorded_history(ledger, before) if before else []
    if before is None:
        raise CannotReplay(f"there is no turn {turn_id!r}")
    if not fresh and not any(row.n is not None and row.text for row in before.passages):
        raise CannotReplay("this turn had no passages, or their texts are no longer kept; search anew")
    question = Question(
        before.turn.question,
        user_id="replay",
        door="replay",
        kb=before.turn.kb,
        prompt=prompt,
        model=model,
        history=messages(history),
    )
    retriever, last = pipeline.retriever, None
    if not fresh:
        pipeline.retriever = cast("Retriever", Kept(before, pipeline.knowledge.embedder))
    try:
        async with aclosing(pipeline.answer(question)) as events:
            async for event in events:
                last = event
    finally:
        pipeline.retriever = retriever
    if isinstance(last, Failed) or not isinstance(last, Answer) or last.trace is None:
        raise CannotReplay(last.message if isinstance(last, Failed) else "the turn ended without an answer")
    return {"before": _told(before), "after": _told(last.trace), "same_passages": not fresh}


def _told(one: Trace) -> dict[str, Any]:
    turn = one.turn
    columns = (
        "turn_id prompt prompt_fingerprint model outcome answer seconds first_token_seconds input_tokens "
        "output_tokens cost_usd hit passages citations index_version"
    )
    value, why = support(one)
    passages = [
        {"n": row.n, "title": row.title, "cited": row.cited} for row in one.passages if row.n is not None
    ]
    about = {key: getattr(turn, key) for key in columns.split()}
    return {**about, "support": value, "support_reason": why, "placed": passages}


def _number(row: Any) -> int:
    return row.n
