"""Whether an incident is over: said only when a calm stretch proves it, never for want of data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from traces.alerts.counts import HOUR, StepCounts, Stretch
from traces.alerts.evidence import at_least, at_most, mean_over
from traces.alerts.rules import Rule
from traces.alerts.usual import HEAVIEST, expected, usual

CALM = 15  # steps: 75 minutes, longer than most pauses of what flickers
LONG = 6 * HOUR  # after so long a calm a slow service need not rule out small remains
MILD = 0.1  # evidence for the incident under which a stretch does not count as calm
REFUTED = 1e-3
REMAINS = 0.05  # what must be ruled out above the reference, in shares
AWAKE = 0.4  # of the expected turns: silence is over


@dataclass(frozen=True, slots=True)
class Incident:
    """What fired: its first step and strength, and what it was held against."""

    first: int
    fired: int  # step in which it was first seen
    rate: float  # when it fired
    worst: float
    reference: float
    calm: int = CALM  # steps without evidence that prove it over


def over(rule: Rule, counts: StepCounts, past: StepCounts, incident: Incident) -> int | None:
    """Return the first step of the calm that proves the incident over; None while it may go on."""
    end = len(counts)
    if end - incident.fired < incident.calm:
        return None
    if rule.kind == "silence":
        return _awake(counts, past, incident)
    length = incident.calm
    latest = counts.between(end - length, end)
    reference = _reference(rule, past, end - length, end, incident)
    if not latest.n or _bad(rule, latest, reference):
        return None
    while end - length >= incident.first:
        calm = counts.between(end - length, end)
        if _bad(rule, calm, reference):
            return None
        rate = min(incident.rate, counts.between(incident.first, end - length).rate or incident.rate)
        if _refuted(rule, calm, reference, replace(incident, rate=rate), long=length >= LONG):
            return end - length
        length += HOUR
    return None


def _reference(rule: Rule, past: StepCounts, first: int, end: int, incident: Incident) -> float:
    """Return what counts as good now: the limit, or what is usual at this hour, never above what fired."""
    before = usual(past, first, end)
    if rule.change is None or before is None:
        return incident.reference
    if rule.limit is not None:
        return max(rule.limit, min(before.rate, incident.reference))
    return max(before.rate, incident.reference) if before.days else incident.reference


def _bad(rule: Rule, calm: Stretch, reference: float) -> bool:
    """Say whether a stretch shows even mild evidence of an incident."""
    if rule.kind == "mean":
        return calm.rate > reference * 1.25 and mean_over(calm.rate, calm.deviation, calm.n, reference) < MILD
    return at_least(int(calm.bad), calm.n, reference, HEAVIEST) < MILD


def _refuted(rule: Rule, calm: Stretch, reference: float, incident: Incident, *, long: bool) -> bool:
    """Say whether a stretch rules out that the incident goes on, even weaker than before."""
    half = (incident.rate - reference) / 2  # the first proof overstates the rate, so all since then counts
    if rule.kind == "mean":
        spread = max(calm.deviation, 0.1 * calm.rate) / max(calm.n, 1) ** 0.5
        return calm.n >= 5 and calm.rate + 2.3 * spread < reference + max(half, 0.0)
    if long and at_most(int(calm.bad), calm.n, reference + (incident.worst - reference) / 2) < REFUTED / 10:
        return True
    return at_most(int(calm.bad), calm.n, min(reference + min(max(half, 0.0), REMAINS), 1.0)) < REFUTED


def _awake(counts: StepCounts, past: StepCounts, incident: Incident) -> int | None:
    """Turns come again: near the usual number, all along."""
    end = len(counts)
    first = end - incident.calm
    third = incident.calm // 3
    parts = [(first + third * number, first + third * (number + 1)) for number in range(3)]
    mean, _ = expected(past, first, end)
    turns = counts.between(first, end).n
    if turns < max(AWAKE * mean, 3.0) or any(not counts.between(*part).n for part in parts):
        return None
    return first
