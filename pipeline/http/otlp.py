"""Reads OTLP/HTTP requests, protobuf or JSON, and gathers their spans until a trace is whole."""

from __future__ import annotations

import base64
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, TypedDict

import orjson

from pipeline.foreign import Foreign

MOST_BYTES = 8_000_000  # of a request, unpacked
SPANS_A_MINUTE = 60_000
MOST_WAITING = 20_000  # spans whose trace is not whole yet
QUIET_SECONDS = 30.0  # a trace without its first span is taken as whole after so long
_HEX = re.compile(r"[0-9a-fA-F]+")
_VALUES = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float, "bytesValue": str}


class AnyValue(TypedDict, total=False):
    """A value in OTLP's JSON form: one of these."""

    stringValue: str
    boolValue: bool
    intValue: int
    doubleValue: float
    arrayValue: dict[str, list[AnyValue]]


class Attribute(TypedDict):
    """A named value in OTLP's JSON form."""

    key: str
    value: AnyValue


class SpanEvent(TypedDict):
    """An event of a span in OTLP's JSON form."""

    timeUnixNano: int
    name: str
    attributes: list[Attribute]


class SpanBody(TypedDict):
    """A span in OTLP's JSON form."""

    traceId: str
    spanId: str
    parentSpanId: NotRequired[str]
    name: str
    kind: int
    startTimeUnixNano: int
    endTimeUnixNano: int
    attributes: list[Attribute]
    status: NotRequired[SpanStatus]
    events: NotRequired[list[SpanEvent]]


class SpanStatus(TypedDict):
    """How a span ended in OTLP's JSON form."""

    code: int
    message: str


class ScopeSpans(TypedDict):
    """The spans of one program in OTLP's JSON form."""

    scope: dict[str, str]
    spans: list[SpanBody]


class ResourceSpans(TypedDict):
    """The spans of one service in OTLP's JSON form."""

    resource: dict[str, list[Attribute]]
    scopeSpans: list[ScopeSpans]


class ExportRequest(TypedDict):
    """A request in OTLP's JSON form."""

    resourceSpans: list[ResourceSpans]


class Malformed(ValueError):
    """The request is no OTLP; the message names the field."""


class Flood(Exception):
    """More spans came than are taken; `seconds` says when to come back."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"More than {SPANS_A_MINUTE:,} spans a minute are not taken.")
        self.seconds = seconds


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body without its compression."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise Malformed(f"Content-Encoding: {encoding[:40]!r} is not read here; send gzip, deflate or none")
    stream = zlib.decompressobj(wbits=47)
    try:
        data = stream.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise Malformed(f"the body is no {encoding}: {error}") from None
    if len(data) > MOST_BYTES:
        raise Malformed(f"the body is larger than {MOST_BYTES:,} bytes unpacked; send smaller batches")
    return data


def spans(body: bytes, kind: str) -> list[Foreign]:
    """Return the spans of a request; raises Malformed."""
    request = _of_protobuf(body) if kind == "application/x-protobuf" else _of_json(body)
    return list(_spans(request, hexadecimal=kind != "application/x-protobuf"))


def reply(kind: str) -> bytes:
    """Return the body of a success: an ExportTraceServiceResponse that rejects nothing."""
    return b"" if kind == "application/x-protobuf" else b"{}"


def packed(request: ExportRequest) -> bytes:
    """Return a request in OTLP's JSON form as protobuf, which every collector takes."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for of_resource in request["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:  # its JSON form writes ids as hexadecimal, protobuf's as base64
                span["traceId"], span["spanId"] = _base64(span["traceId"]), _base64(span["spanId"])
                if "parentSpanId" in span:
                    span["parentSpanId"] = _base64(span["parentSpanId"])
    return ParseDict(dict(request), ExportTraceServiceRequest()).SerializeToString()


def refused(body: bytes) -> str | None:
    """Return what a collector says it did not take of a request that it answered with success."""
    if not body:
        return None
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    reply = ExportTraceServiceResponse()
    try:
        reply.ParseFromString(body)
    except DecodeError:  # some collectors answer in words
        return None
    number = reply.partial_success.rejected_spans
    return f"{number} spans: {reply.partial_success.error_message[:200]!r}" if number else None


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _of_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not valid JSON: {error}") from None


def _of_protobuf(body: bytes) -> Any:
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Malformed(f"the body is no ExportTraceServiceRequest: {error}") from None
    return MessageToDict(request)


def _spans(request: Any, *, hexadecimal: bool) -> Iterator[Foreign]:
    for place, of_resource in _each(request, "resourceSpans", ""):
        resource = of_resource.get("resource") or {}
        attributes = _attributes(resource, f"{place}.resource")
        service = str(attributes.get("service.name") or "unknown_service")
        for inner, of_scope in _each(of_resource, "scopeSpans", f"{place}."):
            for where, span in _each(of_scope, "spans", f"{inner}."):
                yield _span(span, where, service, hexadecimal=hexadecimal)


def _each(parent: Any, name: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(parent, dict):
        raise Malformed(f"{prefix.rstrip('.') or 'the body'}: must be an object")
    items = parent.get(name, [])
    if not isinstance(items, list):
        raise Malformed(f"{prefix}{name}: must be a list")
    for number, item in enumerate(items):
        place = f"{prefix}{name}[{number}]"
        if not isinstance(item, dict):
            raise Malformed(f"{place}: must be an object")
        yield place, item


def _span(span: dict[str, Any], place: str, service: str, *, hexadecimal: bool) -> Foreign:
    began, ended = (_nanoseconds(span, name, place) for name in ("startTimeUnixNano", "endTimeUnixNano"))
    if ended < began:
        raise Malformed(f"{place}.endTimeUnixNano: must not be before startTimeUnixNano")
    status = span.get("status") or {}
    if not isinstance(status, dict):
        raise Malformed(f"{place}.status: must be an object")
    failed = status.get("code") in (2, "STATUS_CODE_ERROR")
    parent = span.get("parentSpanId") or None
    return Foreign(
        trace_id=_id(span.get("traceId"), 16, f"{place}.traceId", hexadecimal=hexadecimal),
        span_id=_id(span.get("spanId"), 8, f"{place}.spanId", hexadecimal=hexadecimal),
        parent_id=parent and _id(parent, 8, f"{place}.parentSpanId", hexadecimal=hexadecimal),
        name=str(span.get("name") or "span"),
        began_ns=began,
        ended_ns=ended,
        attributes=_attributes(span, place),
        error=str(status.get("message") or "error") if failed else None,
        service=service,
    )


def _id(value: Any, size: int, place: str, *, hexadecimal: bool) -> str:
    if isinstance(value, str) and not hexadecimal:
        value = base64.b64decode(value).hex()
    digits = value if isinstance(value, str) and _HEX.fullmatch(value) else ""
    if len(digits) != 2 * size or not digits.strip("0"):
        raise Malformed(f"{place}: must be {2 * size} hexadecimal digits, not all zero")
    return digits.lower()


def _nanoseconds(span: Mapping[str, Any], name: str, place: str) -> int:
    try:
        value = int(span[name])
    except (KeyError, TypeError, ValueError):
        raise Malformed(f"{place}.{name}: must be nanoseconds since 1970") from None
    if not 0 < value < 4_102_444_800_000_000_000:  # the year 2100
        raise Malformed(f"{place}.{name}: is no time between 1970 and 2100")
    return value


def _attributes(holder: Any, place: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for where, pair in _each(holder, "attributes", f"{place}."):
        if not isinstance(key := pair.get("key"), str):
            raise Malformed(f"{where}.key: must be a text")
        result[key] = _value(pair.get("value"), f"{where}.value")
    return result


def _value(value: Any, place: str, depth: int = 0) -> Any:
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or depth > 8:
        raise Malformed(f"{place}: must be an AnyValue")
    ((kind, inner),) = list(value.items())[:1]
    if kind == "arrayValue":
        return [_value(item, f"{at}", depth + 1) for at, item in _each(inner, "values", f"{place}.")]
    if kind == "kvlistValue":
        pairs = _each(inner, "values", f"{place}.")
        return {str(pair.get("key")): _value(pair.get("value"), at, depth + 1) for at, pair in pairs}
    try:
        return _VALUES[kind](inner)
    except (KeyError, TypeError, ValueError):
        raise Malformed(f"{place}.{kind[:40]}: is no value of OTLP") from None


class Gathering:
    """Spans of traces that are not whole yet: their first span ends last, and comes last."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, list[Foreign]]] = {}
        self._minute, self._taken = 0.0, 0

    def add(self, arrived: list[Foreign]) -> Iterator[list[Foreign]]:
        """Take spans and return the traces that are whole now; raises Flood and then takes none of them."""
        self._admit(len(arrived))
        whole: list[str] = []
        for span in arrived:
            _, spans = self._waiting.setdefault(span.trace_id, (time.monotonic(), []))
            spans.append(span)
            if span.parent_id is None:
                whole.append(span.trace_id)
        return iter([self._waiting.pop(key)[1] for key in dict.fromkeys(whole)])

    def late(self, *, everything: bool = False) -> list[list[Foreign]]:
        """Return the traces whose first span did not come in time, or all that wait."""
        before = time.monotonic() - QUIET_SECONDS
        keys = [key for key, (began, _) in self._waiting.items() if everything or began <= before]
        return [self._waiting.pop(key)[1] for key in keys]

    def _admit(self, number: int) -> None:
        now = time.monotonic()
        if now - self._minute >= 60:
            self._minute, self._taken = now, 0
        waiting = sum(len(spans) for _, spans in self._waiting.values())
        if self._taken + number > SPANS_A_MINUTE or waiting + number > MOST_WAITING:
            raise Flood(max(60 - (now - self._minute), 1.0))
        self._taken += number
