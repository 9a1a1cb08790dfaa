"""How many turns of other programs are taken and stored in a second, sent as OpenTelemetry spans."""

from __future__ import annotations

import time
from pathlib import Path

from console.bench.figures import Figure, Goal
from pipeline import foreign
from pipeline.http import otlp
from traces.journal import Journal
from traces.store import Store

ROUNDS, TURNS, BATCH, SPANS = 3, 300, 20, 7
TEXT = "The reading room opens at nine and closes at six on weekdays. " * 27  # seven of them are 12 KB
LEAST = 20  # turns a second: what a Phoenix on the same machine stored
_KIND = "application/x-protobuf"


def measure(folder: Path, *, quick: bool) -> Figure:
    """Send made-up turns of seven spans and 12 KB through the reader of `/v1/traces` and drain them."""
    store = Store(folder)
    journal = Journal(store.journal)
    turns = BATCH * 2 if quick else TURNS
    rates: list[float] = []
    for number in range(ROUNDS):
        first = number * turns
        bodies = [otlp.packed(_request(range(at, at + BATCH))) for at in range(first, first + turns, BATCH)]
        began = time.perf_counter()
        gathering = otlp.Gathering()
        for body in bodies:
            for spans in gathering.add(otlp.spans(body, _KIND)):
                journal.write(foreign.turn(spans))
        store.drain()
        rates.append(turns / (time.perf_counter() - began))
    journal.close()
    what = "turns taken as OTLP and stored"
    return Figure("console", what, "turns/s", tuple(rates), (), Goal(LEAST, "value", "least"))


def _request(numbers: range) -> otlp.ExportRequest:
    service: list[otlp.Attribute] = [{"key": "service.name", "value": {"stringValue": "another-bot"}}]
    spans = [_span(number, place) for number in numbers for place in range(SPANS)[::-1]]
    scope = {"name": "another-bot"}
    return {
        "resourceSpans": [
            {"resource": {"attributes": service}, "scopeSpans": [{"scope": scope, "spans": spans}]}
        ]
    }


def _span(number: int, place: int) -> otlp.SpanBody:
    began = time.time_ns() - 2_000_000_000 + place * 1_000_000
    texts = {
        "input.value": TEXT[: len(TEXT) // 2],
        "output.value": TEXT[len(TEXT) // 2 :],
        "llm.model_name": "m",
    }
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number * SPANS + place + 1:016x}",
        "parentSpanId": f"{number * SPANS + 1:016x}" if place else "",
        "kind": 1,
        "name": f"step {place}",
        "startTimeUnixNano": began,
        "endTimeUnixNano": began + 1_000_000_000 - place,
        "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()],
    }
