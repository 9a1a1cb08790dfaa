"""Budgets: what a turn may still cost, and what happens at 50, 80 and 100 per cent."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Literal

from pipeline.guardrails.spending import EVERYBODY, Reached, Spending, SpendingSums

log = logging.getLogger(__name__)
Saving = Literal["no", "degrade", "stop"]
ALERT, DEGRADE, STOP = 0.5, 0.8, 1.0
LEVELS = (ALERT, DEGRADE, STOP)
UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """Dollars per user and day, per day and per month; None is no limit. Days end at midnight, UTC."""

    user_day_usd: float | None = None
    day_usd: float | None = None
    month_usd: float | None = None
    unpriced: Literal["allow", "refuse"] = "allow"

    @property
    def any(self) -> bool:
        return not (self.user_day_usd is None and self.day_usd is None and self.month_usd is None)

    def shares(
        self, sums: SpendingSums, user_id: str, day: str, usd: float = 0.0
    ) -> Iterator[tuple[str, str, float]]:
        """Yield period, who and the share of the limit used by the sums and `usd` more, for each limit."""
        rows = (
            (day, user_id, sums.user_day, self.user_day_usd),
            (day, EVERYBODY, sums.day, self.day_usd),
            (day[:7], EVERYBODY, sums.month, self.month_usd),
        )
        for period, who, spent, limit in rows:
            if limit is not None:
                yield period, who, (spent + usd) / limit if limit > 0 else STOP

    @property
    def most(self) -> SpendingSums:
        """Return the sums that may not be passed."""
        limits = (self.user_day_usd, self.day_usd, self.month_usd)
        return SpendingSums(*(inf if limit is None else limit for limit in limits))


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of the budget of this day or this month."""

    name: Literal["day", "month"]
    period: str
    spent_usd: float
    limit_usd: float | None


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What is used of each budget, which levels were reached, and what keeps the budgets from being kept.

    Only the trouble is known when the file of sums cannot be used.
    """

    trouble: str | None
    budgets: tuple[Used, ...] = ()
    user_day_usd: float | None = None
    unpriced_turns: int = 0
    reached: tuple[Reached, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the report."""
        if not self.budgets:
            return {"trouble": self.trouble}
        return {
            "budgets": [asdict(used) for used in self.budgets],
            "user_day_usd": self.user_day_usd,
            "unpriced_turns": self.unpriced_turns,
            "reached": [asdict(level) for level in self.reached],
            "trouble": self.trouble,
        }


class Budget:
    """Says what a turn may do, holds its estimate, and settles what it cost.

    Without limits nothing is held, but what is spent is added up all the same, so that a limit set
    later knows the month. When the file of sums cannot be used, limits are taken as reached: the
    retrieval-only answer costs nothing.
    """

    def __init__(
        self,
        spending: Spending,
        limits: SpendingLimits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.limits = limits
        self.spending = spending
        self.trouble: str | None = None
        self._now = now

    @property
    def day(self) -> str:
        return f"{self._now():%Y-%m-%d}"

    def saving(self, user_id: str) -> Saving:
        """Return how much a turn of this user must save now."""
        if not self.limits.any:
            return "no"
        day = self.day
        try:
            sums = self.spending.sums(user_id, day)
        except sqlite3.Error as error:
            self._fail(error)
            return "stop"
        used = max(share for _, _, share in self.limits.shares(sums, user_id, day))
        return "stop" if used >= STOP else "degrade" if used >= DEGRADE else "no"

    def hold(self, turn_id: str, user_id: str, usd: float | None) -> bool:
        """Hold an estimate before a model is called; False when it does not fit.

        None is the estimate of an unpriced model: it fits, unless the settings refuse such models.
        """
        if not self.limits.any:
            return True
        if usd is None:
            return self.limits.unpriced == "allow"
        clock, day = self._now().timestamp(), self.day
        try:
            return self.spending.hold(turn_id, user_id, day, usd, clock, self.limits.most)
        except sqlite3.Error as error:
            self._fail(error)
            return False

    def settle(self, turn_id: str, user_id: str, usd: float, unpriced: int) -> None:
        """Record what a turn cost; a turn without cost that held nothing need not be settled."""
        day = self.day
        try:
            sums = self.spending.settle(turn_id, user_id, day, usd, unpriced)
            if unpriced and self.spending.reach(day, EVERYBODY, UNPRICED):
                log.warning("budget: turns of models without a known price; set models.prices for them")
            for period, who, share in self.limits.shares(sums, user_id, day):
                self._reach(period, who, share)
        except sqlite3.Error as error:
            self._fail(error)
        else:
            self.trouble = None

    def stopped(self, user_id: str, usd: float = 0.0) -> None:
        """Note that a turn was stopped, so that operators learn of it once.

        A budget with room for `usd` more is not used up: other turns only held it for a moment.
        """
        day = self.day
        try:
            sums = self.spending.sums(user_id, day)
            for period, who, share in self.limits.shares(sums, user_id, day, usd):
                if share >= STOP:
                    self._reach(period, who, STOP)
        except sqlite3.Error as error:
            self._fail(error)

    @property
    def seconds_left(self) -> float:
        """Seconds until the day ends and its budget begins anew."""
        now = self._now()
        return (datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1) - now).total_seconds()

    def report(self) -> BudgetReport:
        """Return each limit with what is used of it, the levels reached, and unpriced turns."""
        day = self.day
        try:
            today, month = self.spending.totals(day), self.spending.totals(day[:7])
            reached = self.spending.reached(day, day[:7])
        except sqlite3.Error as error:
            self._fail(error)
            return BudgetReport(self.trouble)
        return BudgetReport(
            self.trouble or self.spending.trouble,
            (
                Used("day", day, today.usd, self.limits.day_usd),
                Used("month", day[:7], month.usd, self.limits.month_usd),
            ),
            self.limits.user_day_usd,
            month.unpriced,
            tuple(reached),
        )

    def _reach(self, period: str, who: str, share: float) -> None:
        for level in LEVELS:
            if share >= level and self.spending.reach(period, who, f"{level:.0%}"):
                log.warning("budget: %.0f %% of %s used by %s", level * 100, period, who or "everybody")

    def _fail(self, error: sqlite3.Error) -> None:
        self.trouble = f"the budget file cannot be used: {error}"
        log.error("%s", self.trouble)
