"""A recorder writes exactly one trace, whatever happened in the turn."""

from __future__ import annotations

import pytest

from tests.factories import make_passage, make_turn
from traces.recorder import Collected, Recorder
from traces.records import Record, Trace, Usage


class Clock:
    """Advances by a quarter second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def test_closing_twice_writes_one_trace():
    sink = Collected()
    recorder = Recorder(make_turn(), sink)
    first = recorder.close("answered")
    assert recorder.close("failed") is first
    assert sink.records == [first]
    assert first.turn.outcome == "answered"


def test_spans_nest_and_carry_the_error_that_passed_through():
    recorder = Recorder(make_turn(), Collected(), Clock())
    with (
        recorder.span("retrieve", "retrieval", candidates=20),
        pytest.raises(ValueError, match="broken"),
        recorder.span("embed query", "model") as span,
    ):
        span.note(tokens=7)
        raise ValueError("broken")
    spans = recorder.close().spans
    assert [(span.span_id, span.parent_id, span.name, span.error) for span in spans] == [
        (0, None, "turn", None),
        (1, 0, "retrieve", None),
        (2, 1, "embed query", "ValueError"),
    ]
    assert spans[2].attributes == {"tokens": 7}
    assert spans[2].start_seconds >= spans[1].start_seconds
    assert spans[2].seconds > 0
    assert all(span.start_seconds + span.seconds <= spans[0].seconds for span in spans)


@pytest.mark.parametrize(
    ("costs", "expected"), [((0.1, 0.2), 0.3), ((0.1, None), None), ((None,), None), ((0.0,), 0.0)]
)
def test_the_cost_is_unknown_when_any_call_is_unpriced(costs, expected):
    recorder = Recorder(make_turn(cost_usd=None), Collected())
    for cost in costs:
        recorder.used(Usage("", 0, "answer", "extractive", input_tokens=10, cost_usd=cost))
    trace = recorder.close()
    assert trace.turn.cost_usd == (None if expected is None else pytest.approx(expected))
    assert trace.turn.attempts == len(costs)
    assert trace.turn.input_tokens == 10 * len(costs)
    assert trace.turn.output_tokens is None
    assert [usage.call for usage in trace.usages] == list(range(1, len(costs) + 1))
    assert {usage.turn_id for usage in trace.usages} == {trace.turn.turn_id}


def test_texts_passages_and_scores_are_kept():
    sink = Collected()
    recorder = Recorder(make_turn(turn_id="t"), sink)
    recorder.keep(prompt="P")
    recorder.keep(raw_response="R")
    recorder.retrieved([make_passage("t", 1)])
    recorder.retrieved([make_passage("t", 1), make_passage("t", 2)])
    recorder.score("groundedness", 0.5, scorer="words@1", reason="half")
    recorder.note(citations=3)
    recorder.close("answered")
    (trace,) = sink.records
    assert isinstance(trace, Trace)
    assert (trace.payload.prompt, trace.payload.raw_response) == ("P", "R")
    assert [passage.rank for passage in trace.passages] == [1, 2]
    assert [(score.name, score.value, score.source) for score in trace.scores] == [
        ("groundedness", 0.5, "online")
    ]
    assert trace.turn.citations == 3


def test_a_sink_that_fails_is_not_hidden():
    class Full:
        def write(self, record: Record) -> None:
            raise OSError("full")

    recorder = Recorder(make_turn(), Full())
    with pytest.raises(OSError, match="full"):
        recorder.close("answered")
    assert recorder.trace is not None
