"""Turns to an OpenTelemetry collector: what arrives, and that a dead collector costs nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.events import Answer
from pipeline.foreign import turn
from pipeline.http import otlp
from pipeline.http.api import create_app
from pipeline.http.sending import Sender
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.turns import ask, make_pipeline, recorded

LID = "What happens when I close the lid of my laptop?"


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """An address that takes what is sent there."""
    bodies: list[bytes] = []
    arrived = threading.Event()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
            arrived.set()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", bodies, arrived
        server.shutdown()
        thread.join()


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
