"""What the rules look at: counts in steps of five minutes, and any stretch of them added up at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import accumulate

from traces.queries.watch import Step

STEP_SECONDS = 300
HOUR = 3600 // STEP_SECONDS  # steps
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happened between two steps: `n` things, `bad` of them; for means the sum of their squares."""

    n: int
    bad: float
    squares: float = 0.0

    @property
    def rate(self) -> float:
        """The share of bad ones, or the mean."""
        return self.bad / self.n if self.n else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of single values."""
        if self.n < 2:
            return 0.0
        return max((self.squares - self.bad * self.bad / self.n) / (self.n - 1), 0.0) ** 0.5


class StepCounts:
    """Counts per step, oldest first; the last step ends now."""

    def __init__(
        self, n: Sequence[float], bad: Sequence[float], squares: Sequence[float] | None = None
    ) -> None:
        self._n = list(accumulate(n, initial=0))
        self._bad = list(accumulate(bad, initial=0))
        self._squares = list(accumulate(squares, initial=0)) if squares is not None else None
        self._holes: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Step], steps: int, n: str, bad: str, squares: str = "") -> StepCounts:
        """Return the counts of two columns (three for means) of steps that have them; steps may be absent."""
        columns: dict[str, list[float]] = {name: [0] * steps for name in (n, bad, squares) if name}
        for row in rows:
            if 0 <= row.step < steps:
                for name, values in columns.items():
                    values[row.step] += getattr(row, name) or 0
        return cls(columns[n], columns[bad], columns.get(squares))

    @property
    def means(self) -> bool:
        """Whether `bad` holds sums of values rather than counts."""
        return self._squares is not None

    def __len__(self) -> int:
        return len(self._n) - 1

    def between(self, first: int, last: int) -> Stretch:
        """Add up the steps from `first` on, `last` excluded; what lies outside counts as empty."""
        end = len(self._n) - 1
        first, last = min(max(first, 0), end), min(max(last, 0), end)
        if last <= first:
            return Stretch(0, 0)
        n, bad = self._n[last] - self._n[first], self._bad[last] - self._bad[first]
        squares = self._squares[last] - self._squares[first] if self._squares else 0.0
        for begin, stop in self._holes:
            begin, stop = max(begin, first), min(stop, last)
            if begin < stop:
                n, bad = n - self._n[stop] + self._n[begin], bad - self._bad[stop] + self._bad[begin]
                squares -= self._squares[stop] - self._squares[begin] if self._squares else 0.0
        return Stretch(int(n), bad, squares)

    def cut(self, first: int, last: int) -> StepCounts:
        """Return the counts of some steps alone."""
        part = copy(self)
        rest = slice(max(first, 0), last + 1)
        part._n, part._bad = self._n[rest], self._bad[rest]
        part._squares = None if self._squares is None else self._squares[rest]
        return part

    def without(self, stretches: Iterable[tuple[int, int]]) -> StepCounts:
        """Return the same counts with some stretches emptied: known incidents are no usual days."""
        part = copy(self)
        part._holes = _apart(stretches)
        return part

    def first(self) -> int:
        """Return the first step in which anything happened; the number of steps when nothing ever did."""
        return next((at for at in range(len(self)) if self._n[at + 1] > self._n[at]), len(self))


def _apart(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join the stretches that overlap, so that no step is taken away twice."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted((max(first, 0), last) for first, last in stretches if last > 0):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
