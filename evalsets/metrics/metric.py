"""What a metric is: its name, how it is read, when it applies and how it is computed, in one object."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from traces.records import Case, Trace

SCORER = "answerdeck@1"  # who measured, on the scores of metrics without a judge
ABSTAINED = ("no_context", "refused")
BROKEN = ("degraded", "cut", "abandoned", "failed")

Unit = Literal["share", "seconds", "usd"]
Better = Literal["higher", "lower"]
About = Literal["search", "answer", "turn", "replay", "judge"]


@dataclass(frozen=True, slots=True)
class Measured:
    """One score of a turn, before it becomes a record; the metric fills in its name.

    None with `failed` means that scoring was tried and failed; without it, that it does not apply.
    """

    value: float | None
    reason: str | None = None
    failed: bool = False
    name: str = ""


Score = Callable[[Case, Trace], Measured]


def skipped(reason: str) -> Measured:
    """Return a score that does not apply."""
    return Measured(None, f"not applicable: {reason}")


def always(case: Case) -> bool:
    """Say that a metric applies to every case."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric. `headline` ones are compared by default; the others are detail.

    `applies` says which cases are meant to be scored: coverage follows from it. A case that is not
    leaves no row, or with `idle` a row with that reason. `about` says what a score needs: the search
    alone, an answer (a broken turn fails it), any turn, a replay, or a judge, who scores in its own
    process, so that `score` is None.
    """

    name: str
    title: str
    what: str
    applies: Callable[[Case], bool] = always
    score: Score | None = None
    better: Better = "higher"
    unit: Unit = "share"
    headline: bool = True
    about: About = "answer"
    idle: str = ""

    def measure(self, case: Case, trace: Trace) -> Measured | None:
        """Return the score of a turn with its reason; None when the case is none of this metric's."""
        if self.score is None:
            return None
        if not self.applies(case):
            return replace(skipped(self.idle), name=self.name) if self.idle else None
        if self.about == "answer" and trace.turn.outcome in BROKEN:
            return self.fail(_broken(trace))
        return replace(self.score(case, trace), name=self.name)

    def fail(self, reason: str) -> Measured:
        """Return the score of a case whose scoring failed."""
        return Measured(None, reason, failed=True, name=self.name)

    def write(self, value: float | None, *, signed: bool = False) -> str:
        """Return the value as people read it: "0.987", "655 ms", "$0.0012"; a dash when there is none."""
        if value is None:
            return "—"
        sign = "−" if value < 0 else "+" if signed and value > 0 else ""
        return sign + _UNITS[self.unit](abs(value))


def _broken(trace: Trace) -> str:
    turn = trace.turn
    return f"the turn was {turn.outcome}" + (f" ({turn.error_class})" if turn.error_class else "")


def _share(value: float) -> str:
    return f"{value:.3f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.9995 else f"{value * 1000:.0f} ms"


_LEAST_USD = 1e-8


def _usd(value: float) -> str:
    if value >= 1 or value == 0:
        return f"${value:,.2f}"
    if value < _LEAST_USD:
        return f"<${_LEAST_USD:.8f}"
    return f"${value:.{max(4, 1 - math.floor(math.log10(value)))}f}"  # two digits of a difference at least


_UNITS = {"share": _share, "seconds": _seconds, "usd": _usd}
