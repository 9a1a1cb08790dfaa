"""The scores of a run as columns: per metric, the value of each case, and what their mean is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsets import stats
from evalsets.measures import measure, ordered


@dataclass(slots=True)
class Column:
    """One metric over the cases of a run; each case is in exactly one of the three."""

    values: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # case -> why scoring failed
    skipped: dict[str, str] = field(default_factory=dict)  # case -> why it does not apply
    reasons: dict[str, str] = field(default_factory=dict)  # of the values

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


def columns(scores: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the columns of rows {case_id, name, value, failed, reason}, in the order people read them."""
    found: dict[str, Column] = {}
    for row in scores:
        column = found.setdefault(row["name"], Column())
        column.put(row["case_id"], row["value"], row["reason"], row["failed"])
    return {name: found[name] for name in ordered(set(found))}


def summary(found: Mapping[str, Column], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return {metric: {mean, ci_low, ci_high, n, failed, not_applicable}} of those meant for some case."""
    table: dict[str, dict[str, Any]] = {}
    for name in ordered(set(found)):
        column = found[name]
        if column.coverage is None:
            continue
        share = measure(name).unit == "share"
        interval = stats.summary(column.numbers, seed, share=share)
        table[name] = {
            "mean": interval.mean,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "n": interval.n,
            "failed": len(column.failed),
            "not_applicable": len(column.skipped),
        }
    return table
