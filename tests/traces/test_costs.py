"""What the cost queries answer: days, users, resolved answers, routes, the calls of a forecast."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.factories import make_score, make_trace
from traces.journal import Journal
from traces.queries import costs
from traces.queries.window import Window
from traces.records import Score, Trace, Usage
from traces.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = Window(NOON - timedelta(days=6), NOON + timedelta(days=1))


def spent(usd: float | None, model: str = "openai:gpt-6-luna", read: int = 0, **columns: Any) -> Trace:
    trace = make_trace(**{"cost_usd": usd, "model": model, "started_at": NOON} | columns)
    usage = Usage(trace.turn.turn_id, 1, "answer", model, 1000, 100, read, 0, cost_usd=usd)
    return replace(trace, usages=(usage,))


def graded(trace: Trace, groundedness: float) -> Trace:
    score = make_score(trace.turn.turn_id, "groundedness", groundedness)
    return replace(trace, scores=(replace(score, source="online"),))


def write(journal: Journal, *records: Trace | Score) -> None:
    for record in records:
        journal.write(record)


def test_days_end_at_midnight_utc_and_unknown_prices_are_not_zero(journal: Journal, store: Store) -> None:
    late = NOON.replace(hour=23, minute=59)
    write(
        journal,
        spent(0.5, started_at=late, read=400),
        spent(0.25, started_at=late + timedelta(minutes=2)),
        spent(None, "local:x"),
    )
    with store.read() as ledger:
        rows = costs.by_day(ledger, WEEK)
    assert [(row.day.day, row.model, row.cost_usd, row.unpriced) for row in rows] == [
        (20, "local:x", None, 1),
        (20, "openai:gpt-6-luna", 0.5, 0),
        (21, "openai:gpt-6-luna", 0.25, 0),
    ]
    assert rows[1].cache_read_tokens == 400


def test_users_are_listed_by_what_they_spent(journal: Journal, store: Store) -> None:
    write(journal, spent(0.1, user_id="ada"), spent(0.3, user_id="eve"), spent(None, user_id="bob"))
    with store.read() as ledger:
        rows = costs.users(ledger, WEEK, limit=2)
    assert [(row.user_id, row.cost_usd) for row in rows] == [("eve", 0.3), ("ada", 0.1)]


def test_resolved_is_answered_grounded_and_not_thumbed_down(journal: Journal, store: Store) -> None:
    good, bad, loose = graded(spent(0.1), 0.9), graded(spent(0.1), 0.9), graded(spent(0.1), 0.2)
    refused = graded(spent(0.1, outcome="refused"), 0.9)
    write(journal, good, bad, loose, refused, make_score(bad.turn.turn_id, "feedback", -1.0))
    with store.read() as ledger:
        found = costs.resolved(ledger, WEEK)
    assert (found.turns, found.resolved, found.unpriced) == (4, 1, 0)
    assert found.cost_usd == pytest.approx(0.4)


def test_routes_and_stopped_turns_are_counted(journal: Journal, store: Store) -> None:
    stopped = spent(0.0, "extractive", outcome="degraded", error_class="budget")
    write(journal, spent(0.1, route="cheap"), spent(0.1, route="cheap"), stopped, spent(0.2))
    with store.read() as ledger:
        rows = costs.routes(ledger, WEEK)
    assert [(row.route, row.turns, row.stopped) for row in rows] == [("cheap", 2, 0), (None, 1, 1)]


def test_calls_hold_the_largest_of_each_turn_and_purpose(journal: Journal, store: Store) -> None:
    trace = spent(0.1, conversation_id="c1")
    again = replace(trace.usages[0], call=2, input_tokens=0, output_tokens=0, error_class="overloaded")
    write(journal, replace(trace, usages=(*trace.usages, again)), make_trace(door="eval", started_at=NOON))
    with store.read() as ledger:
        rows = costs.calls(ledger, WEEK)
    assert [(row.conversation_id, row.input_tokens, row.purpose) for row in rows] == [("c1", 1000, "answer")]
