from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from console import format


@pytest.mark.parametrize(
    ("write", "value", "written"),
    [
        (format.seconds, None, "—"),
        (format.seconds, 0.0012, "1.2 ms"),
        (format.seconds, 0.655, "655 ms"),
        (format.seconds, 0.9996, "1.00 s"),
        (format.seconds, 2.75, "2.75 s"),
        (format.seconds, 185.4, "3 min 05 s"),
        (format.usd, None, "—"),
        (format.usd, 0, "$0"),
        (format.usd, 0.00001, "<$0.0001"),
        (format.usd, 0.0012, "$0.0012"),
        (format.usd, 12.341, "$12.34"),
        (format.usd, 12_341.5, "$12,341.50"),
        (format.count, None, "—"),
        (format.count, 9_999, "9,999"),
        (format.count, 23_312, "23.3K"),
        (format.count, 1_240_000, "1.2M"),
        (format.share, None, "—"),
        (format.share, 0.0, "0.0%"),
        (format.share, 0.0075, "0.75%"),
        (format.share, 0.923, "92.3%"),
        (format.share, 1.0, "100.0%"),
        (format.score, 0.8416, "0.842"),
        (format.model, "anthropic:claude-haiku-5-5", "claude-haiku-5-5"),
        (format.model, "extractive", "extractive"),
        (format.variant, "answer@v1 · openai:gpt-6-luna", "answer@v1 · gpt-6-luna"),
    ],
)
def test_numbers_are_written_as_people_read_them(write: Any, value: Any, written: str) -> None:
    assert write(value) == written


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 11, 23, 0, 35, 7, tzinfo=timezone(timedelta(hours=1)))
    assert format.moment(moment) == "22 Nov 23:35:07"
    assert format.minute(moment) == "22 Nov 23:35"
    assert format.moment(None) == "—"


def test_ago_uses_the_largest_unit() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert format.ago(now - timedelta(seconds=20), now) == "just now"
    assert format.ago(now - timedelta(minutes=61), now) == "1 h ago"
    assert format.ago(now - timedelta(days=9), now) == "9 d ago"


def test_rates_change_in_points_and_the_rest_in_percent() -> None:
    assert format.change(110, 100) == "+10.0%"
    assert format.change(20_000, 1) == "× 20,000"
    assert format.change(1.0, None) is None
    assert format.change(1.0, 0) is None
    assert format.points(0.914, 0.93) == "-1.6 pp"
    assert format.points(0.0082, 0.0075) == "+0.07 pp"
    assert format.points(None, 0.5) is None


def test_the_short_id_is_the_random_end() -> None:
    assert format.short_id("01a206c6-9651-7005-bf82-8b82c218c11c") == "c218c11c"


def test_one_thing_is_singular() -> None:
    assert [format.many(number, "row") for number in (0, 1, 2, 5_000)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "5,000 rows",
    ]
