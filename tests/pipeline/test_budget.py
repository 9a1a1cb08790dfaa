"""Budgets: what is held and settled, what happens at 50, 80 and 100 per cent, and a simulated month."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import notices
from pipeline.events import Answer, Failed
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.spending import Spending
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.steps.routing import RouteModels
from pipeline.turn import Pipeline
from tests.pipeline.turns import ask, make_pipeline, recorded

LID = "What happens when I close the lid of my laptop?"
SUSPENDS = "The laptop goes to sleep to save power [1]."
PRICE = {"input_per_million": 100.0, "output_per_million": 100.0}
START = datetime(2026, 11, 1, 8, tzinfo=UTC)


class Days:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def purse(tmp_path: Path, now: Callable[[], datetime] | None = None, **limits: Any) -> Budget:
    return Budget(Spending(tmp_path / "spending.sqlite"), SpendingLimits(**limits), now or Days())


async def with_budget(
    *models: Scripted, priced: bool = True, routes: RouteModels | None = None, **limits: Any
) -> Pipeline:
    rules = {"routes": routes} if routes else None
    pipeline = await make_pipeline(*models, rules=rules, budgets=limits)
    if priced:
        gateway = pipeline.gateway
        gateway._prices = Prices({model.name: PRICE for model in models})  # no door sets prices for names
    return pipeline


def test_what_is_held_counts_until_it_is_settled(tmp_path: Path) -> None:
    budget = purse(tmp_path, day_usd=1.0)
    assert budget.hold("t1", "ada", 0.7)
    assert not budget.hold("t2", "eve", 0.4)
    budget.settle("t1", "ada", 0.1, 0)
    assert budget.hold("t2", "eve", 0.4)
    budget.settle("t2", "eve", 0.4, 0)
    total = budget.spending.totals("2026-11-01")
    assert (total.usd, total.turns, total.unpriced) == (pytest.approx(0.5), 2, 0)
    assert budget.spending.totals("2026-11").usd == pytest.approx(0.5)


def test_levels_are_reached_once_a_period_and_days_begin_anew(tmp_path: Path) -> None:
    days = Days()
    budget = purse(tmp_path, days, day_usd=1.0, month_usd=10.0)
    seen = []
    for turn, usd in enumerate((0.4, 0.2, 0.25, 0.2)):
        budget.settle(f"t{turn}", "ada", usd, 0)
        seen.append((budget.saving("ada"), [row.level for row in budget.report().reached]))
    assert [saving for saving, _ in seen] == ["no", "no", "degrade", "stop"]
    assert [sorted(levels) for _, levels in seen][1:] == [["50%"], ["50%", "80%"], ["100%", "50%", "80%"]]
    days.now += timedelta(days=1)
    assert budget.saving("ada") == "no"


def test_a_users_budget_is_the_users_alone_and_restarts_know_it(tmp_path: Path) -> None:
    budget = purse(tmp_path, user_day_usd=0.1)
    budget.settle("t1", "ada", 0.1, 0)
    budget.spending.close()
    again = purse(tmp_path, user_day_usd=0.1)
    assert (again.saving("ada"), again.saving("eve")) == ("stop", "no")
    assert again.spending.forget("ada") == 1
    assert again.spending.totals("2026-11-01").usd == pytest.approx(0.1)


def test_what_a_killed_process_held_counts_as_spent(tmp_path: Path) -> None:
    days = Days()
    budget = purse(tmp_path, days, day_usd=1.0)
    assert budget.hold("lost", "ada", 0.6)
    days.now += timedelta(hours=1)
    assert not budget.hold("next", "ada", 0.6)
    assert budget.hold("next", "ada", 0.3)
    assert budget.spending.totals("2026-11-01").usd == pytest.approx(0.6)


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "spending.sqlite").write_bytes(b"not a database" * 100)
    budget = purse(tmp_path, day_usd=1.0)
    assert budget.spending.quarantined is not None
    assert budget.saving("ada") == "no"


def test_a_file_that_is_locked_is_not_taken_for_damaged(tmp_path: Path) -> None:
    first = purse(tmp_path, day_usd=1.0)
    first.settle("t", "ada", 0.7, 0)
    with first.spending._begin():
        second = purse(tmp_path, day_usd=1.0)
        assert second.spending.quarantined is None
        assert second.report().budgets[0].spent_usd == pytest.approx(0.7)


def test_a_file_that_cannot_be_used_stops_paid_answers(tmp_path: Path) -> None:
    budget = purse(tmp_path, day_usd=1.0)
    budget.spending.close()
    assert budget.saving("ada") == "stop"
    assert not budget.hold("t", "ada", 0.1)
    assert budget.trouble is not None


def test_a_month_never_costs_more_than_its_budget(tmp_path: Path) -> None:
    """Estimates are right within a factor: overspend stays under the turns in flight times one turn."""
    days, lot = Days(), random.Random(7)
    budget = purse(tmp_path, days, month_usd=20.0, day_usd=1.5, user_day_usd=0.4)
    dearest, in_flight, most = 0.05 * 1.3, 8, 0.0
    stopped = 0
    for day in range(30):
        days.now = START + timedelta(days=day)
        under_way: list[tuple[str, str, float]] = []
        for turn in range(120):
            user, key = f"user{lot.randrange(12)}", f"{day}-{turn}"
            estimate = lot.uniform(0.005, 0.05)
            if budget.saving(user) == "stop" or not budget.hold(key, user, estimate):
                stopped += 1
            else:
                under_way.append((key, user, estimate * lot.uniform(0.2, 1.3)))
            if len(under_way) >= in_flight:
                budget.settle(*under_way.pop(lot.randrange(in_flight)), 0)
        for one in under_way:
            budget.settle(*one, 0)
        most = max(most, budget.spending.totals(f"{days.now:%Y-%m-%d}").usd)
    assert stopped > 1000
    assert most <= 1.5 + in_flight * dearest
    assert 19.0 < budget.spending.totals("2026-11").usd <= 20.0 + in_flight * dearest


def test_processes_share_the_budget(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from pipeline.guardrails.budget import Budget, SpendingLimits;"
        "from pipeline.guardrails.spending import Spending;"
        "b = Budget(Spending(Path(sys.argv[1])), SpendingLimits(day_usd=1.0));"
        "keys = [f'{sys.argv[2]}-{i}' for i in range(60)];"
        "held = [key for key in keys if b.hold(key, 'ada', 0.01) and not b.settle(key, 'ada', 0.01, 0)];"
        "print(len(held))"
    )
    file = str(tmp_path / "spending.sqlite")
    processes = [
        subprocess.Popen([sys.executable, "-c", code, file, name], stdout=subprocess.PIPE) for name in "abc"
    ]
    granted = sum(int(process.communicate(timeout=60)[0]) for process in processes)
    budget = purse(tmp_path, lambda: datetime.now(UTC), day_usd=1.0)
    assert 99 <= granted <= 100
    assert budget.spending.totals(budget.day).usd == pytest.approx(granted / 100)


async def test_at_80_per_cent_the_cheap_model_answers_from_less() -> None:
    dear, cheap = Scripted(SUSPENDS, name="dear"), Scripted(SUSPENDS, name="cheap")
    pipeline = await with_budget(dear, cheap, day_usd=10.0, routes=RouteModels(cheap="cheap", strong="dear"))
    before, _ = await ask(pipeline, LID)
    pipeline.budget.settle("other", "eve", 8.5, 0)
    after, _ = await ask(pipeline, LID)
    assert isinstance(before, Answer)
    assert isinstance(after, Answer)
    assert (before.model, after.model) == ("dear", "cheap")
    routes = [recorded(pipeline, answer.turn_id).turn.route for answer in (before, after)]
    assert routes == [None, "cheap"]
    assert (after.outcome, after.notice) == ("answered", None)


async def test_what_the_dear_model_may_not_cost_the_cheap_one_may() -> None:
    dear, cheap = Scripted(SUSPENDS, name="dear"), Scripted(SUSPENDS, name="cheap")
    pipeline = await with_budget(dear, cheap, day_usd=0.05, routes=RouteModels(cheap="cheap", strong="dear"))
    little = {name: value / 100 for name, value in PRICE.items()}
    pipeline.gateway._prices = Prices({"dear": PRICE, "cheap": little})
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.model, answer.outcome, dear.prompts) == ("cheap", "answered", [])
    assert pipeline.budget.report().reached == ()


async def test_at_100_per_cent_the_passages_answer_at_no_cost() -> None:
    model = Scripted(SUSPENDS, name="dear")
    pipeline = await with_budget(model, day_usd=10.0)
    pipeline.budget.settle("other", "eve", 10.0, 0)
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice, answer.cost_usd) == ("degraded", notices.BUDGET, 0)
    assert "sleep" in answer.answer
    assert answer.citations
    turn = recorded(pipeline, answer.turn_id).turn
    assert (turn.error_class, turn.model, model.prompts) == ("budget", "extractive", [])


async def test_a_question_dearer_than_what_is_left_is_stopped_beforehand() -> None:
    model = Scripted(SUSPENDS, name="dear")
    pipeline = await with_budget(model, day_usd=0.05)
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice, model.prompts) == ("degraded", notices.BUDGET, [])


async def test_a_named_model_is_not_replaced_but_refused() -> None:
    pipeline = await with_budget(Scripted(SUSPENDS, name="dear"), day_usd=1.0)
    pipeline.budget.settle("other", "eve", 1.0, 0)
    failed, _ = await ask(pipeline, LID, model="dear")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == ("budget", notices.NO_BUDGET)
    assert recorded(pipeline, failed.turn_id or "").turn.error_class == "budget"
    free, _ = await ask(pipeline, LID, model="extractive")
    assert isinstance(free, Answer)
    assert free.outcome == "answered"


async def test_unpriced_turns_are_counted_and_never_free() -> None:
    pipeline = await with_budget(Scripted(SUSPENDS), priced=False, day_usd=1.0)
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.cost_usd) == ("answered", None)
    report = pipeline.budget.report()
    assert report.unpriced_turns == 1
    assert [row.level for row in report.reached] == ["unpriced"]


async def test_unpriced_models_can_be_refused() -> None:
    model = Scripted(SUSPENDS)
    pipeline = await with_budget(model, priced=False, day_usd=1.0, unpriced="refuse")
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice, model.prompts) == ("degraded", notices.UNPRICED, [])


async def test_without_a_paid_model_nothing_is_written() -> None:
    pipeline = await make_pipeline(budgets={"day_usd": 0.0})
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert answer.outcome == "answered"
    assert pipeline.budget.spending.totals(pipeline.budget.day).turns == 0
