"""Metrics as tables for a terminal: those of one run, and the differences of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.commands.screen import table
from evalsets.metrics.columns import Summary
from evalsets.metrics.table import find_metric
from evalsets.reports.compare import Comparison, Difference, names

DIFFERENCES = ("difference", "95 % interval", "p", "wins/losses/ties", "n")
COLUMNS = ("metric", "mean", "95 % interval", "n", "failed")


def metric_table(metrics: Mapping[str, Summary], title: str, *, idle: bool = False) -> None:
    """Print the metrics of a run; with `idle` also how often each does not apply."""
    repeated = any(summary.spread is not None for summary in metrics.values())
    heads = (*COLUMNS, *(["not applicable"] if idle else []), *(["between repetitions"] if repeated else []))
    table(heads, (_row(name, summary, idle, repeated) for name, summary in metrics.items()), title)


def _row(name: str, summary: Summary, idle: bool, repeated: bool) -> tuple[Any, ...]:
    write = find_metric(name).write
    low, high = summary.ci_low, summary.ci_high
    return (
        name,
        None if summary.mean is None else write(summary.mean),
        "—" if low is None else f"{write(low)} to {write(high)}",
        summary.n,
        summary.failed,
        *([summary.not_applicable] if idle else []),
        *([None if summary.spread is None else write(summary.spread)] if repeated else []),
    )


def comparison_table(comparison: Comparison) -> None:
    """Print what a comparison says, its notes and a row for each metric."""
    print(comparison.sentence)
    for note in comparison.notes:
        print(f"  {note}")
    print()
    heads = ("metric", *names(comparison.a, comparison.b), *DIFFERENCES)
    table(heads, map(_difference, comparison.differences))


def _difference(difference: Difference) -> tuple[Any, ...]:
    write = find_metric(difference.metric).write

    def signed(value: float | None) -> str | None:
        return None if value is None else write(value, signed=True)

    low, high = difference.ci_low, difference.ci_high
    return (
        difference.metric,
        *(None if mean is None else write(mean) for mean in (difference.mean_a, difference.mean_b)),
        signed(difference.difference),
        None if low is None else f"{signed(low)} to {signed(high)}",
        None if difference.p is None else f"{difference.p:.3f}",
        f"{len(difference.wins)}/{len(difference.losses)}/{difference.ties}",
        difference.n,
    )


def cost(usd: float | None) -> str:
    """Return what a run cost, in words."""
    return "unpriced" if usd is None else f"${usd:.4f}"
