"""Records one turn while it happens and writes it to the journal when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from traces.ids import uuid7
from traces.records import (
    Outcome,
    Passage,
    Payload,
    Record,
    Score,
    Span,
    SpanKind,
    Trace,
    Turn,
    Usage,
)


class Sink(Protocol):
    """Where finished records go; the journal in production."""

    def write(self, record: Record) -> None: ...


class OpenSpan:
    """A step that is still running; `note` adds attributes to it."""

    __slots__ = ("attributes", "error", "span_id")

    def __init__(self, span_id: int, attributes: dict[str, Any]) -> None:
        self.span_id = span_id
        self.attributes = attributes
        self.error: str | None = None

    def note(self, **attributes: Any) -> None:
        self.attributes.update(attributes)


class Nowhere:
    """A sink that keeps nothing: for what is looked at but is no turn."""

    def write(self, record: Record) -> None:
        """Take the record, and let it go."""


class Collected:
    """A sink that holds what it is given, for those who look at it afterwards."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        """Hold the record."""
        self.records.append(record)


class Recorder:
    """Collects what one turn does. Call `close` once, in a `finally`."""

    def __init__(self, turn: Turn, sink: Sink, clock: Callable[[], float] = time.perf_counter) -> None:
        self.trace: Trace | None = None
        self._turn = turn
        self._noted: dict[str, Any] = {}
        self._sink = sink
        self._clock = clock
        self._began = clock()
        self._spans: list[Span] = []
        self._opened = 1  # span 0 is the turn itself
        self._stack = [0]
        self.passages: tuple[Passage, ...] = ()
        self._usages: list[Usage] = []
        self._scores: list[Score] = []
        self._payload = Payload(turn_id=turn.turn_id)

    @property
    def turn(self) -> Turn:
        """The turn as far as it is known."""
        if self._noted:  # a Turn has 40 columns: it is copied when somebody looks, not at each note
            self._turn, self._noted = replace(self._turn, **self._noted), {}
        return self._turn

    @property
    def elapsed(self) -> float:
        """Seconds since the turn was accepted."""
        return self._clock() - self._began

    @property
    def current(self) -> int:
        """The id of the innermost open span."""
        return self._stack[-1]

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, parent: int | None = None, **attributes: Any
    ) -> Iterator[OpenSpan]:
        """Time a step; an exception passing through is noted by its class and goes on.

        `parent` is the span it belongs to, for steps that run side by side; the innermost otherwise.
        """
        opened = OpenSpan(self._opened, attributes)
        self._opened += 1
        parent, start = self.current if parent is None else parent, self.elapsed
        self._stack.append(opened.span_id)
        try:
            yield opened
        except BaseException as error:  # noted on the step, and passed on
            opened.error = type(error).__name__
            raise
        finally:
            self._stack.remove(opened.span_id)
            self._add(opened, parent, name, kind, start)

    def note(self, **columns: Any) -> None:
        """Set columns of the turn; the last word counts."""
        self._noted.update(columns)

    def keep(self, *, prompt: str | None = None, raw_response: str | None = None) -> None:
        """Keep the bulky texts of the turn."""
        if prompt is not None:
            self._payload = replace(self._payload, prompt=prompt)
        if raw_response is not None:
            self._payload = replace(self._payload, raw_response=raw_response)

    def retrieved(self, passages: Iterable[Passage]) -> None:
        """Set the passages of the turn, in rank order; a second call replaces the first."""
        self.passages = tuple(passages)

    def used(self, usage: Usage) -> None:
        """Add one model call; `turn_id` and `call` are filled in here."""
        self._usages.append(replace(usage, turn_id=self._turn.turn_id, call=len(self._usages) + 1))

    def spent(self, purpose: str) -> tuple[str | None, float, float | None]:
        """Return the model of the last call for a purpose; seconds and dollars of all, None when unpriced."""
        mine = [usage for usage in self._usages if usage.purpose == purpose]
        costs = [usage.cost_usd for usage in mine]
        cost = None if None in costs else sum(cost for cost in costs if cost is not None)
        return (mine[-1].model if mine else None, sum(usage.seconds or 0.0 for usage in mine), cost)

    def score(self, name: str, value: float | None, *, scorer: str, reason: str | None = None) -> None:
        """Add an online score of this turn."""
        score_id, now = uuid7(), datetime.now(UTC)
        turn = self._turn  # whose it is stands since its beginning
        self._scores.append(
            Score(
                score_id=score_id,
                turn_id=turn.turn_id,
                name=name,
                value=value,
                source="online",
                created_at=now,
                scorer=scorer,
                reason=reason,
                run_id=turn.run_id,
                case_id=turn.case_id,
            )
        )

    def close(self, outcome: Outcome | None = None) -> Trace:
        """End the turn and write its one journal line; a second call returns the same trace."""
        if self.trace is None:
            if outcome is not None:
                self.note(outcome=outcome)
            self.note(seconds=self.elapsed, **self._sums())
            self._name_model()
            root = Span(self._turn.turn_id, 0, None, "turn", "turn", 0.0, self.elapsed, {})
            spans = tuple(sorted((root, *self._spans), key=lambda span: span.span_id))
            self.trace = Trace(
                self.turn, self._payload, spans, self.passages, tuple(self._usages), tuple(self._scores)
            )
            self._sink.write(self.trace)
        return self.trace

    def _add(self, opened: OpenSpan, parent: int, name: str, kind: SpanKind, start: float) -> None:
        seconds = self.elapsed - start
        self._spans.append(
            Span(
                self._turn.turn_id,
                opened.span_id,
                parent,
                name,
                kind,
                start,
                seconds,
                opened.attributes,
                opened.error,
            )
        )

    def _name_model(self) -> None:
        """Name the model of an answer that broke off before its end, where a call was made."""
        turn = self.turn
        tried = [usage.model for usage in self._usages if usage.purpose == "answer"]
        if turn.model is None and turn.outcome in ("abandoned", "cut") and tried:
            self.note(model=tried[-1])

    def _sums(self) -> dict[str, Any]:
        """Sum the usages; a column is None when no call reported it, cost when any is unpriced."""
        if not self._usages:
            return {}
        costs = [usage.cost_usd for usage in self._usages]
        return {
            "input_tokens": _total(usage.input_tokens for usage in self._usages),
            "output_tokens": _total(usage.output_tokens for usage in self._usages),
            "cache_read_tokens": _total(usage.cache_read_tokens for usage in self._usages),
            "cache_write_tokens": _total(usage.cache_write_tokens for usage in self._usages),
            "cost_usd": None if None in costs else sum(cost for cost in costs if cost is not None),
            "attempts": len(self._usages),
        }


def _total(values: Iterable[int | None]) -> int | None:
    measured = [value for value in values if value is not None]
    return sum(measured) if measured else None
