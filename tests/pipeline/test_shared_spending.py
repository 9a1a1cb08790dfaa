"""Budgets over all machines: never overspent, true after the server was emptied, strict while it is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline import build
from pipeline.databases.redis_server import REST_SECONDS, RedisServer
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.shared_spending import SharedSpending
from pipeline.guardrails.spending import Spending
from pipeline.rehearsal.clock import Clock
from pipeline.settings import load_settings
from tests.databases import Sessions

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
CHILD = """
import sys
from pathlib import Path
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.shared_spending import SharedSpending
from pipeline.databases.redis_server import RedisServer

name = sys.argv[3]
budget = Budget(SharedSpending(Path(sys.argv[1]), RedisServer(sys.argv[2])), SpendingLimits(day_usd=1.0))
count = 0
for number in range(50):
    turn = f"{name}-{number}"
    if budget.hold(turn, name, 0.01):
        budget.settle(turn, name, 0.01, 0)
        count += 1
print(count)
"""


class Machines:
    """Machines with files of their own before one server."""

    def __init__(self, folder: Path, sessions: Sessions) -> None:
        self.sessions, self.clock, self.day = sessions, Clock(), NOON
        self._folder = folder
        self._budgets: list[Budget] = []

    def budget(self, name: str, **limits: Any) -> Budget:
        server = RedisServer(self.sessions.address, self.clock)
        spending = SharedSpending(self._folder / f"{name}.sqlite", server)
        self._budgets.append(Budget(spending, SpendingLimits(**limits), lambda: self.day))
        return self._budgets[-1]

    def close(self) -> None:
        for budget in self._budgets:
            budget.spending.close()


@pytest.fixture
def machines(tmp_path: Path, shared_sessions: Sessions) -> Iterator[Machines]:
    machines = Machines(tmp_path, shared_sessions)
    yield machines
    machines.close()


def spent(budget: Budget, period: str = "2026-11-30") -> float:
    return round(budget.spending.totals(period).usd, 6)


def test_what_one_machine_holds_another_cannot_spend(machines: Machines) -> None:
    one, other = (machines.budget(name, day_usd=1.0) for name in "ab")
    assert one.hold("t1", "ada", 0.7)
    assert not other.hold("t2", "eve", 0.4)
    one.settle("t1", "ada", 0.1, 0)
    assert other.hold("t2", "eve", 0.4)
    assert other.hold("t2", "eve", 0.4), "a second call of a turn holds more"
    assert not one.hold("t3", "ada", 0.2)
    other.settle("t2", "eve", 0.85, 1)
    assert [spent(budget) for budget in (one, other)] == [0.95, 0.95]
    assert one.saving("bob") == other.saving("bob") == "degrade"
    assert one.report().unpriced_turns == 1


def test_a_users_and_a_months_budget_are_of_all_machines(machines: Machines) -> None:
    one, other = (machines.budget(name, user_day_usd=0.5, month_usd=1.0) for name in "ab")
    one.settle("t1", "ada", 0.4, 0)
    assert not other.hold("t2", "ada", 0.2)
    assert other.hold("t3", "eve", 0.2)
    other.settle("t3", "eve", 0.2, 0)
    machines.day = NOON.replace(day=29)
    assert one.hold("t4", "ada", 0.3), "another day of the same month"
    assert not other.hold("t5", "bob", 0.2)
    one.settle("t4", "ada", 0.3, 0)
    assert spent(other, "2026-11") == 0.9
    machines.day = datetime(2026, 12, 1, tzinfo=UTC)
    assert other.hold("t6", "bob", 0.2)


def test_four_machines_at_once_spend_exactly_the_budget(tmp_path: Path, machines: Machines) -> None:
    command = [sys.executable, "-c", CHILD]
    children = [
        subprocess.Popen(
            [*command, str(tmp_path / f"{name}.sqlite"), machines.sessions.address, name],
            stdout=subprocess.PIPE,
        )
        for name in "abcd"
    ]
    granted = sum(int(child.communicate(timeout=60)[0]) for child in children)
    assert 99 <= granted <= 100
    machines.day = datetime.now(UTC)
    budget = machines.budget("e")
    assert budget.spending.totals(budget.day).turns == granted


def test_an_emptied_server_learns_the_sums_again_and_nothing_doubles(machines: Machines) -> None:
    one, other = (machines.budget(name, day_usd=1.0) for name in "ab")
    one.settle("t1", "ada", 0.5, 0)
    other.settle("t2", "eve", 0.3, 0)
    machines.sessions.kill()
    machines.sessions.start()
    machines.clock.now += REST_SECONDS
    assert not one.hold("warn", "ada", 0.6), "the first to ask brings its own sums"
    assert other.saving("eve") == "degrade"
    assert not one.hold("t3", "ada", 0.3)
    for budget in (one, other, one):
        budget.settle(f"again {id(budget)}", "ada", 0.0, 0)
    assert spent(one) == spent(other) == 0.8


def test_a_turn_that_ends_on_an_emptied_server_brings_back_what_others_spent(machines: Machines) -> None:
    one, other = (machines.budget(name, user_day_usd=0.7) for name in "ab")
    one.settle("t1", "ada", 0.6, 0)
    RedisServer(machines.sessions.address).ask(lambda client: client.flushall())
    one.settle("t2", "eve", 0.1, 0)
    assert not other.hold("t3", "ada", 0.2)
    assert not one.hold("t4", "ada", 0.2)


def test_while_it_is_gone_half_of_what_was_left_may_be_spent(machines: Machines) -> None:
    one, other = (machines.budget(name, day_usd=1.0) for name in "ab")
    other.settle("t1", "eve", 0.2, 0)
    one.settle("t2", "ada", 0.2, 0)
    machines.sessions.kill()
    assert not one.hold("t3", "ada", 0.4)
    assert one.hold("t3", "ada", 0.25)
    one.settle("t3", "ada", 0.25, 0)
    assert not one.hold("t4", "ada", 0.1)
    assert "kept by each machine alone" in str(one.report().trouble)
    machines.sessions.start()
    machines.clock.now += REST_SECONDS
    assert one.hold("t5", "ada", 0.1)
    one.settle("t5", "ada", 0.1, 0)
    other.settle("t6", "eve", 0.0, 0)
    assert spent(one) == spent(other) == 0.75
    assert one.report().trouble is None


def test_a_day_that_began_while_it_was_gone_starts_anew(machines: Machines) -> None:
    one = machines.budget("a", day_usd=1.0, month_usd=10.0)
    machines.budget("b").settle("t1", "eve", 0.9, 0)
    one.settle("t2", "ada", 0.1, 0)
    machines.sessions.kill()
    assert not one.hold("t3", "ada", 0.1)
    machines.day = datetime(2026, 11, 29, tzinfo=UTC)
    assert one.hold("t4", "ada", 0.5)
    assert not one.hold("t5", "ada", 0.1)


def test_what_a_killed_process_held_counts_as_spent_everywhere(machines: Machines) -> None:
    one, other = (machines.budget(name, day_usd=1.0) for name in "ab")
    assert one.hold("lost", "ada", 0.6)
    machines.day = NOON.replace(minute=11)
    assert not other.hold("next", "eve", 0.6)
    assert one.hold("after", "ada", 0.1)
    one.settle("after", "ada", 0.1, 0)
    assert spent(other) == 0.7
    assert other.hold("next", "eve", 0.3)


def test_a_level_is_reached_once_over_all_machines(machines: Machines) -> None:
    one, other = (machines.budget(name, day_usd=1.0) for name in "ab")
    one.settle("t1", "ada", 0.6, 0)
    assert not other.spending.reach("2026-11-30", "", "50%")
    assert [row.level for row in other.report().reached] == ["50%"]


def test_erasure_leaves_no_name_on_the_server(machines: Machines) -> None:
    machines.day = datetime.now(UTC)
    budget = machines.budget("a", user_day_usd=0.1)
    budget.settle("t1", "ada", 0.2, 0)
    budget.spending.forget("ada")
    names = RedisServer(machines.sessions.address).ask(lambda client: client.keys("*"))
    assert names
    assert not [name for name in names if "ada" in name]
    assert not budget.report().reached
    assert spent(budget, budget.day) == 0.2


def test_the_settings_choose_it(monkeypatch: pytest.MonkeyPatch, shared_sessions: Sessions) -> None:
    alone = build.spending(load_settings())
    monkeypatch.setenv("ANSWERDECK_SESSIONS", shared_sessions.address)
    together = build.spending(load_settings())
    assert (type(alone), type(together)) == (Spending, SharedSpending)
    for spending in (alone, together):
        spending.close()


def test_the_budget_of_evals_is_of_all_machines_and_apart_from_peoples(
    tmp_path: Path, shared_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_SESSIONS", shared_sessions.address)
    monkeypatch.setenv("ANSWERDECK_BUDGETS__EVAL_DAY_USD", "1.0")
    monkeypatch.setenv("ANSWERDECK_BUDGETS__DAY_USD", "1.0")
    settings = [load_settings(data_dir=tmp_path / name) for name in "ab"]
    trials, people = [build.trials(one) for one in settings], build.budget(settings[0])
    try:
        assert trials[0].hold("t1", "eval", 0.7)
        assert not trials[1].hold("t2", "eval", 0.4)
        assert people.hold("t3", "ada", 0.9)
    finally:
        for budget in (*trials, people):
            budget.spending.close()
