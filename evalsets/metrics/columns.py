"""The scores of a run as columns: per metric, the value of each case, and what their mean is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from evalsets.metrics import stats
from evalsets.metrics.measures import measure, ordered


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


def columns(scores: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the columns of rows {case_id, name, value, failed, reason}, in the order people read them.

    Repetitions of a case become one value, their mean. A case of which a repetition failed has failed:
    the mean of those that happened to work would hide it.
    """
    found: dict[str, Column] = {}
    gathered: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in scores:
        gathered.setdefault((row["name"], row["case_id"]), []).append(row)
    for (name, case_id), rows in gathered.items():
        column = found.setdefault(name, Column())
        value, reason, failed = rows[-1]["value"], rows[-1]["reason"], rows[-1]["failed"]
        if len({row.get("repetition") for row in rows}) > 1:
            value, reason, failed = _together(rows)
            values = [row["value"] for row in rows if row["value"] is not None]
            if len(values) > 1 and not failed:
                column.spreads[case_id] = stdev(values)
        column.put(case_id, value, reason, failed)
    return {name: found[name] for name in ordered(set(found))}


def _together(rows: list[Mapping[str, Any]]) -> tuple[float | None, str | None, bool]:
    failed = [row["reason"] for row in rows if row["failed"]]
    if failed:
        return None, f"{len(failed)} of {len(rows)} repetitions failed: {failed[0]}", True
    values = [row["value"] for row in rows if row["value"] is not None]
    if not values:
        return None, rows[0]["reason"], False
    worst = min(rows, key=lambda row: (row["value"] is None, row["value"]))
    said = f"; lowest: {worst['reason']}" if worst["reason"] else ""
    return fmean(values), f"mean of {len(values)}, {min(values):.3g} to {max(values):.3g}{said}", False


def summary(found: Mapping[str, Column], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return {metric: {mean, ci_low, ci_high, n, failed, not_applicable}} of those meant for some case.

    With repetitions also `spread`: the deviation between them, the mean over the cases.
    """
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
        if column.spreads:  # the run had repetitions
            table[name]["spread"] = fmean(column.spreads.values())
    return table
