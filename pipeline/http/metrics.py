"""What Prometheus reads: turns, times, running turns and breakers of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traces.records import Trace

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STATES = {"closed": 0, "half_open": 1, "open": 2, "isolated": 3}


class Metrics:
    """Counts the turns of one pipeline, whichever door they came through."""

    def __init__(self, pipeline: Pipeline) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._pipeline = pipeline
        self._registry = registry = CollectorRegistry()
        self._turns = Counter("answerdeck_turns", "Turns by outcome.", ["outcome", "door"], registry=registry)
        self._seconds = Histogram(
            "answerdeck_turn_seconds", "Whole turns.", buckets=_SECONDS, registry=registry
        )
        self._first = Histogram(
            "answerdeck_first_token_seconds", "Time to the first words.", buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter("answerdeck_tokens", "Tokens by kind.", ["kind"], registry=registry)
        self._cost = Counter("answerdeck_cost_usd", "Cost of priced turns.", registry=registry)
        running = Gauge("answerdeck_running_turns", "Turns under way.", registry=registry)
        running.set_function(lambda: pipeline.running)
        waiting = Gauge("answerdeck_waiting_turns", "Turns in the queue.", registry=registry)
        waiting.set_function(lambda: pipeline.admission.waiting)
        unrecorded = Gauge("answerdeck_unrecorded_turns", "Turns the journal refused.", registry=registry)
        unrecorded.set_function(lambda: pipeline.unrecorded)
        self._breakers = Gauge(
            "answerdeck_breaker_state",
            "0 closed, 1 half open, 2 open, 3 isolated.",
            ["name"],
            registry=registry,
        )

    def observe(self, trace: Trace) -> None:
        """Count a finished turn."""
        turn = trace.turn
        self._turns.labels(turn.outcome, turn.door).inc()
        if turn.seconds is not None:
            self._seconds.observe(turn.seconds)
        if turn.first_token_seconds is not None:
            self._first.observe(turn.first_token_seconds)
        if turn.input_tokens:
            self._tokens.labels("input").inc(turn.input_tokens)
        if turn.output_tokens:
            self._tokens.labels("output").inc(turn.output_tokens)
        if turn.cost_usd:
            self._cost.inc(turn.cost_usd)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        from prometheus_client import generate_latest

        for report in self._pipeline.report():
            self._breakers.labels(report["name"]).set(_STATES.get(report["state"], 2))
        return generate_latest(self._registry)
