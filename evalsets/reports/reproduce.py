"""Derives the table of a JSON report once more, from the ledger or from a new run, and says what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsets.metrics.table import find_metric, is_judged
from evalsets.reports import findings
from evalsets.reports.compare import compare_runs
from traces.queries.window import Rows

OF_RUN = ("mean", "ci_low", "ci_high", "n", "failed", "not_applicable", "coverage", "spread")
OF_COMPARISON = (
    *("verdict", "n", "failed", "coverage", "mean_a", "mean_b", "difference", "ci_low", "ci_high"),
    *("p", "p_corrected", "ties"),
)
ABOUT = ("evalset_fingerprint", "variant", "cases", "done", "failed", "seed", "limit")
MOMENTARY = ("Run", "Started", "Machine", "Measured beside", "Judges")  # versions that every run has anew
CLOSE = 1e-9  # of two floats computed by other releases of the same arithmetic


Values = Mapping[str, Any]  # of a JSON report, by their keys


@dataclass(frozen=True, slots=True)
class Written:
    """What is held against its like of a JSON report: by side the run, by metric its values."""

    sides: Mapping[str, Values]  # "" of one run, else "run A: " and "run B: "
    table: Mapping[str, Values]
    versions: Mapping[str, str]  # of one run

    @classmethod
    def read(cls, report: Values) -> Written:
        """Return what a JSON report holds of it."""
        if report["kind"] == "run":
            versions = {row["title"]: row["value"] for row in report["versions"]}
            return cls({"": report["run"]}, {row["name"]: row for row in report["metrics"]}, versions)
        sides = {f"run {side.upper()}: ": report[side] for side in ("a", "b")}
        return cls(sides, {row["metric"]: row for row in report["differences"]}, {})

    @property
    def of_one_run(self) -> bool:
        return len(self.sides) == 1

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(about["run_id"] for about in self.sides.values())


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of deriving a report's table again."""

    rows: int  # metrics of the report that were derived again
    differs: tuple[str, ...]  # a sentence a value that is not the same
    moved: tuple[str, ...]  # fingerprints and settings that are no longer the same
    notes: tuple[str, ...]  # what was left out, and why

    @property
    def same(self) -> bool:
        return not self.differs

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        metrics = f"{self.rows} metric{'' if self.rows == 1 else 's'}"
        if self.same:
            return f"The same table: {metrics}, every value."
        count = len(self.differs)
        return f"Not the same table: {count} difference{'' if count == 1 else 's'} over {metrics}."


def derive_from_ledger(ledger: Rows, report: Mapping[str, Any]) -> Reproduction:
    """Compute the table again from the scores on record; raises UnknownRun when they are gone."""
    was = Written.read(report)
    if was.of_one_run:
        now = Written.read(findings.of_run(ledger, *was.run_ids).to_dict())
    else:
        comparison = compare_runs(ledger, *was.run_ids, metrics=[*was.table])
        now = Written.read(findings.of_comparison(ledger, comparison).to_dict())
    differs = [text for side in was.sides for text in _about(side, was.sides[side], now.sides[side])]
    differs += _table(was.table, now.table, OF_RUN if was.of_one_run else OF_COMPARISON)
    later = _later(was, now) if was.of_one_run else ()
    return Reproduction(len(was.table), tuple(differs), (), tuple(later))


def derive_from_run(ledger: Rows, report: Mapping[str, Any], run_id: str) -> Reproduction:
    """Hold the report of a run against a new run of the same evalset and variant.

    Times, and costs that were not zero, are never the same twice and left out; so are judges' scores,
    which a run does not give.
    """
    was, now = Written.read(report), Written.read(findings.of_run(ledger, run_id).to_dict())
    steady = {name: row for name, row in was.table.items() if not (_unsteady(name, row) or is_judged(name))}
    left = sorted(was.table.keys() - steady.keys())
    notes = [f"left out, for they are not the same twice: {', '.join(left)}"] if left else []
    differs = _table(steady, now.table, OF_RUN)
    return Reproduction(len(steady), tuple(differs), tuple(_moved(was, now)), tuple(notes))


def _unsteady(name: str, row: Values) -> bool:
    unit = find_metric(name).unit
    return unit == "seconds" or (unit == "usd" and row.get("mean") != 0.0)


def _table(was: Mapping[str, Values], now: Mapping[str, Values], keys: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each value of the report's table that is another one now."""
    for name, row in was.items():
        fresh = now.get(name)
        if fresh is None:
            yield f"{name}: in the report, not among the scores now"
            continue
        for key in keys:
            if not _equal(row.get(key), fresh.get(key)):
                yield f"{name}: {key} was {row.get(key)}, is {fresh.get(key)}"


def _about(side: str, was: Values, now: Values) -> Iterator[str]:
    for key in ABOUT:
        if was.get(key) != now.get(key):
            yield f"{side}{key} was {was.get(key)}, is {now.get(key)}"


def _later(was: Written, now: Written) -> Iterator[str]:
    new = now.table.keys() - was.table.keys()
    if new:
        yield f"scored after the report was written: {', '.join(sorted(new))}"


def _moved(was: Written, now: Written) -> Iterator[str]:
    for title, value in was.versions.items():
        if title not in MOMENTARY and now.versions.get(title) != value:
            yield f"{title}: {value} in the report, {now.versions.get(title, '—')} now"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
    return a == b
