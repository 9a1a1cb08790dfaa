"""The forecast: checked by hand, scaled, with and without caching, refused where nobody can know."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from evalsets.forecast import Assumed, TooLittle, Traffic, forecast_costs, project
from pipeline.models.prices import Prices
from traces.queries.costs import Calls

SWITCHES: tuple[dict[str, Any], ...] = ({}, {"scale": 2.0}, {"caching": "off"})
PRICES = Prices(
    {
        "local:a": {"input_per_million": 1.0, "output_per_million": 10.0, "cache_read_per_million": 0.1},
        "local:free": {"input_per_million": 0.0, "output_per_million": 0.0},
    }
)


def call(talk: int, turn: int, **columns: Any) -> Calls:
    row: dict[str, Any] = {
        "conversation_id": f"c{talk}",
        "turn_id": f"t{talk}-{turn}",
        "purpose": "answer",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 500,
        "cache_write_tokens": None,
        "cost_usd": 0.002,
        "unpriced": 0,
        "estimated": 0,
    }
    return Calls(**(row | columns))


TALKS = Traffic([call(talk, turn) for talk in range(20) for turn in range(2)])


def test_a_month_is_the_mean_conversation_times_their_number() -> None:
    found = {
        one.model: one for one in forecast_costs(TALKS, ["local:a", "local:x"], PRICES, conversations=1000)
    }
    each = 2 * (500 * 1.0 + 500 * 0.1 + 100 * 10.0) / 1e6
    assert found["local:a"].usd == pytest.approx(1000 * each)
    assert found["local:a"].low == pytest.approx(1000 * each)  # all conversations are alike
    assert found["as answered"].usd == pytest.approx(4.0)
    assert found["local:x"].usd is None


def test_longer_prompts_and_no_caching_cost_more() -> None:
    plain, longer, bare = (
        forecast_costs(TALKS, ["local:a"], PRICES, conversations=1000, **switch)[-1].usd or 0
        for switch in SWITCHES
    )
    assert longer - plain == pytest.approx(1000 * 2 * 550 / 1e6)
    assert bare - plain == pytest.approx(1000 * 2 * 450 / 1e6)


def test_the_interval_widens_with_unlike_conversations() -> None:
    rows = [call(talk, turn) for talk in range(30) for turn in range(1 + 9 * (talk % 2))]
    one = forecast_costs(Traffic(rows), ["local:a"], PRICES, conversations=1000)[-1]
    assert one.usd is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low < 0.85 * one.usd < one.usd < one.high


def test_what_nobody_can_know_is_refused() -> None:
    with pytest.raises(TooLittle, match="2 turns are recorded, a forecast needs 30"):
        forecast_costs(Traffic([call(1, 1), call(1, 2)]), ["local:a"], PRICES, conversations=1)
    uncached = Traffic([call(talk, 1, cache_read_tokens=0) for talk in range(40)])
    with pytest.raises(TooLittle, match="no cached token was seen"):
        forecast_costs(uncached, ["local:a"], PRICES, conversations=1, caching="on")


def test_a_few_unpriced_turns_widen_the_interval_and_many_leave_no_price() -> None:
    known = forecast_costs(TALKS, [], PRICES, conversations=100)[0]
    few = Traffic([*TALKS.rows, call(99, 1, cost_usd=None, unpriced=1)])
    one = forecast_costs(few, [], PRICES, conversations=100)[0]
    assert one.unpriced == 1
    assert one.low is not None and one.usd is not None and one.high is not None and known.low is not None
    assert one.low < one.usd < one.high
    assert one.low <= known.low
    many = Traffic([*TALKS.rows, *(call(100 + n, 1, cost_usd=None, unpriced=1) for n in range(500))])
    nobody = forecast_costs(many, [], PRICES, conversations=1)[0]
    assert (nobody.usd, nobody.unpriced) == (None, 500)


def test_assumed_conversations_need_no_traffic_and_have_no_interval() -> None:
    one = forecast_costs(Assumed(3, 2000, 200, 0.5), ["local:a"], PRICES, conversations=10)[0]
    assert one.usd == pytest.approx(10 * 3 * (1000 + 100 + 2000) / 1e6)
    assert (one.low, one.high) == (None, None)


def test_the_month_is_projected_from_whole_days() -> None:
    days = {date(2026, 11, day): 2.0 for day in range(1, 11)} | {date(2026, 11, 11): 0.5}
    end = project(days, date(2026, 11, 11), 19)
    assert (end.spent, end.usd, end.low, end.high) == pytest.approx((20.5, 58.5, 58.5, 58.5))
    assert project({date(2026, 11, 10): 1.0}, date(2026, 11, 11), 19).usd is None
