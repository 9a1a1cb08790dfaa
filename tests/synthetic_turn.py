"""One made-up turn: its model, its end and its times, drawn as the day wants them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from traces.ids import uuid7
from traces.records import (
    ERRORS,
    Outcome,
    Passage,
    Payload,
    Record,
    Score,
    Span,
    SpanKind,
    Trace,
    Turn,
    Usage,
)

# name, share of the traffic, first token s, tokens/s, $ per M input, $ per M output (None: no known price)
MODELS: list[tuple[str, float, float, float, float | None, float | None]] = [
    ("anthropic:claude-haiku-5-5", 0.62, 0.31, 210, 1.0, 5.0),
    ("openai:gpt-6-luna", 0.24, 0.38, 170, 0.6, 2.4),
    ("anthropic:claude-sonnet-5", 0.12, 0.62, 120, 3.0, 15.0),
    ("local:qwen-4-8b", 0.02, 0.55, 90, None, None),
]
HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 21, 18, 20, 22, 21, 18, 14, 11, 10, 9, 8, 6, 3)
PEOPLE = [f"user-{number:03d}" for number in range(180)]
COMMENTS = (
    "wrong page",
    "not what I asked",
    "the steps are for another version",
    "too long",
    "spot on",
    "thanks!",
)


class MadeTurn:
    """One made-up turn: draws its model, its end and its times as the day wants them."""

    def __init__(
        self, random: Random, started_at: datetime, days_ago: float, documents: list[dict[str, str]]
    ) -> None:
        self.random = random
        self.started_at = started_at
        self.documents = documents
        self.blind = 2.6 < days_ago < 3.2  # the embedder was broken
        self.slow = 5.5 < days_ago < 6.3  # the provider was slow
        self.prompt = "answer@v2" if days_ago < 12 else "answer@v1"
        self.model = random.choices(MODELS, weights=[model[1] for model in MODELS])[0]
        self.outcome: Outcome = self._outcome()

    def _outcome(self) -> Outcome:
        found = 0.70 if self.blind else 0.945
        self.hit = self.random.random() < found
        if self.random.random() < 0.018:
            return "refused"
        if self.random.random() < (0.05 if self.slow else 0.006):
            return self.random.choice(ERRORS)
        if self.random.random() < 0.008:
            return "abandoned"
        return "answered" if self.hit else "no_context"

    def trace(self, case: dict[str, Any], conversation: str, user: str, *, detailed: bool) -> Trace:
        key = uuid7(nanoseconds(self.started_at))
        passages = self._passages(key, case) if detailed and self.outcome != "refused" else ()
        used = self._usage(key) if self.outcome not in ("refused", "abandoned") else None
        prepared = 0.06 + self.random.expovariate(18)
        seconds = prepared + ((used.seconds or 0) if used else 0.02) + 0.015
        first = None if self.outcome in ("failed", "refused") else prepared + _first(used)
        answer = self._answer(case)
        turn = Turn(
            turn_id=key,
            conversation_id=conversation,
            user_id=user,
            door=self.random.choices(("chat", "api", "openai", "cli"), weights=(78, 14, 6, 2))[0],
            started_at=self.started_at,
            question=case["question"],
            outcome=self.outcome,
            answer=answer,
            error_class={"failed": "provider_5xx", "cut": "timeout_gap", "degraded": "overloaded"}.get(
                self.outcome
            ),  # type: ignore[arg-type]
            refusal="injection:ignore_previous" if self.outcome == "refused" else None,
            kb="default",
            index_version="3",
            embedder="minilm-l6-v2-int8@5f1c",
            prompt=self.prompt,
            prompt_fingerprint="8c1f02ab" if self.prompt == "answer@v2" else "1d90e7c4",
            model="extractive" if self.outcome == "degraded" else self.model[0],
            model_wanted=self.model[0],
            guardrails="b7e21c90",
            code_version="0.1.0",
            seconds=seconds,
            first_token_seconds=first,
            input_tokens=used.input_tokens if used else None,
            output_tokens=used.output_tokens if used else None,
            cost_usd=used.cost_usd if used else None,
            attempts=1 if used else None,
            stop_reason="stop" if used else None,
            top_score=(0.45 + self.random.random() * 0.4) if self.hit else self.random.random() * 0.28,
            hit=None if self.outcome == "refused" else self.hit,
            passages=None if self.outcome == "refused" else 5,
            citations=answer.count("[") if answer else None,
        )
        payload = Payload(key, _prompt(turn, passages), answer) if detailed and used else Payload(key)
        return Trace(
            turn=turn,
            payload=payload,
            spans=_spans(key, prepared, used, seconds) if detailed else (),
            passages=passages,
            usages=(used,) if used else (),
            scores=self._scores(key) if answer else (),
        )

    def rating(self, trace: Trace) -> Iterator[Record]:
        if trace.turn.answer and self.random.random() < 0.07:
            up = self.random.random() < (0.88 if self.outcome == "answered" else 0.3)
            at = self.started_at + timedelta(seconds=20 + self.random.random() * 60)
            comment = self.random.choice(COMMENTS) if self.random.random() < 0.3 else None
            yield Score(
                uuid7(nanoseconds(at)),
                trace.turn.turn_id,
                "feedback",
                1.0 if up else -1.0,
                "user",
                at,
                reason=comment,
                user_id=trace.turn.user_id,
            )

    def _answer(self, case: dict[str, Any]) -> str | None:
        if self.outcome == "failed":
            return None
        if self.outcome == "refused":
            return "I can only help with questions about these documents."
        if self.outcome == "no_context":
            return "I could not find this in the documents."
        text = f"{case.get('reference') or 'Open Settings and look under Accessibility.'} [1]"
        return text[: len(text) // 2] if self.outcome in ("cut", "abandoned") else text

    def _usage(self, key: str) -> Usage:
        name, _, first, speed, price_in, price_out = self.model
        tokens_in, tokens_out = self.random.randint(900, 2_400), self.random.randint(60, 260)
        slower = 2.4 if self.slow else 1.0
        begun = first * self.random.lognormvariate(0, 0.28) * slower
        cost = (
            None
            if price_in is None or price_out is None
            else (tokens_in * price_in + tokens_out * price_out) / 1e6
        )
        return Usage(
            key,
            1,
            "answer",
            name,
            tokens_in,
            tokens_out,
            cache_read_tokens=600 if name.startswith("anthropic") else None,
            cost_usd=cost,
            price_version=None if cost is None else "genai-prices 2026-11-20",
            first_token_seconds=begun,
            seconds=begun + tokens_out / speed * slower,
            stop_reason="stop",
        )

    def _passages(self, key: str, case: dict[str, Any]) -> tuple[Passage, ...]:
        wanted = set(case.get("relevant_ids") or ()) if self.hit else set[str]()
        found = [document for document in self.documents if document["id"] in wanted]
        found += self.random.sample(self.documents, 12 - len(found))
        top = 0.86 if self.hit else 0.27
        return tuple(
            Passage(
                turn_id=key,
                rank=rank,
                chunk_id=f"{document['id']}#0",
                document_id=document["id"],
                title=document["title"],
                url=document.get("url", ""),
                text=document["text"][:900] if rank <= 5 else None,
                n=rank if rank <= 5 else None,
                vector_score=top - 0.045 * rank + self.random.random() * 0.03,
                vector_rank=rank,
                text_score=max(0.4, 11.2 - rank * 0.9) if rank % 4 else None,
                text_rank=(rank + 1) // 2 if rank % 4 else None,
                fused_score=2.4 - rank * 0.21,
                fused_rank=rank,
                cited=rank == 1 and self.outcome == "answered",
            )
            for rank, document in enumerate(found, 1)
        )

    def _scores(self, key: str) -> tuple[Score, ...]:
        value = min(1.0, max(0.0, self.random.gauss(0.9 if self.hit else 0.5, 0.08)))
        at = self.started_at + timedelta(seconds=1)
        return (Score(uuid7(nanoseconds(at)), key, "groundedness", value, "online", at, scorer="lexical@1"),)


def _spans(key: str, prepared: float, used: Usage | None, seconds: float) -> tuple[Span, ...]:
    spans: list[Span] = [Span(key, 0, None, "turn", "turn", 0.0, seconds, {})]

    def add(parent: int, name: str, kind: SpanKind, start: float, length: float, **attributes: Any) -> int:
        spans.append(Span(key, len(spans), parent, name, kind, start, length, attributes))
        return len(spans) - 1

    add(0, "inbound guard", "guard", 0.001, 0.004, action="allow", rules=38)
    add(0, "recall", "memory", 0.005, 0.003, turns=2, tokens=180)
    found = add(0, "retrieve", "retrieval", 0.009, prepared * 0.72, kb="default", candidates=12)
    add(found, "embed query", "retrieval", 0.010, prepared * 0.22, embedder="minilm-l6-v2-int8")
    add(found, "vector search", "retrieval", 0.010 + prepared * 0.22, prepared * 0.24, candidates=20)
    add(found, "full-text search", "retrieval", 0.010 + prepared * 0.46, prepared * 0.16, candidates=20)
    add(found, "fuse", "retrieval", 0.010 + prepared * 0.62, 0.001, text_weight=0.3)
    add(0, "assemble", "model", prepared * 0.9, 0.002, tokens=1_640, passages=5)
    if used:
        call = {"model": used.model, "input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
        called = add(0, "generate", "model", prepared, used.seconds or 0.0, **call, stop_reason="stop")
        add(called, f"call {used.model}", "model", prepared, used.seconds or 0.0, attempt=1, breaker="closed")
    add(0, "outbound guard", "guard", seconds - 0.014, 0.012, findings=[])
    return tuple(spans)


def _prompt(turn: Turn, passages: tuple[Passage, ...]) -> str:
    given = "\n\n".join(f"[{passage.n}] {passage.title}\n{passage.text}" for passage in passages if passage.n)
    rules = (
        "Answer only from the passages. Cite each sentence as [n]. Say so when they do not have the answer."
    )
    return f"SYSTEM\n{rules}\n\nUSER\n{given}\n\nQuestion: {turn.question}"


def _first(used: Usage | None) -> float:
    return (used.first_token_seconds or 0.0) if used else 0.01


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
