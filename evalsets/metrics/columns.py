"""The scores of a run as columns: per metric, the value of each case, and what their mean is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from statistics import fmean, stdev
from typing import Any

from evalsets.metrics import stats
from evalsets.metrics.table import find_metric, ordered
from traces.queries.runs import RunScore


@dataclass(slots=True)
class Column:
    """One metric over the cases of a run; each case is in exactly one of the three."""

    values: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # case -> why scoring failed
    skipped: dict[str, str] = field(default_factory=dict)  # case -> why it does not apply
    reasons: dict[str, str] = field(default_factory=dict)  # of the values
    spreads: dict[str, float] = field(default_factory=dict)  # deviation between repetitions of a case

    @property
    def numbers(self) -> list[float]:
        """Return the values by case id, so that a seeded interval is the same wherever it is computed."""
        return [self.values[key] for key in sorted(self.values)]

    @property
    def coverage(self) -> float | None:
        """Return the share of the cases meant to be scored that were; None when none was meant to be."""
        meant = len(self.values) + len(self.failed)
        return len(self.values) / meant if meant else None

    def put(self, case_id: str, value: float | None, reason: str | None, failed: bool) -> None:
        """Set what is known of a case; the last word counts."""
        for place in (self.values, self.failed, self.skipped, self.reasons):
            place.pop(case_id, None)
        if failed:
            self.failed[case_id] = reason or "failed"
        elif value is None:
            self.skipped[case_id] = reason or "not applicable"
        else:
            self.values[case_id] = value
            if reason:
                self.reasons[case_id] = reason


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of a metric over a run's cases, with its interval and how many had none."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    failed: int
    not_applicable: int
    spread: float | None = None  # with repetitions the deviation between them, the mean over the cases

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON; without repetitions it has no `spread`."""
        values = {field.name: getattr(self, field.name) for field in fields(Summary)}
        return {key: value for key, value in values.items() if key != "spread" or value is not None}


def columns(scores: Iterable[RunScore]) -> dict[str, Column]:
    """Return the columns of a run's scores, in the order people read them.

    Repetitions of a case become one value, their mean. A case of which a repetition failed has failed:
    the mean of those that happened to work would hide it.
    """
    table: dict[str, Column] = {}
    by_case: dict[tuple[str, str], list[RunScore]] = {}
    for score in scores:
        by_case.setdefault((score.name, score.case_id), []).append(score)
    for (name, case_id), repeated in by_case.items():
        column = table.setdefault(name, Column())
        value, reason, failed = repeated[-1].value, repeated[-1].reason, repeated[-1].failed
        if len({score.repetition for score in repeated}) > 1:
            value, reason, failed = _together(repeated)
            values = [score.value for score in repeated if score.value is not None]
            if len(values) > 1 and not failed:
                column.spreads[case_id] = stdev(values)
        column.put(case_id, value, reason, failed)
    return {name: table[name] for name in ordered(set(table))}


def _together(scores: list[RunScore]) -> tuple[float | None, str | None, bool]:
    failures = [score.reason for score in scores if score.failed]
    if failures:
        return None, f"{len(failures)} of {len(scores)} repetitions failed: {failures[0]}", True
    values = [score.value for score in scores if score.value is not None]
    if not values:
        return None, scores[0].reason, False
    lowest = min(values)
    why = next(score.reason for score in scores if score.value == lowest)
    note = f"; lowest: {why}" if why else ""
    return fmean(values), f"mean of {len(values)}, {lowest:.3g} to {max(values):.3g}{note}", False


def summary(scored: Mapping[str, Column], seed: int = 0) -> dict[str, Summary]:
    """Return the summary of each metric that was meant for some case."""
    table: dict[str, Summary] = {}
    for name in ordered(set(scored)):
        column = scored[name]
        if column.coverage is None:
            continue
        share = find_metric(name).unit == "share"
        interval = stats.summary(column.numbers, seed, share=share)
        table[name] = Summary(
            interval.mean,
            interval.low,
            interval.high,
            interval.n,
            len(column.failed),
            len(column.skipped),
            fmean(column.spreads.values()) if column.spreads else None,
        )
    return table
