"""Takes one rule from state to state: what the counts say now, against how it stood before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from traces.alerts.counts import DAY, HOUR, STEP_SECONDS, StepCounts
from traces.alerts.recovery import CALM, Incident, over
from traces.alerts.rules import Rule
from traces.alerts.scan import FEWEST_BAD, LENGTHS, Finding, scan
from traces.alerts.standing import Standing, ended

AGAIN = timedelta(hours=6)  # who fires again so soon was not over: the next calm must last twice as long
LONGEST_CALM = 4 * CALM
RESTED = timedelta(hours=24)  # resolved for so long is ok
STEP = timedelta(seconds=STEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Judging:
    """How a rule stands now, the proof if it fires, and whether that is news."""

    standing: Standing
    finding: Finding | None = None
    event: str | None = None  # firing | over


def judge(rule: Rule, counts: StepCounts, standing: Standing, now: datetime) -> Judging:
    """Return how a rule stands now. The last step of the counts ends now."""
    end = len(counts)

    def step(time: datetime | None) -> int:
        return 0 if time is None else end - int((now - time) / STEP)

    stretches = [(step(began), step(until)) for began, until in standing.episodes]
    stretches.append((0, step(standing.usual_from)))
    if standing.state == "firing":
        stretches.append((step(standing.began), end))
    past = counts.without(stretches)
    if standing.state == "firing":
        return _firing(rule, counts, past, standing, now)
    finding = scan(rule, counts, past, step(standing.calm_from))
    if finding is not None:
        return Judging(_fired(standing, finding, end, now), finding, "firing")
    return Judging(_quiet(rule, counts, standing, now))


def _firing(rule: Rule, counts: StepCounts, past: StepCounts, standing: Standing, now: datetime) -> Judging:
    end = len(counts)
    first = end - int((now - (standing.began or now)) / STEP)
    fired = end - int((now - (standing.fired_at or now)) / STEP)
    rate, reference = standing.value or 0.0, standing.reference or 0.0
    incident = Incident(first, fired, rate, standing.worst or rate, reference, standing.calm_steps or CALM)
    calm = over(rule, counts, past, incident)
    if calm is not None:
        return Judging(ended(standing, now, now - (end - calm) * STEP), None, "over")
    hour = counts.between(end - HOUR, end)
    if rule.kind == "silence" or hour.n < FEWEST_BAD or hour.rate <= (standing.worst or 0.0):
        return Judging(standing)
    return Judging(replace(standing, worst=hour.rate))


def _fired(standing: Standing, finding: Finding, end: int, now: datetime) -> Standing:
    again = standing.resolved_at is not None and now - standing.resolved_at < AGAIN
    calm = min((standing.calm_steps or CALM) * 2, LONGEST_CALM) if again else CALM
    return replace(
        standing,
        state="firing",
        since=now,
        began=now - (end - finding.first) * STEP,
        fired_at=now,
        resolved_at=None,
        value=finding.rate,
        worst=finding.rate,
        reference=finding.reference,
        calm_steps=calm,
        told=False,
    )


def _quiet(rule: Rule, counts: StepCounts, standing: Standing, now: datetime) -> Standing:
    """Return ok, resolved for a day after an incident, or no data where nothing could be seen."""
    if standing.state == "resolved" and standing.since is not None and now - standing.since < RESTED:
        return standing
    end = len(counts)
    if rule.kind == "silence":
        seen = counts.first() < end - DAY
    else:
        seen = counts.between(end - LENGTHS[-1], end).n >= FEWEST_BAD
    state = "ok" if seen else "no data"
    if state == standing.state:
        return standing
    return replace(standing, state=state, since=now, text="", cause=None, link=None)
