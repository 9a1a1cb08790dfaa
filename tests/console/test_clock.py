"""Times in the visitor's zone, through the hours that come twice and the days that are left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import streamlit as st

from console.dashboard import clock, drawing
from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal

Look = Callable[[str | None], None]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Let the visitor's browser name a zone."""

    def choose(name: str | None) -> None:
        monkeypatch.setattr(type(st.context), "timezone", property(lambda _: name))

    return choose


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "said"),
    [
        ("Europe/Berlin", "2026-03-29T00:59:59", "29 Mar 01:59:59 CET"),
        ("Europe/Berlin", "2026-03-29T01:00:00", "29 Mar 03:00:00 CEST"),
        ("Europe/Berlin", "2026-10-25T00:30:00", "25 Oct 02:30:00 CEST"),
        ("Europe/Berlin", "2026-10-25T01:30:00", "25 Oct 02:30:00 CET"),
        ("America/New_York", "2026-11-01T05:30:00", "1 Nov 01:30:00 EDT"),
        ("America/New_York", "2026-11-01T06:30:00", "1 Nov 01:30:00 EST"),
        ("Asia/Kolkata", "2026-11-28T20:00:00", "29 Nov 01:30:00 IST"),
        ("Pacific/Apia", "2011-12-30T09:59:59", "29 Dec 23:59:59 -10"),
        ("Pacific/Apia", "2011-12-30T10:00:00", "31 Dec 00:00:00 +14"),
        ("Pacific/Apia", "2026-11-28T12:00:00", "29 Nov 01:00:00 +13"),
        ("UTC", "2026-11-28T12:00:00", "28 Nov 12:00:00 UTC"),
        (None, "2026-11-28T12:00:00", "28 Nov 12:00:00 UTC"),
        ("Atlantis/../../etc/passwd", "2026-11-28T12:00:00", "28 Nov 12:00:00 UTC"),
        ("No/Such\x00", "2026-11-28T12:00:00", "28 Nov 12:00:00 UTC"),
    ],
)
def test_a_moment_is_written_in_the_zone_of_the_browser(
    zone: str | None, at: str, said: str, look: Look
) -> None:
    look(zone)
    assert clock.plain(utc(at)) == said
    assert f'datetime="{at}Z"' in clock.moment(utc(at)) and "UTC" in clock.moment(utc(at))
    assert clock.plain(datetime.fromisoformat(at)) == said  # what is kept without a zone is UTC
    assert clock.plain(None) == clock.moment(None) == "—"


def test_the_head_of_a_column_names_the_place(look: Look) -> None:
    look("America/New_York")
    assert clock.head("Time") == "Time (New York)" and clock.head("At ") == "At (New York) "
    look(None)
    assert clock.head("Time") == "Time (UTC)"


HOURS = [utc("2026-10-24T20:00:00") + timedelta(hours=number) for number in range(10)]


def test_an_axis_never_goes_back_and_no_hour_is_lost(look: Look) -> None:
    look("Europe/Berlin")  # 02:00 to 03:00 comes twice in this night
    wall = clock.wall(HOURS)
    assert {later - earlier for earlier, later in pairwise(wall)} == {timedelta(hours=1)}
    assert wall[-1] == datetime.fromisoformat("2026-10-25T06:00")  # as the clock says now
    spring = [utc("2026-03-28T23:00:00") + timedelta(hours=number) for number in range(4)]
    assert [at.hour for at in clock.wall(spring)] == [0, 1, 3, 4]
    look("Asia/Kolkata")
    assert clock.wall(HOURS)[0] == datetime.fromisoformat("2026-10-25T01:30")
    assert clock.wall([]) == []


def test_days_are_days_of_utc_wherever_somebody_looks(look: Look) -> None:
    look("Pacific/Apia")
    days = [utc("2026-10-24T00:00:00") + timedelta(days=number) for number in range(3)]
    assert [at.day for at in clock.wall(days)] == [24, 25, 26]
    assert "<b>24 Oct</b>" in drawing.cost(days, {"m": [1.0, 2.0, 3.0]}, {})
    assert "<b>25 Oct 09:00</b>" in drawing.rates(HOURS[:2], [1.0, 0.9], [0.0, 0.1])


def test_pages_show_the_zone_of_the_browser(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    at = datetime.now(UTC) - timedelta(minutes=3)
    journal = Journal(tmp_path / "journal")
    journal.write(made := make_trace(started_at=at, door="chat"))
    journal.close()
    look("Asia/Kolkata")
    there = at + timedelta(hours=5, minutes=30)
    html = shown(page("turns"))
    assert "Time (Kolkata)" in html and f"{there:%H:%M:%S}</time>" in html and f"{at:%H:%M:%S} UTC" in html
    assert f"{there:%H:%M:%S} IST" in shown(page("turns", turn=made.turn.turn_id))
    assert "Last turn (Kolkata)" in shown(page("conversations"))
    assert f"{there:%H:%M:%S} IST" in shown(page("overview"))
