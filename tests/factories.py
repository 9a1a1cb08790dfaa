"""Builders of records for tests; every argument has a sensible default."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from traces.ids import uuid7
from traces.records import Passage, Payload, Score, Span, Trace, Turn, Usage


def make_turn(**columns: Any) -> Turn:
    turn = Turn(
        turn_id=uuid7(),
        conversation_id=uuid7(),
        user_id="ada",
        door="api",
        started_at=datetime.now(UTC),
        question="How do I turn on bounce keys?",
        outcome="answered",
        answer="Open Settings [1].",
        prompt="answer@v1",
        prompt_fingerprint="0123abcd",
        model="extractive",
        model_wanted="extractive",
        seconds=0.05,
        first_token_seconds=0.02,
        input_tokens=100,
        output_tokens=10,
        cost_usd=0.0,
        attempts=1,
        top_score=0.7,
        hit=True,
        passages=1,
        citations=1,
    )
    return replace(turn, **columns)


def make_passage(turn_id: str = "t", rank: int = 1, **columns: Any) -> Passage:
    passage = Passage(
        turn_id=turn_id,
        rank=rank,
        chunk_id=f"doc-{rank}#0",
        document_id=f"doc-{rank}",
        title=f"Document {rank}",
        url=f"https://example.com/{rank}",
        text="Open Settings. Set the Bounce Keys switch to on.",
        n=rank,
        vector_score=0.7,
        vector_rank=rank,
        text_score=3.0,
        text_rank=rank,
        fused_score=1.0,
        fused_rank=rank,
        cited=rank == 1,
    )
    return replace(passage, **columns)


def make_trace(**columns: Any) -> Trace:
    """A whole turn with two spans, one passage and one usage; columns go to the turn."""
    turn = make_turn(**columns)
    key = turn.turn_id
    return Trace(
        turn=turn,
        payload=Payload(key, prompt="SYSTEM\nAnswer.", raw_response="Open Settings [1]."),
        spans=(
            Span(key, 0, None, "turn", "turn", 0.0, 0.05, {}),
            Span(key, 1, 0, "retrieve", "retrieval", 0.0, 0.01, {"candidates": 20}),
        ),
        passages=(make_passage(key),),
        usages=(Usage(key, 1, "answer", "extractive", 100, 10, cost_usd=0.0),),
    )


def make_score(turn_id: str, name: str = "feedback", value: float | None = 1.0, **columns: Any) -> Score:
    score = Score(uuid7(), turn_id, name, value, "user", datetime.now(UTC))
    return replace(score, **columns)


def columns(record: type) -> list[str]:
    return [field.name for field in fields(record)]
