"""What went wrong in a time range: the worst step of a series that no chance explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import median
from typing import Any

FEWEST_TURNS = 20  # a step with fewer says nothing
HIT_RATE_DROP = 0.08  # below the usual rate, in shares
ERROR_RATE_RISE = 0.03
SIGMAS = 4.0  # how unlikely by chance; 60 steps look at 2 rates each


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went wrong: what, how bad, when, against what."""

    kind: str  # hit_rate | error_rate | latency
    value: float
    usual: float
    since: datetime
    until: datetime


def find(
    series: Sequence[dict[str, Any]], begin: datetime, step: timedelta, turn_seconds: float
) -> list[Incident]:
    """Return the incidents of a series of steps, each with the step where it was worst.

    `turn_seconds` is the objective of the 95th percentile of a whole turn.
    """
    found = [_hit_rate(series), _error_rate(series), _latency(series, turn_seconds)]
    incidents: list[Incident] = []
    for kind, worst, value, usual in (entry for entry in found if entry is not None):
        since = begin + step * worst
        incidents.append(Incident(kind, value, usual, since, since + step))
    return incidents


def _hit_rate(series: Sequence[dict[str, Any]]) -> tuple[str, int, float, float] | None:
    steps = [step for step in series if step["searched"] >= FEWEST_TURNS]
    if not steps:
        return None
    usual = median(step["hit_rate"] for step in steps)
    worst = min(steps, key=lambda step: step["hit_rate"])
    drop = usual - worst["hit_rate"]
    if drop < HIT_RATE_DROP or drop < SIGMAS * _spread(usual, worst["searched"]):
        return None
    return "hit_rate", worst["step"], worst["hit_rate"], usual


def _error_rate(series: Sequence[dict[str, Any]]) -> tuple[str, int, float, float] | None:
    steps = [step for step in series if step["turns"] >= FEWEST_TURNS]
    if not steps:
        return None
    usual = median(step["error_rate"] for step in steps)
    worst = max(steps, key=lambda step: step["error_rate"])
    rise = worst["error_rate"] - usual
    if rise < ERROR_RATE_RISE or rise < SIGMAS * _spread(usual, worst["turns"]):
        return None
    return "error_rate", worst["step"], worst["error_rate"], usual


def _latency(series: Sequence[dict[str, Any]], turn_seconds: float) -> tuple[str, int, float, float] | None:
    steps = [step for step in series if step["turns"] >= FEWEST_TURNS and step["latency_p95"] is not None]
    if not steps:
        return None
    worst = max(steps, key=lambda step: step["latency_p95"])
    if worst["latency_p95"] <= turn_seconds:
        return None
    usual = median(step["latency_p95"] for step in steps)
    return "latency", worst["step"], worst["latency_p95"], usual


def _spread(rate: float, turns: int) -> float:
    """Return the standard deviation of a rate seen in so many turns, never below half a turn's worth."""
    return max(sqrt(rate * (1 - rate) / turns), 0.5 / turns)
