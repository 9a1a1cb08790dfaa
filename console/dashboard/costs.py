"""What the Costs page reads: spending by day and model, users, budgets, and the basis of a forecast."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import streamlit as st

from console import format
from console.dashboard import data, whose
from evalsets.forecast import Projection, Traffic, project
from pipeline import build
from pipeline.guardrails.budget import Budget, BudgetReport
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from traces.queries.costs import DayCost, ResolvedCost, RouteCost, UserCost, last_days
from traces.queries.window import Window
from traces.records import PRODUCTION, TRIALS

DAYS = 30
FRESH_SECONDS = 10
NAMED = 3  # users named in one alert
USED = {
    100: "is used up: questions are answered by the best matching passages",
    80: "is used to 80 %: answers come from a smaller context, and from the cheap model where one is set",
    50: "is half used",
}
EVERY_DOOR = (*PRODUCTION, *TRIALS)  # money is money, whoever asked


@dataclass(frozen=True, slots=True)
class Costs:
    """All that the Costs page shows of the last 30 days."""

    days: list[date]
    by_day: list[DayCost]
    models: list[str]
    users: list[UserCost]
    resolved: ResolvedCost
    per_conversation: float | None
    routes: list[RouteCost]
    saved_usd: float | None  # by caching, what it cost to write the cache taken off
    projection: Projection
    days_left: int

    @property
    def today(self) -> float:
        return sum(row.cost_usd or 0.0 for row in self.by_day if row.day == self.days[-1])

    @property
    def unpriced(self) -> dict[str, int]:
        """How many turns of each model have no known price."""
        counts: dict[str, int] = {}
        for row in self.by_day:
            if row.unpriced:
                counts[row.model] = counts.get(row.model, 0) + row.unpriced
        return counts


@whose.cached(ttl=FRESH_SECONDS, max_entries=4, show_spinner=False)
def read() -> Costs:
    """Return the costs of the last 30 days, today included."""
    now = datetime.now(UTC)
    today = now.date()
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    window, people = last_days(now, DAYS, EVERY_DOOR), last_days(now, DAYS)
    spending = data.read_spending(window, people)
    spent: dict[date, float] = {}
    if spending.by_day:
        first = min(row.day for row in spending.by_day)
        spent = {day: 0.0 for day in days if day >= first}
    for row in spending.by_day:
        spent[row.day] = spent.get(row.day, 0.0) + (row.cost_usd or 0.0)
    left = _days_left(today)
    return Costs(
        days=days,
        by_day=spending.by_day,
        models=spending.models,
        users=spending.users,
        resolved=spending.resolved,
        per_conversation=spending.per_conversation,
        routes=spending.routes,
        saved_usd=_saved(spending.by_day),
        projection=project(spent, today, left),
        days_left=left,
    )


@whose.cached(ttl=60, max_entries=2, show_spinner=False)
def traffic() -> Traffic:
    """Return the calls that a forecast rests on: production's newest conversations."""
    now = datetime.now(UTC)
    return Traffic(data.read_calls(Window(now - timedelta(days=DAYS), now)))


@st.cache_resource
def prices() -> Prices:
    return build.prices(data.settings())


def budgets() -> BudgetReport:
    """Return what is used of the budgets, from the file that the chat keeps."""
    settings = data.settings()
    limits = build.limits(settings)
    try:
        spending = build.spending(settings)
    except (OSError, sqlite3.Error) as error:
        return BudgetReport(f"the budget file cannot be used: {error}")
    try:
        return Budget(spending, limits).report()
    finally:
        spending.close()


def alerts() -> Iterator[tuple[str, str]]:
    """Yield what the budgets have to say, worst first: (bad or warn, one sentence)."""
    report = budgets()
    if report.trouble:
        yield (
            "bad",
            f"Budgets cannot be kept: {report.trouble}. Paid models are not asked while a limit is set.",
        )
    worst: dict[tuple[str, str], int] = {}
    for row in report.reached:
        if row.level != "unpriced":
            key = (row.period, row.who)
            worst[key] = max(worst.get(key, 0), int(row.level.rstrip("%")))
    for level, says in USED.items():
        for period in (period for (period, who), seen in worst.items() if seen == level and not who):
            yield "bad" if level == 100 else "warn", f"The budget of {period} {says}."
        users = [who for (_, who), seen in worst.items() if seen == level and who]
        if users:
            names = ", ".join(users[:NAMED]) + (
                f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
            )
            yield "warn", f"Today's budget of {names} {says}."
    if number := report.unpriced_turns:
        turns = f"{format.count(number)} turn{'s' if number > 1 else ''}"
        yield "warn", f"Unpriced: {turns} this month, in no budget. Set models.prices for their models."


def _saved(by_day: list[DayCost]) -> float | None:
    """Return what cached tokens saved at today's prices; None when none were cached or priced."""
    saved, seen = 0.0, False
    for row in by_day:
        read, write = row.cache_read_tokens or 0, row.cache_write_tokens or 0
        rates = prices().rates(row.model) if read or write else None
        if rates is None:
            continue
        plain = rates.cost(Tokens(read + write, 0)) or 0.0
        cached = rates.cost(Tokens(read + write, 0, read, write)) or 0.0
        saved, seen = saved + plain - cached, True
    return saved if seen else None


def _days_left(today: date) -> int:
    """Return how many days of the month are left, today not counted."""
    first = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (first - today).days - 1
