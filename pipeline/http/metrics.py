"""What Prometheus reads: turns, times by stage, money, retrieval, breakers, queues and lags.

With several workers their figures add up: `SHARED` names the folder in which prometheus_client keeps
each worker's. It must be set before that library is first imported.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from traces.alerts import standing
from traces.records import ERRANDS, Trace

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the name prometheus_client gives it
FRESH_SECONDS = 1.0
MOST_VALUES = 20  # of a label that is not ours to bound; the rest is "other"
_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STATES = {"closed": 0, "half_open": 1, "open": 2, "isolated": 3}
_STAGES = frozenset(
    {
        "inbound guard", "recall", "condense", "retrieve", "embed query", "vector search", "text search",
        "fuse", "rerank", "widen", "assemble", "route", "escalate", "model", "outbound guard",
    }
)  # fmt: skip
Mode = Literal["livesum", "livemax"]


class Metrics:
    """Counts the turns of one pipeline, whichever door they came through."""

    def __init__(self, pipeline: Pipeline) -> None:
        from prometheus_client import CollectorRegistry

        self._pipeline = pipeline
        self._registry = CollectorRegistry()
        self._values: dict[str, set[str]] = {}
        self._turns = self._counter("answerdeck_turns", "Turns by outcome.", "outcome", "door")
        self._errors = self._counter("answerdeck_errors", "Turns that went wrong, by reason.", "error_class")
        self._refusals = self._counter("answerdeck_refusals", "Turns refused, by the kind of rule.", "rule")
        self._seconds = self._histogram("answerdeck_turn_seconds", "Whole turns.")
        self._first = self._histogram("answerdeck_first_token_seconds", "Time to the first words.")
        self._stages = self._histogram("answerdeck_stage_seconds", "Steps of a turn.", "stage")
        self._tokens = self._counter("answerdeck_tokens", "Tokens by kind.", "kind")
        self._cost = self._counter("answerdeck_cost_usd", "Cost of priced turns.")
        self._unpriced = self._counter("answerdeck_unpriced_turns", "Turns without a known price.")
        self._calls = self._counter("answerdeck_model_calls", "Model calls.", "model", "failed")
        self._searches = self._counter("answerdeck_searches", "Searches with and without a hit.", "hit")
        self._caches = self._counter("answerdeck_cache_lookups", "Looks into caches.", "cache", "hit")
        self._gauges = {name: self._gauge(f"answerdeck_{name}", *about) for name, about in _GAUGES.items()}
        self._breakers = self._gauge(
            "answerdeck_breaker_state", "0 closed, 1 half open, 2 open, 3 isolated.", "livemax", "name"
        )
        self._budget = self._gauge(
            "answerdeck_budget_used_ratio", "Share of a budget that is used.", "livemax", "period"
        )
        self._alerts = self._gauge("answerdeck_alerts_firing", "Alerts that fire.", "livemax")

    def observe(self, trace: Trace) -> None:
        """Count a finished turn."""
        turn = trace.turn
        self._turns.labels(turn.outcome, turn.door).inc()
        if turn.door in ERRANDS:
            return  # nobody waited for it, and nothing was searched for anybody
        if turn.error_class is not None:
            self._errors.labels(turn.error_class).inc()
        if turn.outcome == "refused":
            self._refusals.labels(self._bounded("rule", (turn.refusal or "other").partition(":")[0])).inc()
        if turn.seconds is not None:
            self._seconds.observe(turn.seconds)
        if turn.first_token_seconds is not None:
            self._first.observe(turn.first_token_seconds)
        if turn.hit is not None:
            self._searches.labels("yes" if turn.hit else "no").inc()
        self._steps(trace)
        self._money(trace)

    async def keep_fresh(self) -> None:
        """Measure what changes without turns, again and again: other workers answer scrapes for this one."""
        while True:
            await asyncio.to_thread(self.refresh)
            await asyncio.sleep(FRESH_SECONDS)

    def refresh(self) -> None:
        """Measure queues, breakers, lags and budgets now."""
        pipeline = self._pipeline
        self._gauges["running_turns"].set(pipeline.running)
        self._gauges["waiting_turns"].set(pipeline.admission.waiting)
        self._gauges["unrecorded_turns"].set(pipeline.unrecorded)
        self._gauges["drain_lag_seconds"].set(pipeline.store.health().lag_seconds)
        lags = pipeline.knowledge.lags.every().values()
        self._gauges["index_lag_documents"].set(sum(lag.pending for lag in lags))
        self._gauges["index_lag_seconds"].set(max((lag.seconds() for lag in lags), default=0.0))
        for report in pipeline.report():
            self._breakers.labels(report.name).set(_STATES.get(report.state, 2))
        for budget in pipeline.budget.report().budgets:
            if budget.limit_usd:
                self._budget.labels(budget.name).set(budget.spent_usd / budget.limit_usd)
        book = standing.read(pipeline.store.data_dir)
        self._alerts.set(sum(piece.state == "firing" for piece in book.standings.values()))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format, of all workers together."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self.refresh()
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        _bury(Path(os.environ[SHARED]))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _steps(self, trace: Trace) -> None:
        for span in trace.spans:
            if span.kind == "cache":
                hit = "yes" if span.attributes.get("hit") else "no"
                self._caches.labels(self._bounded("cache", span.name), hit).inc()
            elif span.kind != "turn":
                stage = span.name if span.name in _STAGES else "model" if span.kind == "model" else "other"
                self._stages.labels(stage).observe(span.seconds)

    def _money(self, trace: Trace) -> None:
        turn = trace.turn
        kinds = {
            "input": turn.input_tokens,
            "output": turn.output_tokens,
            "cache_read": turn.cache_read_tokens,
            "cache_write": turn.cache_write_tokens,
        }
        for kind, tokens in kinds.items():
            self._tokens.labels(kind).inc(tokens or 0)
        self._cost.inc(turn.cost_usd or 0.0)
        if turn.cost_usd is None and turn.attempts:
            self._unpriced.inc()
        for usage in trace.usages:
            failed = "yes" if usage.error_class else "no"
            self._calls.labels(self._bounded("model", usage.model), failed).inc()

    def _bounded(self, label: str, value: str) -> str:
        """Return the value of a label, "other" once there are too many of them."""
        values = self._values.setdefault(label, set())
        if value not in values and len(values) >= MOST_VALUES:
            return "other"
        values.add(value)
        return value

    def _counter(self, name: str, about: str, *labels: str) -> Any:
        from prometheus_client import Counter

        return Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, *labels: str) -> Any:
        from prometheus_client import Histogram

        return Histogram(name, about, labels, buckets=_SECONDS, registry=self._registry)

    def _gauge(self, name: str, about: str, mode: Mode, *labels: str) -> Any:
        from prometheus_client import Gauge

        return Gauge(name, about, labels, registry=self._registry, multiprocess_mode=mode)


_GAUGES: dict[str, tuple[str, Mode]] = {
    "running_turns": ("Turns under way.", "livesum"),
    "waiting_turns": ("Turns in the queue.", "livesum"),
    "unrecorded_turns": ("Turns the journal refused.", "livesum"),
    "drain_lag_seconds": ("For how long turns wait to be moved into the trace store.", "livemax"),
    "index_lag_documents": ("Documents that wait to be indexed, of all knowledge bases.", "livemax"),
    "index_lag_seconds": ("For how long the oldest of them waits.", "livemax"),
}


def _bury(folder: Path) -> None:
    """Take the gauges of workers that ended out of the sums; their counters stay."""
    from prometheus_client.multiprocess import mark_process_dead

    for path in folder.glob("gauge_live*.db"):
        pid = path.stem.rpartition("_")[2]
        with suppress(ValueError, PermissionError):
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
