"""What is usual: the same hours of earlier days, and how much they differ from day to day."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import pvariance

from traces.alerts.counts import DAY, HOUR, StepCounts, Stretch
from traces.alerts.evidence import at_least

DAYS = 14
AROUND = HOUR  # earlier days are looked at an hour before and after too
ENOUGH = 50  # things seen, under which nothing is usual yet
HEAVIEST = 5_000.0  # a rate is never taken as better known than after so many
SHORT_MEMORY = 60.0  # where only the hours before are known, and the hour of the day may matter
UNLIKE = 1e-3  # a day less likely than this beside the others was an incident


@dataclass(frozen=True, slots=True)
class Usual:
    """What to expect: a rate or mean, and how well it is known (`weight`: as after so many turns)."""

    rate: float
    weight: float
    n: int
    days: int  # 0: no earlier days, the hours before instead
    deviation: float = 0.0  # of single values; for means

    @property
    def source(self) -> str:
        """Say in words what the comparison rests on."""
        if not self.days:
            return "the hours before"
        return f"the same hours of {self.days} earlier day{'s' if self.days > 1 else ''}"


def usual(counts: StepCounts, first: int, last: int) -> Usual | None:
    """Return what is usual for the steps from `first` to `last`; None when too little is known."""
    days = [day for day in earlier(counts, first, last, AROUND) if day.n]
    if sum(day.n for day in days) < ENOUGH or len(days) < 2:
        return _before(counts, first)
    if counts.means:
        days.sort(key=lambda day: day.rate)
        days = days[: max(len(days) * 3 // 4, 2)]  # the dearest quarter may have been incidents
        whole = _together(days)
        return Usual(whole.rate, HEAVIEST, whole.n, len(days), whole.deviation)
    days = _alike(days)
    whole = _together(days)
    return Usual(_rate(whole.bad, whole.n), min(whole.n, _weight(days), HEAVIEST), whole.n, len(days))


def earlier(counts: StepCounts, first: int, last: int, around: int = 0) -> list[Stretch]:
    """Return the same hours of each earlier day, the newest first; none overlaps the stretch itself."""
    nearest = max(-(-(last - first) // DAY), 1)
    return [
        counts.between(first - around - shift * DAY, min(last + around - shift * DAY, first))
        for shift in range(nearest, DAYS + nearest)
        if last - shift * DAY > 0
    ]


def expected(counts: StepCounts, first: int, last: int) -> tuple[float, float]:
    """Return how many turns the same hours of earlier days had, and how alike those days were.

    The second is the size of a negative binomial. Working days are compared with working days where
    enough are known; with less than five days the quietest counts.
    """
    begun = counts.first()
    levels: list[tuple[int, float]] = []
    for shift in range(max(-(-(last - first) // DAY), 1), DAYS + 1):
        if first - shift * DAY >= begun:
            levels.append((shift, counts.between(first - shift * DAY, last - shift * DAY).n))
    same = [n for shift, n in levels if shift % 7 == 0]
    values = [n for _, n in levels]
    if len(values) < 5:
        return (min(values), 10.0) if values else (0.0, 10.0)
    mean, spread = sum(values) / len(values), pvariance(values)
    if same:  # a weekday that was always quiet may be quiet again
        mean = min(mean, max(same))
    return mean, mean * mean / (spread - mean) if spread > mean > 0 else 1_000.0


def _alike(days: list[Stretch]) -> list[Stretch]:
    """Leave out the days that were incidents: above the others together by more than chance."""
    while len(days) > 2:
        n, bad = sum(day.n for day in days), sum(day.bad for day in days)
        rate = _rate(bad, n)
        ordinary = [
            day for day in days if day.rate <= rate or at_least(int(day.bad), day.n, rate, HEAVIEST) >= UNLIKE
        ]
        if len(ordinary) in (0, len(days)):
            break
        days = ordinary
    return days


def _weight(days: list[Stretch]) -> float:
    """Return how well one day tells the rate of another, from Pearson's chi-square over the days."""
    n, bad = sum(day.n for day in days), sum(day.bad for day in days)
    rate, mean = _rate(bad, n), n / len(days)
    if len(days) < 3 or not 0 < rate < 1 or mean <= 2:
        return HEAVIEST
    chi = sum((day.bad - day.n * rate) ** 2 / (day.n * rate * (1 - rate)) for day in days)
    inflation = chi / (len(days) - 1)
    alike = (inflation - 1) / (mean - 1)  # the intraclass correlation
    return HEAVIEST if alike <= 0 else max(1 / alike - 1, 10.0)


def _before(counts: StepCounts, first: int) -> Usual | None:
    whole = counts.between(max(first - DAY, 0), first)
    if whole.n < ENOUGH:
        return None
    rate = whole.rate if counts.means else _rate(whole.bad, whole.n)
    return Usual(rate, min(whole.n, SHORT_MEMORY), whole.n, 0, whole.deviation)


def _together(days: list[Stretch]) -> Stretch:
    columns = ([day.n for day in days], [day.bad for day in days], [day.squares for day in days])
    return Stretch(sum(columns[0]), sum(columns[1]), sum(columns[2]))


def _rate(bad: float, n: int) -> float:
    """Return a rate that is never quite 0: half a bad one more, and one thing more (Jeffreys' prior)."""
    return (bad + 0.5) / (n + 1)
