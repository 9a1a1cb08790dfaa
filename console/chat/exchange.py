"""What the page knows of one turn: a question and its answer while it comes and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.events import Delta, Event, Failed, Retract, Sources, Started, public

State = Literal["searching", "reading", "answering", "done", "stopped", "lost", "failed"]
UNDER_WAY = ("searching", "reading", "answering")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and what became of it, as far as it is known."""

    question: str
    turn_id: str = ""
    state: State = "searching"
    answer: str = ""
    outcome: str | None = None
    passages: tuple[Mapping[str, Any], ...] = ()  # the public JSON of passages, by number
    notice: str | None = None
    retry_after: float | None = None  # seconds, when the turn was refused for a while
    first_token_seconds: float | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    checks: tuple[Mapping[str, Any], ...] = ()  # what the passages say to each sentence
    memory: Mapping[str, Any] | None = None  # {summary, facts}: what was remembered
    searched: str | None = None
    kb: str | None = None
    model: str | None = None
    prompt: str | None = None

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY

    def follow(self, event: Event) -> Exchange:
        """Return what is known after the event."""
        if isinstance(event, Started):
            return replace(self, turn_id=event.turn_id)
        if isinstance(event, Sources):
            return replace(self, state="reading", passages=tuple(public(p) for p in event.passages))
        if isinstance(event, Delta):
            return replace(self, state="answering", answer=self.answer + event.text)
        if isinstance(event, Retract):
            return replace(self, answer=event.text)
        if isinstance(event, Failed):
            return replace(
                self,
                turn_id=event.turn_id or self.turn_id,
                state="failed",
                notice=event.message,
                retry_after=event.retry_after,
            )
        return recorded({"question": self.question, **event.to_dict()})


def recorded(turn: Mapping[str, Any]) -> Exchange:
    """Return a finished turn from its public JSON with its question added."""
    return Exchange(
        question=turn["question"],
        turn_id=turn["turn_id"],
        state="done",
        answer=turn["answer"],
        outcome=turn["outcome"],
        passages=tuple(turn["passages"]),
        notice=turn["notice"],
        first_token_seconds=turn["first_token_seconds"],
        output_tokens=turn["usage"].get("output_tokens"),
        cost_usd=turn["cost_usd"],
        checks=tuple(turn.get("answer_checks", ())),  # turns kept by an earlier version have fewer fields
        memory=turn.get("memory"),
        searched=turn.get("searched"),
        kb=turn.get("kb"),
        model=turn.get("model"),
        prompt=turn.get("prompt"),
    )


def stopped(exchange: Exchange) -> Exchange:
    """Return the exchange as it stood when its reader stopped it."""
    return replace(exchange, state="stopped")


def lost(exchange: Exchange) -> Exchange:
    """Return the exchange as it stood when nobody had followed it for a while."""
    return replace(exchange, state="lost")
