"""Charts over time: what is drawn, what is left out, and what a hover says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from console.dashboard import drawing

NIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def times(count: int, **step: float) -> list[datetime]:
    return [NIGHT + timedelta(**step) * number for number in range(count)]


def axis(html: str) -> list[str]:
    """Return the texts below a chart."""
    return re.findall(r">([^<]+)", html.partition('<div class="times">')[2].replace("<br>", " "))


def test_a_gap_stays_a_gap_and_a_lone_step_is_a_dot() -> None:
    html = drawing.rates(times(6, hours=1), [0.5, 0.5, None, 0.5, None, None], [None] * 6)
    line, dot = re.findall(r'<path(?: class="alone")? stroke="#10b981" d="([^"]+)"', html)
    assert (line.count("M"), line.count("L")) == (1, 1)
    assert dot == "M600.0 509.4h0"
    assert html.count("hit rate 50.0%") == 3 and "error rate 0" not in html


def test_costs_are_stacked_below_the_limit_and_said_on_hover() -> None:
    by_model = {"openai:<b>": [1.0, 0.0], "local:llama": [2.0, None]}
    html = drawing.cost(
        times(2, days=1), by_model, {"openai:<b>": "#111"}, drawing.Limit(4.0, "day <budget>")
    )
    columns = re.findall(r'class="columns" fill="(#\w+)" d="M[\d.]+ ([\d.]+)V([\d.]+)h', html)
    assert columns == [("#111", "1000.0", "750.0"), ("#94a3b8", "750.0", "250.0")]
    assert 'class="limit" stroke="#ef4444" d="M0 0.0H' in html
    assert "day &lt;budget&gt;" in html and "<b>" not in html.replace("<b>20 Nov</b>", "").replace(
        "<b>21 Nov</b>", ""
    )
    assert "&lt;b&gt; $1.00" in html and "llama $2.00" in html


@pytest.mark.parametrize(
    ("most", "texts"),
    [
        (0.0, ["$0", "$0.2", "$0.4", "$0.6", "$0.8", "$1"]),
        (0.034, ["$0", "$0.01", "$0.02", "$0.03", "$0.04"]),
        (1234.0, ["$0", "$500", "$1,000", "$1,500"]),
    ],
)
def test_a_scale_ends_at_a_round_number_above_all(most: float, texts: list[str]) -> None:
    html = drawing.cost(times(1, days=1), {"m": [most]}, {})
    heights = html.partition('<div class="heights">')[2].partition("</div>")[0]
    assert re.findall(r">([^<]+)", heights) == texts


@pytest.mark.parametrize(
    ("moments", "texts"),
    [
        (times(60, minutes=1), ["00:00 20 Nov", "00:10", "00:20", "00:30", "00:40", "00:50"]),
        (times(25, hours=1), ["00:00 20 Nov", "06:00", "12:00", "18:00", "00:00 21 Nov"]),
        (times(28, hours=6), ["20 Nov", "21 Nov", "22 Nov", "23 Nov", "24 Nov", "25 Nov", "26 Nov"]),
        (times(30, days=1), ["23 Nov", "28 Nov", "3 Dec", "8 Dec", "13 Dec", "18 Dec"]),
        (times(29, days=1), ["23 Nov", "28 Nov", "3 Dec", "8 Dec", "13 Dec"]),  # 18 Dec would touch it
        (times(1, days=1), ["20 Nov"]),
        ([], []),
    ],
)
def test_the_axis_has_few_round_times(moments: list[datetime], texts: list[str]) -> None:
    html = drawing.latency(moments, [1.0] * len(moments), [2.0] * len(moments), [None] * len(moments), 10.0)
    assert axis(html) == texts
