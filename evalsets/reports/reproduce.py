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


def from_ledger(ledger: Rows, report: Mapping[str, Any]) -> Reproduction:
    """Compute the table again from the scores on record; raises UnknownRun when they are gone."""
    if report["kind"] == "run":
        now = findings.of_run(ledger, report["run"]["run_id"])
        differs = [*_about("", report["run"], now["run"]), *_table(report, now, OF_RUN)]
        return Reproduction(len(report["metrics"]), tuple(differs), (), tuple(_later(report, now)))
    names = [row["metric"] for row in report["differences"]]
    sides = report["a"]["run_id"], report["b"]["run_id"]
    now = findings.of_comparison(ledger, compare_runs(ledger, *sides, metrics=names))
    differs = [
        text for side in ("a", "b") for text in _about(f"run {side.upper()}: ", report[side], now[side])
    ]
    differs += _table(report, now, OF_COMPARISON)
    return Reproduction(len(names), tuple(differs), (), ())


def from_run(ledger: Rows, report: Mapping[str, Any], run_id: str) -> Reproduction:
    """Hold the report of a run against a new run of the same evalset and variant.

    Times, and costs that were not zero, are never the same twice and left out; so are judges' scores,
    which a run does not give.
    """
    now = findings.of_run(ledger, run_id)
    left = {row["name"] for row in report["metrics"] if _unsteady(row) or is_judged(row["name"])}
    kept = {**report, "metrics": [row for row in report["metrics"] if row["name"] not in left]}
    notes = [f"left out, for they are not the same twice: {', '.join(sorted(left))}"] if left else []
    differs = _table(kept, now, OF_RUN)
    moved = _moved(report["versions"], now["versions"])
    return Reproduction(len(kept["metrics"]), tuple(differs), tuple(moved), tuple(notes))


def _unsteady(row: Mapping[str, Any]) -> bool:
    unit = find_metric(row["name"]).unit
    return unit == "seconds" or (unit == "usd" and row["mean"] != 0.0)


def _table(report: Mapping[str, Any], now: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each value of the report's table that is another one now."""
    place, name = ("metrics", "name") if report["kind"] == "run" else ("differences", "metric")
    known = {row[name]: row for row in now[place]}
    for row in report[place]:
        fresh = known.get(row[name])
        if fresh is None:
            yield f"{row[name]}: in the report, not among the scores now"
            continue
        for key in keys:
            if not _equal(row.get(key), fresh.get(key)):
                yield f"{row[name]}: {key} was {row.get(key)}, is {fresh.get(key)}"


def _about(side: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in ABOUT:
        if was.get(key) != now.get(key):
            yield f"{side}{key} was {was.get(key)}, is {now.get(key)}"


def _later(report: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    new = {row["name"] for row in now["metrics"]} - {row["name"] for row in report["metrics"]}
    if new:
        yield f"scored after the report was written: {', '.join(sorted(new))}"


def _moved(was: list[dict[str, str]], now: list[dict[str, str]]) -> Iterator[str]:
    known = {row["title"]: row["value"] for row in now}
    for row in was:
        title, value = row["title"], row["value"]
        if title not in MOMENTARY and known.get(title) != value:
            yield f"{title}: {value} in the report, {known.get(title, '—')} now"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
    return a == b
