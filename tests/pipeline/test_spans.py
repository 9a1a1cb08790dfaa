"""Turns of other programs by OpenTelemetry: what a span becomes, and what is not taken."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.auth import digest
from pipeline.http import otlp
from pipeline.http.api import create_app
from pipeline.settings import load_settings
from pipeline.turn import Pipeline
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline
from traces.queries.turns import trace
from traces.records import Trace

TRACE, BEGAN = "5b8efff798038103d269b633813fc60c", 1_795_860_000_000_000_000
SYSTEM = {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]}
ASKED = {"role": "user", "parts": [{"type": "text", "content": "When do you open?"}]}
SAID = {"role": "assistant", "parts": [{"type": "text", "content": "At nine."}], "finish_reason": "stop"}


def value(item: Any) -> dict[str, Any]:
    match item:
        case bool():
            return {"boolValue": item}
        case int():
            return {"intValue": str(item)}
        case float():
            return {"doubleValue": item}
        case list():
            return {"arrayValue": {"values": [value(one) for one in item]}}
    return {"stringValue": item}


def span(number: int, parent: int | None, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        **({} if parent is None else {"parentSpanId": f"{parent:016x}"}),
        "name": f"step {number}",
        "startTimeUnixNano": str(BEGAN + number * 1_000_000),
        "endTimeUnixNano": str(BEGAN + 1_000_000_000 - number),
        "attributes": [{"key": key, "value": value(item)} for key, item in attributes.items()],
        **more,
    }


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    service = [{"key": "service.name", "value": {"stringValue": "shop-bot"}}]
    return {"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [{"spans": list(spans)}]}]}


GENAI = request(
    span(3, 1, {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x",
        "gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 9,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": json.dumps([SYSTEM, ASKED]), "gen_ai.output.messages": json.dumps([SAID])}),
    span(2, 1, {
        "openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.id": "hours",
        "retrieval.documents.0.document.content": "We open at nine.",
        "retrieval.documents.0.document.score": 0.8}),
    span(1, None, {"gen_ai.conversation.id": "talk-1", "user.id": "zoe"}),
)  # fmt: skip
INFERENCE = request(
    span(2, 1, {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-x", "llm.provider": "openai",
        "llm.token_count.prompt": 120, "llm.token_count.completion": 9, "llm.cost.total": 0.002,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "When do you open?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "At nine."}),
    span(1, None, {
        "session.id": "talk-1", "user.id": "zoe", "input.value": '{"query": "When do you open?"}'}),
)  # fmt: skip


@pytest.fixture
async def pipeline() -> Pipeline:
    return await make_pipeline()


@pytest.fixture
async def client(pipeline: Pipeline) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        served(create_app(pipeline, load_settings())) as address,
        httpx2.AsyncClient(base_url=address) as opened,
    ):
        yield opened


def written(pipeline: Pipeline) -> list[Trace]:
    with pipeline.store.read() as ledger:
        rows = ledger.rows("select turn_id from turns where door = 'otlp' order by turn_id")
        return [row for key in rows if (row := trace(ledger, key["turn_id"]))]


def protobuf(body: dict[str, Any]) -> bytes:
    """Return the request as the SDKs send it; in its JSON form ids are base64, in OTLP's they are not."""
    known = json.loads(json.dumps(body))
    for one in known["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in one:
                one[name] = base64.b64encode(bytes.fromhex(one[name])).decode()
    return ParseDict(known, ExportTraceServiceRequest()).SerializeToString()


@pytest.mark.parametrize("body", [GENAI, INFERENCE], ids=["genai", "openinference"])
@pytest.mark.parametrize("form", ["json", "protobuf", "json gzip", "protobuf gzip"])
async def test_a_trace_becomes_a_turn_under_its_service(
    client: httpx2.AsyncClient, pipeline: Pipeline, body: dict[str, Any], form: str
) -> None:
    written_as = "application/json" if form.startswith("json") else "application/x-protobuf"
    headers = {"content-type": written_as}
    content = json.dumps(body).encode() if form.startswith("json") else protobuf(body)
    if form.endswith("gzip"):
        content, headers["content-encoding"] = gzip.compress(content), "gzip"
    reply = await client.post("/v1/traces", content=content, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, headers["content-type"])
    (row,) = written(pipeline)
    turn, (usage,) = row.turn, row.usages
    assert (turn.question, turn.answer) == ("When do you open?", "At nine.")
    assert (turn.user_id, turn.conversation_id, turn.kb) == ("zoe", "talk-1", "shop-bot")
    assert (turn.model, turn.input_tokens, turn.output_tokens) == ("openai:gpt-x", 120, 9)
    assert (turn.outcome, turn.seconds) == ("answered", pytest.approx(0.999, abs=0.01))
    assert (turn.cost_usd, usage.seconds) == (
        0.002 if body is INFERENCE else None,
        pytest.approx(1.0, abs=0.1),
    )
    assert [span.parent_id for span in row.spans][:2] == [None, 0]
    if body is GENAI:
        (passage,) = row.passages
        assert (passage.document_id, passage.text, passage.vector_score) == ("hours", "We open at nine.", 0.8)
        assert turn.hit is True


async def test_spans_wait_for_the_first_of_their_trace(
    client: httpx2.AsyncClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    *inner, root = GENAI["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (await client.post("/v1/traces", json=request(*inner))).status_code == 200
    assert written(pipeline) == []
    await client.post("/v1/traces", json=request(root))
    assert [len(row.spans) for row in written(pipeline)] == [3]
    monkeypatch.setattr(otlp, "QUIET_SECONDS", -1)
    await client.post("/v1/traces", json=request({**inner[0], "traceId": "a" * 32}))
    assert len(written(pipeline)) == 2


async def test_a_failed_span_is_a_failed_turn_and_long_texts_are_cut(
    client: httpx2.AsyncClient, pipeline: Pipeline
) -> None:
    status = {"code": 2, "message": "upstream timed out"}
    long = span(1, None, {"input.value": "x" * 50_000}, status=status)
    await client.post("/v1/traces", json=request(long))
    (row,) = written(pipeline)
    assert (row.turn.outcome, row.turn.error_class) == ("failed", "upstream timed out")
    assert len(row.turn.question) == 20_000


GOOD = span(1, None, {})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the body: must be an object"),
        ({"resourceSpans": {}}, "resourceSpans: must be a list"),
        (request({**GOOD, "traceId": "zz"}), "resourceSpans[0].scopeSpans[0].spans[0].traceId: must be 32"),
        (request({**GOOD, "spanId": "0" * 16}), "spans[0].spanId: must be 16"),
        (request({**GOOD, "startTimeUnixNano": "now"}), "spans[0].startTimeUnixNano: must be nanoseconds"),
        (request({**GOOD, "endTimeUnixNano": "5"}), "spans[0].endTimeUnixNano: must not be before"),
        (request({**GOOD, "attributes": [{"key": 5}]}), "spans[0].attributes[0].key: must be a text"),
        (request({**GOOD, "attributes": [{"key": "a", "value": {"what": 1}}]}), "attributes[0].value.what"),
        (request({**GOOD, "status": 7}), "spans[0].status: must be an object"),
    ],
)
def test_what_is_no_otlp_is_named_by_its_field(body: Any, words: str) -> None:
    with pytest.raises(otlp.Malformed) as wrong:
        otlp.spans(json.dumps(body).encode(), "application/json")
    assert words in str(wrong.value)


async def test_rubbish_other_formats_and_floods_are_refused(
    client: httpx2.AsyncClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = {"content-type": "application/x-protobuf"}
    for content, headers, status in (
        (b"\xff\xfe rubbish", binary, 400),
        (b"rubbish", {**binary, "content-encoding": "gzip"}, 400),
        (b"rubbish", {**binary, "content-encoding": "br"}, 400),
        (gzip.compress(bytes(otlp.MOST_BYTES + 1)), {**binary, "content-encoding": "gzip"}, 400),
        (b"rubbish", {"content-type": "text/plain"}, 415),
    ):
        reply = await client.post("/v1/traces", content=content, headers=headers)
        assert reply.status_code == status and reply.json()["error"]["message"]
    monkeypatch.setattr(otlp, "SPANS_A_MINUTE", 2)
    reply = await client.post("/v1/traces", json=GENAI)
    assert reply.status_code == 429 and int(reply.headers["retry-after"]) >= 1
    assert written(pipeline) == []


async def test_only_operators_send_turns() -> None:
    settings = load_settings(auth={"keys": f"ada:admin:{digest('boss')},bob:user:{digest('guest')}"})
    app = create_app(await make_pipeline(), settings)
    async with served(app) as address, httpx2.AsyncClient(base_url=address) as client:
        for key, status in (("boss", 200), ("guest", 403)):
            reply = await client.post("/v1/traces", json=GENAI, headers={"authorization": f"Bearer {key}"})
            assert reply.status_code == status
