"""Made-up traffic with known truth: clean days with a daily and weekly rhythm, and 40 incidents in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from traces.alerts.counts import DAY, HOUR, STEP_SECONDS, StepCounts
from traces.alerts.judging import STEP, judge
from traces.alerts.rules import Rule, shipped
from traces.alerts.standing import Standing

HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 21, 18, 20, 22, 21, 18, 14, 11, 10, 9, 8, 6, 3)
PAST_DAYS = 17
Strength = Callable[[float], float]  # hours since it began -> 0 (nothing) to 1 (in full)

NORMAL = {
    "error_rate": 0.003,
    "latency_p95": 0.02,
    "first_token_p95": 0.02,
    "hit_rate": 0.06,
    "refusals": 0.02,
    "turned_away": 0.002,
    "abstentions": 0.10,
    "thumbs_down": 0.20,
    "judge_coverage": 0.01,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One incident: which rule must see it, how bad, when and how it goes, how busy the service is."""

    name: str
    rule: str
    bad: float  # the rate when in full; for silence the share of turns that is gone; a factor for costs
    begins: float  # hour of the day
    hours: float
    strength: Strength = lambda _: 1.0
    turns_a_day: float = 2400.0


def sudden(_: float) -> float:
    return 1.0


def creeping(hours: float) -> Strength:
    return lambda passed: min(passed / hours, 1.0)


def flapping(on: float, off: float) -> Strength:
    return lambda passed: 1.0 if passed % (on + off) < on else 0.0


def waning(hours: float) -> Strength:
    return lambda passed: max(1.0 - passed / hours, 0.0)


SHAPES = (
    Shape("errors: total", "error_rate", 1.0, 10, 3),
    Shape("errors: total, short", "error_rate", 1.0, 14, 0.5),
    Shape("errors: half", "error_rate", 0.5, 11, 4),
    Shape("errors: one in ten", "error_rate", 0.1, 9, 10),
    Shape("errors: one in twenty", "error_rate", 0.05, 9, 12),
    Shape("errors: 3 %", "error_rate", 0.03, 8, 24),
    Shape("errors: total for a day and more", "error_rate", 1.0, 12, 30),
    Shape("errors: creeping to all", "error_rate", 1.0, 9, 8, creeping(6)),
    Shape("errors: creeping to a fifth", "error_rate", 0.2, 8, 12, creeping(10)),
    Shape("errors: flapping 10 on 10 off", "error_rate", 0.8, 10, 5, flapping(1 / 6, 1 / 6)),
    Shape("errors: flapping 30 on 30 off", "error_rate", 0.6, 10, 6, flapping(0.5, 0.5)),
    Shape("errors: flapping 20 on 50 off", "error_rate", 0.9, 9, 7, flapping(1 / 3, 5 / 6)),
    Shape("errors: night, total", "error_rate", 1.0, 1, 5),
    Shape("errors: night, half", "error_rate", 0.5, 1, 5),
    Shape("errors: evening into the night", "error_rate", 1.0, 21, 8),
    Shape("errors: low traffic, total", "error_rate", 1.0, 9, 10, turns_a_day=60),
    Shape("errors: low traffic, half", "error_rate", 0.5, 9, 14, turns_a_day=60),
    Shape("errors: very low traffic, total", "error_rate", 1.0, 9, 24, turns_a_day=20),
    Shape("errors: waning", "error_rate", 0.8, 10, 8, waning(8)),
    Shape("errors: busy, 3 %", "error_rate", 0.03, 10, 6, turns_a_day=60_000),
    Shape("hits: none", "hit_rate", 1.0, 10, 4),
    Shape("hits: none for a day", "hit_rate", 1.0, 10, 24),
    Shape("hits: a third missed", "hit_rate", 0.33, 10, 6),
    Shape("hits: a fifth missed", "hit_rate", 0.20, 9, 10),
    Shape("hits: 30 an hour, none", "hit_rate", 1.0, 10, 4, turns_a_day=500),
    Shape("hits: creeping", "hit_rate", 0.6, 8, 10, creeping(8)),
    Shape("hits: flapping", "hit_rate", 0.9, 9, 6, flapping(0.25, 0.25)),
    Shape("hits: night", "hit_rate", 1.0, 0, 6),
    Shape("hits: low traffic", "hit_rate", 0.9, 9, 20, turns_a_day=60),
    Shape("hits: very low traffic", "hit_rate", 1.0, 8, 30, turns_a_day=20),
    Shape("latency: all slow", "latency_p95", 0.9, 10, 3),
    Shape("latency: a fifth slow", "latency_p95", 0.2, 9, 8),
    Shape("latency: creeping", "latency_p95", 0.5, 9, 8, creeping(6)),
    Shape("first token: flapping", "first_token_p95", 0.7, 10, 4, flapping(0.3, 0.3)),
    Shape("refusals: doubled five times", "refusals", 0.3, 9, 8),
    Shape("thumbs down: most", "thumbs_down", 0.7, 8, 24),
    Shape("cost: fifty times", "cost_per_conversation", 50.0, 10, 5),
    Shape("cost: three times", "cost_per_conversation", 3.0, 9, 10),
    Shape("silence: day", "silence", 1.0, 11, 4),
    Shape("silence: low traffic", "silence", 1.0, 9, 14, turns_a_day=200),
)


@dataclass(frozen=True, slots=True)
class Played:
    """What the rule said of one incident."""

    delay_minutes: float | None  # None: missed
    false_recoveries: int
    over_minutes: float | None  # after the end; None: still firing two days later
    alarms_before: int


def traffic(random: np.random.Generator, days: int, turns_a_day: float, quiet: np.ndarray) -> np.ndarray:
    """Draw turns per step: a daily rhythm, quiet weekends, days that differ by a tenth; less by `quiet`."""
    hours = np.repeat(np.array(HOURS, float) / sum(HOURS) / HOUR, HOUR)
    week = np.array([0.4 if day % 7 in (5, 6) else 1.0 for day in range(days)])
    level = week * random.gamma(100, 0.01, days) * turns_a_day
    return random.poisson(np.outer(level, hours).ravel() * (1.0 - quiet))


def rates(
    random: np.random.Generator, steps: int, normal: float, bad: float, strength: np.ndarray
) -> np.ndarray:
    """Return the rate of each step: usual, a little other each hour, and the incident on top of it."""
    hourly = random.gamma(200, 1 / 200, -(-steps // HOUR)).repeat(HOUR)[:steps]
    daily = 1.0 + 0.15 * np.sin(2 * np.pi * np.arange(steps) / DAY)
    usual = np.minimum(normal * hourly * daily, 1.0)
    return usual + (np.maximum(bad, usual) - usual) * strength


def draw(
    shape: Shape, rule: Rule, random: np.random.Generator, days: int, strength: np.ndarray
) -> StepCounts:
    """Draw the counts that one rule looks at."""
    quiet = strength * shape.bad if rule.kind == "silence" else np.zeros(days * DAY)
    turns = traffic(random, days, shape.turns_a_day, quiet)
    if rule.kind == "silence":
        return StepCounts(turns.tolist(), [0] * len(turns))
    if rule.kind == "mean":
        conversations = random.binomial(turns, 0.4)
        level = 1.0 + (shape.bad - 1.0) * strength
        costs = [
            random.lognormal(-5.0, 1.0, n) * times for n, times in zip(conversations, level, strict=True)
        ]
        return StepCounts(
            conversations.tolist(),
            [float(one.sum()) for one in costs],
            [float((one * one).sum()) for one in costs],
        )
    things = random.binomial(turns, 0.08) if rule.key == "thumbs_down" else turns
    rate = rates(random, len(turns), NORMAL[rule.key], shape.bad, strength)
    return StepCounts(things.tolist(), random.binomial(things, rate).tolist())


def play(shape: Shape, seed: int, every: int = 1) -> Played:
    """Let a rule watch an incident after 17 clean days, from a day before it to two days after it."""
    rule = shipped()[shape.rule]
    random = np.random.default_rng(seed)
    begin = PAST_DAYS * DAY + round(shape.begins * HOUR)
    end = begin + round(shape.hours * HOUR)
    days = -(-end // DAY) + 2
    strength = np.zeros(days * DAY)
    for at in range(begin, end):
        strength[at] = shape.strength((at - begin) / HOUR)
    counts = draw(shape, rule, random, days, strength)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    standing = Standing(rule.key, rule.key)
    delay, wrong, over, early = None, 0, None, 0
    for at in range(begin - DAY // 2, days * DAY, every):
        seen = judge(rule, until(counts, at), standing, start + at * STEP)
        standing = seen.standing
        if seen.event == "firing":
            early += at <= begin
            delay = (at - begin) * STEP_SECONDS / 60 if delay is None and at > begin else delay
        if seen.event == "over":
            wrong += begin < at < end
            over = (at - end) * STEP_SECONDS / 60 if at >= end else over
        if over is not None:
            break
    return Played(delay, wrong, over, early)


def until(counts: StepCounts, at: int) -> StepCounts:
    """Return the counts as they stood at a step, 17 days of them."""
    return counts.cut(at - PAST_DAYS * DAY, at)


def clean(rule: Rule, seed: int, days: int, turns_a_day: float = 2400.0, every: int = 1) -> int:
    """Let a rule watch clean days from the first on; return how often it fired."""
    random = np.random.default_rng(seed)
    shape = Shape("clean", rule.key, 0.0, 0, 0, turns_a_day=turns_a_day)
    counts = draw(shape, rule, random, days, np.zeros(days * DAY))
    start = datetime(2026, 3, 2, tzinfo=UTC)
    standing, alarms = Standing(rule.key, rule.key), 0
    for at in range(1, days * DAY, every):
        seen = judge(rule, until(counts, at), standing, start + at * STEP)
        standing, alarms = seen.standing, alarms + (seen.event == "firing")
    return alarms
