"""Looks for an incident that goes on now: over minutes, hours and days at once, with few false alarms.

A change-point test: for each of ten lengths the newest stretch is held against its limit and against the
same hours of earlier days. Each length may be wrong equally often, so a long stretch, looked at less
often, needs less proof: small excesses are found in a day, an outage in its first minutes, and a quiet
service pools time until it can speak.
"""

from __future__ import annotations

from dataclasses import dataclass

from traces.alerts.counts import DAY, HOUR, StepCounts, Stretch
from traces.alerts.evidence import at_least, likelihood, mean_over, so_few
from traces.alerts.rules import Rule
from traces.alerts.usual import HEAVIEST, Usual, expected, usual

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 144, DAY, 3 * DAY)  # steps
FALSE_ALARMS_A_DAY = 0.005  # of one rule, all lengths together: one in 200 days
OVERLAP = 3.0  # how many independent looks overlapping stretches of one length amount to
FEWEST_BAD = 3
FEWEST_MEANS = 10
SILENT = 0.1  # of the expected turns; more is quiet, not silent
POWER = 0.9
EXACTLY = 1e7  # the weight of a rate that is no estimate


@dataclass(frozen=True, slots=True)
class Finding:
    """What speaks for an incident now."""

    first: int  # the step in which it most likely began
    length: int  # steps of the stretch that proves it
    n: int
    bad: float
    rate: float
    reference: float  # what it was held against: the limit or the usual
    against: str  # "limit" or "usual"
    p: float
    usual: float | None
    source: str | None  # what the usual rests on


def allowed(length: int) -> float:
    """Return how unlikely a stretch of this length must be by chance to count."""
    return FALSE_ALARMS_A_DAY / len(LENGTHS) * length / DAY / OVERLAP


def scan(rule: Rule, counts: StepCounts, past: StepCounts, floor: int = 0) -> Finding | None:
    """Return the strongest proof that the rule is broken now, None without one.

    `past` is what is usual is taken from: `counts` without earlier incidents. Nothing before the step
    `floor` counts as evidence: it belongs to an incident that is over.
    """
    if rule.kind == "silence":
        return _silence(counts, past, floor)
    best: Finding | None = None
    end = len(counts)
    for length in LENGTHS:
        first = max(end - length, floor)
        now = counts.between(first, end)
        for finding in _tests(rule, now, past, first, end):
            if finding.p < allowed(length) and (best is None or finding.p < best.p):
                best = finding
        if first == floor:
            break
    return None if best is None else _dated(best, counts, floor)


def _tests(rule: Rule, now: Stretch, past: StepCounts, first: int, end: int) -> list[Finding]:
    """Hold one stretch against the limit and against the usual."""
    mean = rule.kind == "mean"
    if now.n < (FEWEST_MEANS if mean else 1) or (not mean and now.bad < FEWEST_BAD):
        return []
    enough = allowed(end - first)
    # the spread of the days only makes chance likelier, so what fails without it needs no look at them
    over = (
        rule.limit is not None and now.rate > rule.limit and _chance(mean, now, rule.limit, EXACTLY) < enough
    )
    changed = rule.change is not None and (mean or now.rate >= rule.change)
    if not over and not changed:
        return []
    before = usual(past, first, end)
    findings: list[Finding] = []
    if over and rule.limit is not None:
        p = _chance(mean, now, rule.limit, HEAVIEST if before is None else _spread(before))
        findings.append(_finding(now, first, end, rule.limit, "limit", p, before))
    if changed and before is not None and now.rate >= worth(rule, before):
        p = _chance(mean, now, before.rate, before.weight)
        findings.append(_finding(now, first, end, before.rate, "usual", p, before))
    return findings


def worth(rule: Rule, before: Usual) -> float:
    """Return from where on a change is worth a word; further off where only the hours before are known."""
    change = rule.change or 0.0
    if rule.kind == "mean":
        return before.rate * (change if before.days else 2 * change)
    return before.rate + (change if before.days else 2 * change)


def _spread(before: Usual) -> float:
    """Return how alike the days are; how well the usual rate is known does not matter to a limit."""
    return before.weight if before.weight < before.n and before.days else HEAVIEST


def _chance(mean: bool, now: Stretch, rate: float, weight: float) -> float:
    if mean:
        return mean_over(now.rate, now.deviation, now.n, rate)
    return at_least(int(now.bad), now.n, rate, weight)


def _finding(
    now: Stretch, first: int, end: int, reference: float, against: str, p: float, before: Usual | None
) -> Finding:
    rate = None if before is None else before.rate
    source = None if before is None else before.source
    return Finding(first, end - first, now.n, now.bad, now.rate, reference, against, p, rate, source)


def _dated(finding: Finding, counts: StepCounts, floor: int) -> Finding:
    """Return the finding with the step from which on everything fits an incident best.

    The maximum of the likelihood over all change points (Hinkley, Biometrika 57, 1970).
    """
    end = len(counts)
    best, begun = 0.0, finding.first
    for first in range(max(end - max(4 * finding.length, 2 * HOUR), floor), end):
        now = counts.between(first, end)
        value = (
            (now.rate - finding.reference) * now.n**0.5
            if counts.means
            else likelihood(int(now.bad), now.n, finding.reference)
        )
        if value > best:
            best, begun = value, first
    now = counts.between(begun, end)
    return Finding(
        begun, end - begun, now.n, now.bad, now.rate,
        finding.reference, finding.against, finding.p, finding.usual, finding.source,
    )  # fmt: skip


def _silence(counts: StepCounts, past: StepCounts, floor: int) -> Finding | None:
    end = len(counts)
    for length in LENGTHS[1:-1]:
        first = end - length
        if first < floor:
            break
        turns = counts.between(first, end).n
        mean, size = expected(past, first, end)
        if turns > SILENT * mean:
            continue
        p = so_few(turns, mean, size)
        if p < allowed(length):
            begun = first
            while begun > floor and counts.between(begun - 1, begun).n == 0:
                begun -= 1
            source = "the same hours of earlier days"
            return Finding(begun, end - begun, turns, 0.0, turns, mean, "usual", p, mean, source)
    return None
