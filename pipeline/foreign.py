"""Makes turns of the spans that other programs trace by: GenAI conventions and OpenInference attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from traces.records import Outcome, Passage, Payload, Span, SpanKind, Trace, Turn, Usage

MOST_CHARACTERS = 20_000  # of a text; longer ones are cut, so that nobody fills the disk with one span
MOST_SPANS, MOST_PASSAGES = 500, 100  # of a turn
_KINDS: dict[str, SpanKind] = {
    "LLM": "model",
    "chat": "model",
    "text_completion": "model",
    "generate_content": "model",
    "RETRIEVER": "retrieval",
    "RERANKER": "retrieval",
    "EMBEDDING": "retrieval",
    "embeddings": "retrieval",
    "retrieval": "retrieval",
    "GUARDRAIL": "guard",
}
_ASKED = ("question", "query", "input", "prompt", "content", "text")
_ANSWERED = ("answer", "output", "response", "result", "content", "text")
_INPUT = ("gen_ai.input.messages", "gen_ai.prompt", "input.value")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.completion", "output.value")
_USER = ("user.id", "enduser.id", "gen_ai.user.id")
_CONVERSATION = ("gen_ai.conversation.id", "session.id")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A span as it came in; times in nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    error: str | None
    service: str

    @property
    def kind(self) -> SpanKind:
        label = first(self.attributes, ("openinference.span.kind", "gen_ai.operation.name"))
        return _KINDS.get(str(label), "turn")


def turn(spans: Sequence[Foreign]) -> Trace:
    """Return the turn that the spans of one trace stand for; the one without a parent is the turn itself."""
    inside = {span.span_id for span in spans}
    ordered = sorted(spans, key=lambda span: (span.parent_id in inside, span.began_ns))[:MOST_SPANS]
    root, models = ordered[0], [span for span in ordered if span.kind == "model"]
    turn_id = _id(root)
    usages = tuple(_usage(turn_id, number, span) for number, span in enumerate(models, 1))
    passages = _passages(turn_id, ordered)
    speaking = [root, *reversed(models)]
    question = _text(speaking, _INPUT, "llm.input_messages", _ASKED)
    answer = _text(speaking, _OUTPUT, "llm.output_messages", _ANSWERED)
    costs = [usage.cost_usd for usage in usages]
    row = Turn(
        turn_id=turn_id,
        conversation_id=_cut(_any(ordered, _CONVERSATION) or root.trace_id, 64),
        user_id=_cut(_any(ordered, _USER) or root.service, 200),
        door="otlp",
        started_at=datetime.fromtimestamp(root.began_ns / 1e9, UTC),
        question=question or root.name,
        outcome=_outcome(root),
        answer=answer,
        error_class=_cut(root.error, 100) if root.error else None,
        kb=_cut(root.service, 200),
        model=usages[-1].model if usages else None,
        seconds=(root.ended_ns - root.began_ns) / 1e9,
        input_tokens=_sum(usage.input_tokens for usage in usages),
        output_tokens=_sum(usage.output_tokens for usage in usages),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        attempts=len(usages),
        hit=bool(passages) if any(span.kind == "retrieval" for span in ordered) else None,
        passages=len(passages),
    )
    prompt = _text(models, _INPUT[:2], "llm.input_messages", (), whole=True)
    return Trace(row, Payload(turn_id, prompt, answer), _spans(turn_id, ordered), passages, usages)


def first(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first attribute there is; None without one."""
    return next((attributes[name] for name in names if attributes.get(name) not in (None, "")), None)


def _any(spans: Iterable[Foreign], names: Sequence[str]) -> str | None:
    values = (first(span.attributes, names) for span in spans)
    value = next((value for value in values if value is not None), None)
    return None if value is None else str(value)


def _id(root: Foreign) -> str:
    """Return a turn id of the trace's own time and id: the same trace twice is the same turn."""
    digits = f"{root.began_ns // 1_000_000:012x}"[-12:]
    rest = hashlib.sha256(root.trace_id.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:]}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def _outcome(root: Foreign) -> Outcome:
    return "failed" if root.error is not None else "answered"


def _text(
    spans: Iterable[Foreign], names: Sequence[str], messages: str, keys: Sequence[str], *, whole: bool = False
) -> str | None:
    """Return what was asked or said: the first text that one of the spans tells."""
    for span in spans:
        value = first(span.attributes, names)
        if value is None and (listed := _messages(span.attributes, messages)):
            value = listed
        text = value if isinstance(value, str) and whole else _spoken(value, keys)
        if text:
            return _cut(text, MOST_CHARACTERS)
    return None


def _messages(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the messages that OpenInference writes as numbered attributes."""
    listed: list[dict[str, Any]] = []
    for number in count():
        content = attributes.get(f"{prefix}.{number}.message.content")
        if content is None or number >= MOST_PASSAGES:
            return listed
        listed.append({"role": attributes.get(f"{prefix}.{number}.message.role"), "content": content})
    return listed


def _spoken(value: Any, keys: Sequence[str]) -> str | None:
    """Return the text within a value: plain, JSON, or a list of messages, of which the last speaks."""
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("{", "["):
            return value
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, list):
        people = [item for item in value if isinstance(item, dict) and item.get("role") in ("user", "human")]
        return _spoken((people or value or [None])[-1], keys)
    if isinstance(value, dict):
        if isinstance(parts := value.get("parts"), list):
            texts = (part.get("content") for part in parts if isinstance(part, dict))
            return "\n".join(text for text in texts if isinstance(text, str)) or None
        inner = first(value, (*keys, "messages", "message", "choices"))
        return _spoken(inner, keys)
    return None if value is None else str(value)


def _usage(turn_id: str, number: int, span: Foreign) -> Usage:
    attributes = span.attributes
    maker = first(attributes, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"))
    model = (
        first(attributes, ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name")) or span.name
    )
    finish = first(attributes, ("gen_ai.response.finish_reasons", "llm.finish_reason"))
    return Usage(
        turn_id,
        number,
        "answer",
        _cut(f"{maker}:{model}" if maker else str(model), 200),
        input_tokens=_number(first(attributes, ("gen_ai.usage.input_tokens", "llm.token_count.prompt"))),
        output_tokens=_number(
            first(attributes, ("gen_ai.usage.output_tokens", "llm.token_count.completion"))
        ),
        cost_usd=_float(first(attributes, ("llm.cost.total", "gen_ai.usage.cost"))),
        seconds=(span.ended_ns - span.began_ns) / 1e9,
        stop_reason=_cut(str(finish[0] if isinstance(finish, list) and finish else finish), 100)
        if finish
        else None,
        error_class=_cut(span.error, 100) if span.error else None,
    )


def _passages(turn_id: str, spans: Iterable[Foreign]) -> tuple[Passage, ...]:
    rows: list[Passage] = []
    for span in spans:
        for number in range(MOST_PASSAGES if span.kind == "retrieval" else 0):
            prefix = f"retrieval.documents.{number}.document"
            text, key = (span.attributes.get(f"{prefix}.{name}") for name in ("content", "id"))
            if text is None and key is None:
                break
            key = _cut(str(key if key is not None else number), 200)
            score = _float(span.attributes.get(f"{prefix}.score"))
            text = _cut(str(text), MOST_CHARACTERS) if text is not None else None
            rank = len(rows) + 1
            rows.append(Passage(turn_id, rank, key, key, key, "", text, n=rank, vector_score=score))
    return tuple(rows[:MOST_PASSAGES])


def _spans(turn_id: str, ordered: Sequence[Foreign]) -> tuple[Span, ...]:
    places = {span.span_id: number for number, span in enumerate(ordered)}
    begin = ordered[0].began_ns
    return tuple(
        Span(
            turn_id,
            number,
            None if number == 0 else places.get(span.parent_id or "", 0),
            _cut(span.name, 200),
            "turn" if number == 0 else span.kind,
            (span.began_ns - begin) / 1e9,
            (span.ended_ns - span.began_ns) / 1e9,
            {key: _cut(value, 500) if isinstance(value, str) else value
             for key, value in list(span.attributes.items())[:50]},
            _cut(span.error, 300) if span.error else None,
        )
        for number, span in enumerate(ordered)
    )  # fmt: skip


def _cut(text: str, most: int) -> str:
    return text.replace("\x00", "\ufffd")[:most]


def _number(value: Any) -> int | None:
    number = _float(value)
    return None if number is None else int(number)


def _float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e12 else None


def _sum(values: Iterable[int | None]) -> int | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else None
