"""Sends the turns of this process to an OpenTelemetry collector, by GenAI conventions and OpenInference."""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import chain, repeat
from typing import TYPE_CHECKING

from pipeline import build
from pipeline.http import otlp
from pipeline.http.otlp import AnyValue, Attribute, ExportRequest, ScopeSpans, SpanBody, SpanEvent
from pipeline.models.failures import retry_after
from pipeline.settings import Settings
from traces.records import Passage, Score, Span, Trace, Usage
from traces.redact import redact, suspect
from traces.rewriting import Rewrite, rewritten

if TYPE_CHECKING:
    import httpx2

    from pipeline.turn import Pipeline

MOST_WAITING = 2_000  # turns; what comes beyond is counted and left out
BATCH, EVERY_SECONDS, SEND_SECONDS, END_SECONDS = 64, 1.0, 5.0, 3.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between two tries; the last one again and again
BUSY = (429, 502, 503, 504)  # what OTLP/HTTP tells clients to send again
Facts = Mapping[str, object]  # attributes by their names; None is left out
_KINDS = {"model": "LLM", "retrieval": "RETRIEVER", "guard": "GUARDRAIL"}
log = logging.getLogger(__name__)


class Sender:
    """An observer of turns with a thread of its own: a dead collector costs no turn anything.

    A batch that a collector cannot take now is sent again until it is taken; meanwhile others wait.
    """

    def __init__(
        self,
        endpoint: str,
        headers: dict[str, str],
        *,
        texts: bool,
        version: str | None,
        mask: Rewrite | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.sent = self.lost = 0
        self._texts, self._version, self._mask = texts, version, mask
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        self._waiting: queue.Queue[Trace | None] = queue.Queue(MOST_WAITING)
        self._trouble: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def observe(self, trace: Trace) -> None:
        """Take a turn; never waits."""
        try:
            self._waiting.put_nowait(trace)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Send what waits, for three seconds at most; what is left is counted as lost."""
        self._ending.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)  # wakes the thread
        self._thread.join(END_SECONDS)
        if left := sum(trace is not None for trace in self._waiting.queue):
            self.lost += left
            log.warning("%d turns were not sent to %s before the end", left, self.endpoint)

    def _run(self) -> None:
        import httpx2

        with httpx2.Client(timeout=SEND_SECONDS) as client:
            while not (self._ending.is_set() and self._waiting.empty()):
                if batch := self._batch():
                    self._deliver(client, batch)

    def _batch(self) -> list[Trace]:
        batch: list[Trace] = []
        until = time.monotonic() + EVERY_SECONDS
        while len(batch) < BATCH and (left := until - time.monotonic()) > 0:
            try:
                trace = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if trace is None:
                break
            batch.append(trace)
        return batch

    def _deliver(self, client: httpx2.Client, batch: list[Trace]) -> None:
        """Send a batch until the collector takes it, refuses it for good, or the process ends."""
        plain = [sendable(trace, self._mask) for trace in batch]
        body = otlp.packed(request(plain, texts=self._texts, version=self._version))
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            trouble, wait = self._send(client, body)
            if trouble != self._trouble:
                self._tell(trouble)
            if trouble is None:
                self.sent += len(batch)
                return
            if wait is None or self._ending.wait(min(max(wait, pause), PAUSES[-1])):
                self.lost += len(batch)
                return

    def _send(self, client: httpx2.Client, body: bytes) -> tuple[str | None, float | None]:
        """Send once; return what is wrong, and after how many seconds to try again, None for never."""
        import httpx2

        try:
            reply = client.post(self.endpoint, content=body, headers=self._headers)
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}", 0.0
        if reply.status_code in BUSY:
            return f"it answers {reply.status_code}", retry_after(reply.headers) or 0.0
        if reply.status_code >= 300:
            return f"it answers {reply.status_code}", None
        if refused := otlp.refused(reply.content):
            log.warning("%s did not take %s", self.endpoint, refused)
        return None, None

    def _tell(self, trouble: str | None) -> None:
        self._trouble = trouble
        if trouble is None:
            log.warning("turns reach %s again; %d were left out", self.endpoint, self.lost)
        else:
            log.warning("turns do not reach %s: %s", self.endpoint, trouble)


@contextmanager
def exported(pipeline: Pipeline, settings: Settings) -> Iterator[None]:
    """Send the pipeline's turns to the configured collector, if there is one, until the end."""
    chosen = settings.telemetry
    if chosen.endpoint is None:
        yield
        return
    headers = {name: secret.get_secret_value() for name, secret in chosen.headers.items()}
    version, mask = pipeline.rules.code_version, build.mask(settings)
    sender = Sender(chosen.endpoint, headers, texts=chosen.texts, version=version, mask=mask)
    pipeline.observers.append(sender.observe)
    try:
        yield
    finally:
        sender.close()


def sendable(trace: Trace, mask: Rewrite | None) -> Trace:
    """Return a turn as the journal keeps it: masked, and without secrets."""
    if mask is not None:
        trace = rewritten(trace, mask)
    return rewritten(trace, redact) if suspect(trace) else trace


def request(traces: Iterable[Trace], *, texts: bool, version: str | None) -> ExportRequest:
    """Return turns as an OTLP request; without `texts` no question, answer, prompt or passage is in it."""
    service = {"service.name": "answerdeck", **({"service.version": version} if version else {})}
    spans = [span for trace in traces for span in _spans(trace, texts=texts)]
    scope: ScopeSpans = {"scope": {"name": "answerdeck"}, "spans": spans}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(service)}, "scopeSpans": [scope]}]}


def _spans(trace: Trace, *, texts: bool) -> Iterator[SpanBody]:
    models = iter(trace.usages)
    searched = False
    spans = trace.spans or (_whole(trace),)
    for span in spans:
        attributes: dict[str, object] = {"openinference.span.kind": _KINDS.get(span.kind, "CHAIN")}
        if span.span_id == 0:
            attributes |= _turn(trace, texts=texts)
        elif span.kind == "model" and (usage := next(models, None)):
            attributes |= _call(trace, usage, texts=texts)
        elif span.kind == "retrieval" and not searched:
            searched = True
            attributes |= _documents(trace.passages, texts=texts)
        yield _span(trace, span, attributes)


def _whole(trace: Trace) -> Span:
    return Span(trace.turn.turn_id, 0, None, "turn", "turn", 0.0, trace.turn.seconds or 0.0, {})


def _span(trace: Trace, span: Span, attributes: Facts) -> SpanBody:
    began = trace.turn.started_at + timedelta(seconds=span.start_seconds)
    nanoseconds = int(began.timestamp() * 1e6) * 1000
    row: SpanBody = {
        "traceId": trace.turn.turn_id.replace("-", ""),
        "spanId": _id(span.turn_id, span.span_id),
        "name": "invoke_agent answerdeck" if span.span_id == 0 else span.name,
        "kind": 1,
        "startTimeUnixNano": nanoseconds,
        "endTimeUnixNano": nanoseconds + int(span.seconds * 1e9),
        "attributes": _attributes(attributes),
    }
    if span.parent_id is not None:
        row["parentSpanId"] = _id(span.turn_id, span.parent_id)
    failed = span.error or (trace.turn.error_class if span.span_id == 0 else None)
    if failed:
        row["status"] = {"code": 2, "message": failed}
    if span.span_id == 0 and trace.scores:
        row["events"] = [_score(score) for score in trace.scores if score.value is not None]
    return row


def _turn(trace: Trace, *, texts: bool) -> Facts:
    turn = trace.turn
    facts = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": turn.conversation_id,
        "session.id": turn.conversation_id,
        "user.id": turn.user_id,
        "answerdeck.door": turn.door,
        "answerdeck.outcome": turn.outcome,
        "answerdeck.prompt": turn.prompt,
        "answerdeck.kb": turn.kb,
        "answerdeck.index_version": turn.index_version,
        "answerdeck.cost_usd": turn.cost_usd,
        "answerdeck.retrieval.hit": turn.hit,
    }
    return {**facts, **({"input.value": turn.question, "output.value": turn.answer} if texts else {})}


def _call(trace: Trace, usage: Usage, *, texts: bool) -> Facts:
    maker, _, model = usage.model.rpartition(":")
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": maker or "answerdeck",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.response.finish_reasons": [usage.stop_reason] if usage.stop_reason else None,
        "llm.model_name": model,
        "llm.token_count.prompt": usage.input_tokens,
        "llm.token_count.completion": usage.output_tokens,
        "llm.cost.total": usage.cost_usd,
    }
    if not texts or usage.purpose != "answer":
        return facts
    messages = {
        "gen_ai.input.messages": trace.payload.prompt,
        "gen_ai.output.messages": trace.payload.raw_response,
    }
    roles = {"gen_ai.input.messages": "user", "gen_ai.output.messages": "assistant"}
    return {**facts, **{name: _message(roles[name], text) for name, text in messages.items() if text}}


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def _documents(passages: Iterable[Passage], *, texts: bool) -> Facts:
    result: dict[str, object] = {}
    for number, passage in enumerate(passages):
        prefix = f"retrieval.documents.{number}.document"
        result[f"{prefix}.id"] = passage.chunk_id
        result[f"{prefix}.score"] = passage.vector_score
        result[f"{prefix}.content"] = passage.text if texts else None
    return result


def _score(score: Score) -> SpanEvent:
    facts = {
        "gen_ai.evaluation.name": score.name,
        "gen_ai.evaluation.score.value": score.value,
        "gen_ai.evaluation.explanation": score.reason,
    }
    return {
        "timeUnixNano": int(score.created_at.timestamp() * 1e6) * 1000,
        "name": "gen_ai.evaluation.result",
        "attributes": _attributes(facts),
    }


def _attributes(values: Facts) -> list[Attribute]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: object) -> AnyValue:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": value}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value).encode("utf-8", "replace").decode()}  # protobuf takes no lone surrogate


def _id(turn_id: str, span_id: int) -> str:
    return hashlib.sha256(f"{turn_id} {span_id}".encode()).hexdigest()[:16]
