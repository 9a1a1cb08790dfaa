"""What a measurement says: the values of each round, their reference, and the goal they are held to."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio to the reference, or on the value itself."""

    bound: float
    of: Literal["ratio", "value"]
    at: Literal["most", "least"] = "most"

    def met(self, number: float) -> bool:
        return number <= self.bound if self.at == "most" else number >= self.bound

    def __str__(self) -> str:
        sign = "≤" if self.at == "most" else "≥"
        return f"{sign} {self.bound:g}" + ("×" if self.of == "ratio" else "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured over some rounds.

    `references` are the bare SDK's values of the same rounds, one per value: the ratio is the
    median of the rounds' ratios, so what slows the machine down for a while slows both.
    """

    bench: str
    what: str
    unit: str
    values: tuple[float, ...]
    references: tuple[float, ...] = ()
    goal: Goal | None = None
    n: int | None = None  # single measurements behind the values; the number of values when None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile of the rounds."""
        return quantile(self.values, 0.25), quantile(self.values, 0.75)

    @property
    def reference(self) -> float | None:
        return statistics.median(self.references) if self.references else None

    @property
    def ratio(self) -> float | None:
        if not self.references:
            return None
        pairs = zip(self.values, self.references, strict=True)
        return statistics.median(value / reference for value, reference in pairs)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        number = self.ratio if self.goal.of == "ratio" else self.median
        return None if number is None else self.goal.met(number)

    def to_dict(self) -> dict[str, Any]:
        low, high = self.spread
        return {
            "bench": self.bench,
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "low": low,
            "high": high,
            "n": self.n or len(self.values),
            "reference": self.reference,
            "ratio": self.ratio,
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
        }


COLUMNS = ("bench", "what", "median", "quartiles", "n", "bare SDK", "ratio", "goal", "")


def row(figure: Figure) -> tuple[str | None, ...]:
    """Return a figure as a row of the printed table."""
    low, high = figure.spread
    reference, ratio = figure.reference, figure.ratio
    return (
        figure.bench,
        figure.what,
        f"{short(figure.median)} {figure.unit}".strip(),
        f"{short(low)} … {short(high)}" if len(figure.values) > 1 else None,
        str(figure.n or len(figure.values)),
        None if reference is None else short(reference),
        None if ratio is None else f"{ratio:.2f}×",
        str(figure.goal) if figure.goal else None,
        {True: "ok", False: "MISSED", None: ""}[figure.met],
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie, between neighbours linearly."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def missed(figures: Iterable[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.met is False]


def short(number: float) -> str:
    """Return a number with three significant digits."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number else "0"
