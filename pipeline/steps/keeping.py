"""Serves a turn the answer kept for the same question, and keeps what it answers; off by default."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from pipeline.context.answers import AnswerCache, AnswerHit, AnswerKey, KeptAnswer, disagree
from pipeline.context.cache import CacheScope
from pipeline.guardrails.marking import MARK, plain
from pipeline.models.model import AnswerEvent, Prompt, Stop, Text, Tokens
from pipeline.prompts.library import PromptVersion
from pipeline.steps.live_turn import LiveTurn
from traces.recorder import OpenSpan
from traces.records import Usage

SERVED = "answer cache"  # what stands in the place of a price table's version


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache said to a turn, and the span that tells of it."""

    question: AnswerKey
    hit: AnswerHit | None
    span: OpenSpan

    @property
    def served(self) -> AnswerHit | None:
        """The hit that answers the turn; one that is checked does not."""
        return self.hit if self.hit is not None and not self.hit.checked else None


class Keeping:
    """The answer cache as turns use it."""

    def __init__(self, answers: AnswerCache) -> None:
        self._answers = answers

    def close(self) -> None:
        """Let go of what the answers are kept by."""
        self._answers.close()

    def look(
        self, turn: LiveTurn, scope: CacheScope | None, version: PromptVersion, prompt: Prompt
    ) -> Lookup | None:
        """Look the question up; None when this turn's answer depends on more than question and passages."""
        retrieved = prompt.retrieved
        if scope is None or turn.purse.saving != "no" or len(prompt.messages) != 1:
            return None
        if retrieved.query_vector is None or retrieved.index_version is None:
            return None
        if retrieved.degraded is not None or retrieved.fallback:
            return None
        query = AnswerKey(
            scope if self._answers.share == "user" else replace(scope, owner=""),
            retrieved.kb,
            retrieved.index_version,
            version.fingerprint,
            prompt.max_output_tokens,
            tuple(passage.chunk_id for passage in turn.passages),
            prompt.question,
            retrieved.query_vector,
        )
        with turn.recorder.span(SERVED, "cache") as span:
            hit = self._answers.find(query)
            span.note(hit=hit is not None)
            if hit is not None:
                span.note(similarity=round(hit.similarity, 4), checked=hit.checked)
                if not hit.checked:
                    span.note(saved_seconds=hit.answer.seconds, saved_usd=hit.answer.cost_usd)
        return Lookup(query, hit, span)

    async def answer(self, turn: LiveTurn, hit: AnswerHit) -> AsyncGenerator[AnswerEvent]:
        """Yield a kept answer as a model's, at no cost."""
        model = hit.answer.model
        turn.recorder.used(
            Usage("", 0, "answer", model, 0, 0, cost_usd=0.0, price_version=SERVED, stop_reason="stop")
        )
        yield Text(hit.answer.text)
        yield Stop("stop", Tokens(0, 0), model, cache=SERVED)

    def keep(self, turn: LiveTurn, lookup: Lookup) -> None:
        """Keep a whole, grounded answer of a model; tell how a hit that was checked compares with it."""
        sound = turn.outcome == "answered" and turn.notice is None and MARK not in turn.answer
        if lookup.served is not None:
            return
        if lookup.hit is not None:
            wrong = not sound or disagree(lookup.hit.answer.text, plain(turn.answer))
            lookup.span.note(false=wrong)
            if wrong:
                self._answers.drop(lookup.question)
        model, seconds, cost = turn.recorder.spent("answer")
        if sound and model is not None and model != "extractive":
            self._answers.put(lookup.question, KeptAnswer(turn.answer, model, seconds, cost))
