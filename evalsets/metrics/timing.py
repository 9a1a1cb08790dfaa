"""How long a turn took, what it cost, and whether it ended well."""

from __future__ import annotations

from evalsets.metrics.metric import BROKEN, Measured, Metric
from traces.records import Case, Trace


def _first_token(case: Case, trace: Trace) -> Measured:
    return Measured(trace.turn.first_token_seconds)


def _seconds(case: Case, trace: Trace) -> Measured:
    return Measured(trace.turn.seconds)


def _cost(case: Case, trace: Trace) -> Measured:
    """Return what the turn cost; one that called no model cost nothing."""
    turn = trace.turn
    if turn.cost_usd is not None:
        return Measured(turn.cost_usd)
    if turn.attempts:
        return Measured(None, f"no price is known for {turn.model}", failed=True)
    return Measured(0.0, "no model was called")


def _completed(case: Case, trace: Trace) -> Measured:
    turn = trace.turn
    broken = turn.outcome in BROKEN
    return Measured(float(not broken), f"{turn.outcome}: {turn.error_class}" if broken else turn.outcome)


FIRST_TOKEN = Metric(
    name="first_token_seconds",
    title="First token",
    what="time from acceptance to the first word",
    score=_first_token,
    better="lower",
    unit="seconds",
)
SECONDS = Metric(
    name="seconds",
    title="Whole turn",
    what="time from acceptance to the end",
    score=_seconds,
    better="lower",
    unit="seconds",
)
COST = Metric(
    name="cost_usd",
    title="Cost per turn",
    what="price of all model calls of the turn",
    score=_cost,
    better="lower",
    unit="usd",
)
COMPLETED = Metric(
    name="completed",
    title="Completed",
    what="the turn ended without an error",
    score=_completed,
    headline=False,
    about="turn",
)
METRICS = (FIRST_TOKEN, SECONDS, COST, COMPLETED)
