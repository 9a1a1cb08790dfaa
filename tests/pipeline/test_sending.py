"""Turns to an OpenTelemetry collector: what arrives, and that a dead collector costs nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from pipeline import build
from pipeline.events import Answer
from pipeline.foreign import turn
from pipeline.http import otlp, sending
from pipeline.http.api import create_app
from pipeline.http.sending import Sender, sendable
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.collector import collector
from tests.factories import make_trace
from tests.pipeline.turns import ask, make_pipeline, recorded
from traces.records import Payload

LID = "What happens when I close the lid of my laptop?"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "EVERY_SECONDS", 0.02)


@pytest.mark.parametrize("texts", [True, False])
async def test_a_turn_arrives_with_its_calls_passages_and_scores(texts: bool) -> None:
    pipeline = await make_pipeline(Scripted("The laptop goes to sleep to save power [1]."))
    with collector() as (address, bodies, arrived):
        sender = Sender(address, {"authorization": "Bearer x"}, texts=texts, version="1")
        pipeline.observers.append(sender.observe)
        answer, _ = await ask(pipeline, LID)
        assert isinstance(answer, Answer)
        sender.close()
        assert arrived.wait(5) and (sender.sent, sender.lost) == (1, 0)
    await pipeline.close()
    request = ExportTraceServiceRequest()
    request.ParseFromString(bodies[0])
    assert (LID in str(MessageToDict(request))) is texts

    spans = otlp.spans(bodies[0], "application/x-protobuf")
    row = recorded(pipeline, answer.turn_id)
    assert len(spans) == len(row.spans) and {span.service for span in spans} == {"answerdeck"}
    root = next(span for span in spans if span.parent_id is None)
    assert root.trace_id == answer.turn_id.replace("-", "")
    assert root.attributes["gen_ai.conversation.id"] == answer.conversation_id
    assert root.attributes["answerdeck.outcome"] == "answered"
    again = turn(spans)  # the way back: what we send is what we read
    assert again.turn.question == (LID if texts else "invoke_agent answerdeck")
    assert again.turn.answer == (answer.answer if texts else None)
    assert len(again.usages) == len(row.usages) >= 1
    assert [passage.chunk_id for passage in again.passages] == [one.chunk_id for one in row.passages]
    resource = request.resource_spans[0]
    events = [event for one in resource.scope_spans[0].spans for event in one.events]
    assert {event.name for event in events} <= {"gen_ai.evaluation.result"}
    assert len(events) == len([score for score in row.scores if score.value is not None])


async def test_a_dead_or_refusing_collector_costs_no_turn(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = await make_pipeline()
    with collector(500) as (address, _, arrived):
        refused = Sender(address, {}, texts=False, version=None)
        dead = Sender("http://127.0.0.1:9/v1/traces", {}, texts=False, version=None)
        pipeline.observers.extend([refused.observe, dead.observe])
        answer, _ = await ask(pipeline, LID)
        assert isinstance(answer, Answer) and answer.outcome == "answered"
        refused.close()
        dead.close()
        assert arrived.wait(5)
    await pipeline.close()
    assert (refused.sent, refused.lost, dead.sent, dead.lost) == (0, 1, 0, 1)
    assert "do not reach" in caplog.text and LID not in caplog.text


async def test_it_is_off_unless_an_address_is_set() -> None:
    pipeline = await make_pipeline()
    create_app(pipeline, load_settings())
    assert len(pipeline.observers) == 1
    create_app(pipeline, load_settings(telemetry={"endpoint": "http://127.0.0.1:9/v1/traces"}))
    assert len(pipeline.observers) == 3
    await pipeline.close()


def test_a_batch_is_sent_again_until_a_busy_collector_takes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sending, "PAUSES", (0.0,))
    with collector(429, 503, 502, 504, 200) as (address, bodies, arrived):
        sender = Sender(address, {}, texts=False, version=None)
        sender.observe(make_trace())
        assert arrived.wait(20)
        sender.close()
    assert (sender.sent, sender.lost) == (1, 0) and len(bodies) == 5 and len(set(bodies)) == 1
    assert "it answers 429" in caplog.text and "turns reach" in caplog.text


@pytest.mark.parametrize("status", [302, 400, 401, 413, 500])
def test_what_a_collector_refuses_for_good_is_not_sent_again(status: int) -> None:
    with collector(status) as (address, bodies, arrived):
        sender = Sender(address, {}, texts=False, version=None)
        sender.observe(make_trace())
        assert arrived.wait(20)
        sender.close()
    assert (sender.sent, sender.lost, len(bodies)) == (0, 1, 1)


def test_the_end_does_not_wait_for_a_busy_collector(caplog: pytest.LogCaptureFixture) -> None:
    with collector(503) as (address, _, arrived):
        sender = Sender(address, {}, texts=False, version=None)
        sender.observe(make_trace())
        assert arrived.wait(20)  # its thread waits for the next try now
        sender.observe(make_trace())
        sender.close()
    assert (sender.sent, sender.lost) == (0, 2)


def test_spans_that_a_collector_did_not_take_are_named(caplog: pytest.LogCaptureFixture) -> None:
    partly = ExportTraceServiceResponse()
    partly.partial_success.rejected_spans = 3
    partly.partial_success.error_message = "too old"
    with collector(200, body=partly.SerializeToString()) as (address, _, _):
        sender = Sender(address, {}, texts=False, version=None)
        sender.observe(make_trace())
        sender.close()
    assert "did not take 3 spans: 'too old'" in caplog.text and sender.sent == 1
    assert otlp.refused(b"all is well, really") is None and otlp.refused(b"") is None


SECRET, PHONE = "sk-abcdefghijklmnopqrstuvwx", "+1 415 555 2671"


@pytest.mark.parametrize("policy", ["off", "pii"])
def test_a_turn_is_sent_as_it_is_recorded(policy: str) -> None:
    settings = load_settings(traces={"mask": policy}, telemetry={"endpoint": "http://127.0.0.1:9/"})
    asked = f"{PHONE} or \ud800 with {SECRET}?"
    trace = replace(make_trace(question=asked), payload=Payload("0", prompt=asked, raw_response=asked))
    sent = sendable(trace, build.mask(settings))
    body = otlp.packed(sending.request([sent], texts=True, version=None)).decode("utf-8", "replace")
    assert SECRET not in body and "[redacted]" in body
    assert (PHONE in body) is (policy == "off")
