"""Asks one past turn again under another prompt or model, with the same passages or fresh ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Unpack

from evalsets.cases.evalset import messages
from evalsets.release.replay import recorded_history, support
from pipeline import build, providers
from pipeline.context.cache import CacheScope
from pipeline.errors import AnswerdeckError
from pipeline.events import Answer, Event, Failed, Question, last_event
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.settings import Settings
from pipeline.steps.parts import GivenParts
from pipeline.text.sentences import sentences
from pipeline.turn import Pipeline
from traces.queries.turns import trace
from traces.recorder import Recorder
from traces.records import Trace


class CannotReplay(AnswerdeckError):
    """A turn cannot be asked again as it was."""


@dataclass(frozen=True, slots=True)
class PromptPassage:
    """A passage as it stood in the prompt."""

    n: int
    title: str | None
    cited: bool | None


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """One of the two answers, with what it was made with."""

    turn_id: str
    prompt: str | None
    prompt_fingerprint: str | None
    model: str | None
    outcome: str
    answer: str | None
    seconds: float | None
    first_token_seconds: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    hit: bool | None
    passages: int | None
    citations: int | None
    index_version: str | None
    support: float
    support_reason: str
    placed: tuple[PromptPassage, ...]


@dataclass(frozen=True, slots=True)
class ReplayedTurn:
    """A turn as it was and as it is now."""

    before: PlayedTurn
    after: PlayedTurn
    same_passages: bool

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> ReplayedTurn:
        """Return what `to_dict` wrote."""
        return cls(_read(stored["before"]), _read(stored["after"]), stored["same_passages"])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return asdict(self)


def _read(side: Mapping[str, Any]) -> PlayedTurn:
    return PlayedTurn(**{**side, "placed": tuple(PromptPassage(**row) for row in side["placed"])})


class Recorded:
    """A retriever that finds what a recorded turn had found; texts that were not kept are left out."""

    def __init__(self, before: Trace, embedder: Embedder) -> None:
        self._trace = before
        self._embedder = embedder

    async def retrieve(
        self, query: str, kb: str, recorder: Recorder, scope: CacheScope | None = None, own: str | None = None
    ) -> Retrieved:
        """Return the passages that stood in the recorded prompt, with their vectors made anew."""
        rows = sorted((row for row in self._trace.passages if row.n is not None and row.text), key=_number)
        texts = [row.text or "" for row in rows]
        spans = [tuple(sentences(text)) for text in texts]
        with recorder.span("same passages", "retrieval", turn=self._trace.turn.turn_id):
            vector = await self._embedder.embed_query(query)
            vectors = await self._embedder.embed_passages(texts, spans) if rows else []
        candidates = tuple(
            RetrievedChunk(row, span, stored_vectors.sentences)
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
    **parts: Unpack[GivenParts],
) -> ReplayedTurn:
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
    last = await _ended(build.build(settings, **parts), question)
    if isinstance(last, Failed) or not isinstance(last, Answer) or last.trace is None:
        raise CannotReplay(last.message if isinstance(last, Failed) else "the turn ended without an answer")
    return ReplayedTurn(_side(before), _side(last.trace), same_passages=not fresh)


async def _ended(pipeline: Pipeline, question: Question) -> Event | None:
    """Return the last event of one turn; the pipeline is closed after it."""
    try:
        await build.prepare(pipeline)
        return await last_event(pipeline.answer(question))
    finally:
        await pipeline.close()


def _side(answer: Trace) -> PlayedTurn:
    turn, (value, why) = answer.turn, support(answer)
    rows = [PromptPassage(row.n, row.title, row.cited) for row in answer.passages if row.n is not None]
    own = {"support": value, "support_reason": why, "placed": tuple(rows)}
    columns = [field.name for field in fields(PlayedTurn) if field.name not in own]
    return PlayedTurn(**{name: getattr(turn, name) for name in columns}, **own)


def _number(row: Any) -> int:
    return row.n
