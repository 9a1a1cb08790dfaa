"""The alerts watch made-up traffic: 40 incidents are seen and ended rightly, clean days stay quiet."""

from __future__ import annotations

import pytest

from tests.traces.alert_shapes import SHAPES, Played, clean, play
from traces.alerts.rules import shipped

LATEST_MINUTES = {"total": 15.0, "low traffic": 240.0, "creeping": 240.0, "night": 60.0, "none": 30.0}
JUDGED = [rule for rule in shipped().values() if rule.kind != "gauge"]


def table(rows: list[tuple[str, Played]]) -> str:
    """Write the incident table: what a reader of the closing note wants to see."""
    lines = [f"{'incident':34} {'seen after':>10} {'false over':>10} {'over after':>10}"]
    for name, one in rows:
        seen = "missed" if one.delay_minutes is None else f"{one.delay_minutes:.0f} min"
        ended = "never" if one.over_minutes is None else f"{one.over_minutes:.0f} min"
        lines.append(f"{name:34} {seen:>10} {one.false_recoveries:>10} {ended:>10}")
    return "\n".join(lines)


def latest(name: str) -> float:
    """Return within how many minutes an incident must be seen."""
    return max((limit for kind, limit in LATEST_MINUTES.items() if kind in name), default=180.0)


@pytest.mark.timeout(900)
def test_forty_incidents_are_seen_and_end_when_they_are_over(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(shape.name, play(shape, 100 + number)) for number, shape in enumerate(SHAPES)]
    with capsys.disabled():
        print(f"\n{table(rows)}")
    assert len(rows) == 40
    assert [name for name, one in rows if one.delay_minutes is None] == []
    assert [name for name, one in rows if one.false_recoveries] == []
    assert [name for name, one in rows if one.alarms_before] == []
    assert [name for name, one in rows if one.over_minutes is None] == []
    assert [name for name, one in rows if (one.delay_minutes or 0.0) > latest(name)] == []


@pytest.mark.timeout(900)
def test_thirty_clean_days_of_all_rules_have_at_most_an_alarm_a_week() -> None:
    alarms = {rule.key: clean(rule, 400, 30, every=6) for rule in JUDGED}
    assert sum(alarms.values()) <= 30 / 7


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turns_a_day", [60.0, 2400.0, 20_000.0])
def test_clean_days_stay_quiet_at_any_traffic(turns_a_day: float) -> None:
    alarms = {rule.key: clean(rule, 500, 60, turns_a_day) for rule in JUDGED}
    assert sum(alarms.values()) <= 60 / 7, alarms


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_other_seeds_are_seen_too() -> None:
    rows = [(shape.name, play(shape, seed * 100 + n)) for seed in (3, 5, 8) for n, shape in enumerate(SHAPES)]
    assert [name for name, one in rows if one.delay_minutes is None or one.false_recoveries] == []
