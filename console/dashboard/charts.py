"""The charts of the console as plotly figures; plotly is imported when the first one is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import streamlit as st

from console.dashboard import clock, markup

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 250


@dataclass(frozen=True, slots=True)
class PlottedRun:
    """A run by its quality, with the interval, and what a case of it cost."""

    mean: float
    ci_low: float | None
    ci_high: float | None
    cost_usd: float
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class PlottedMean:
    """The mean of a run with its interval; the text is HTML, escaped already."""

    at: datetime
    mean: float
    ci_low: float | None
    ci_high: float | None
    text: str


def _error(points: Sequence[PlottedRun | PlottedMean], width: int) -> dict[str, Any]:
    """Return plotly's error bars: how far the interval reaches above and below each mean."""
    highs = [None if point.ci_high is None else point.ci_high - point.mean for point in points]
    lows = [None if point.ci_low is None else point.mean - point.ci_low for point in points]
    bars = {"type": "data", "symmetric": False, "thickness": 1.2, "width": width}
    return {**bars, "array": highs, "arrayminus": lows}


def draw(figure: Figure, key: str, alt: str, named: Mapping[str, str] | None = None) -> None:
    """Put a figure on the page with words for screen readers; `named` is its legend, name to colour."""
    if named:
        markup.show(markup.legend(named), key=f"legend-{key}")
    st.plotly_chart(figure, key=key, alt=alt, config={"displayModeBar": False, "scrollZoom": False})


def quality_cost(points: Sequence[PlottedRun], metric: str) -> Figure:
    """Place each run by what a case cost and how well it scored, with the interval of its score."""
    from plotly.graph_objects import Scatter

    figure = _figure()
    most = max((point.cost_usd for point in points), default=0) or 1
    for place, point in enumerate(points):
        side = "left" if point.cost_usd > most / 2 else "right"
        height = "bottom" if place % 2 else "top"  # neighbours' names stay apart
        figure.add_trace(
            Scatter(
                x=[point.cost_usd],
                y=[point.mean],
                error_y=_error([point], 4),
                name=point.name,
                mode="markers+text",
                text=[f"  {point.name}  "],
                textposition=f"{height} {side}",
                cliponaxis=False,
                marker={"size": 11, "color": point.colour},
                customdata=[f"${point.cost_usd:.6f}"],
                hovertemplate="%{y:.3f} at %{customdata}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_layout(hovermode="closest")
    places, texts = _dollars(most)
    figure.update_xaxes(title="cost per case", range=[0, most * 1.1], tickvals=places, ticktext=texts)
    figure.update_yaxes(title=metric)
    if points:
        lows = [point.ci_low for point in points if point.ci_low is not None]
        highs = [point.ci_high for point in points if point.ci_high is not None]
        show_shares(figure, min(lows, default=0.0), max(highs, default=1.0), 0.1)
    return figure


def _dollars(most: float) -> tuple[list[float], list[str]]:
    """Return about five even places from 0 to `most`, at 1, 2 or 5 of a power of ten, and their texts."""
    digits = -math.floor(math.log10(most / 4))
    step = next(times for times in (1, 2, 5, 10) if times * 5 >= most * 10.0**digits) / 10.0**digits
    places = [step * place for place in range(int(most / step) + 1)]
    return places, [f"${at:,.{max(digits, 0)}f}" if at else "$0" for at in places]


def _figure() -> Figure:
    from plotly.graph_objects import Figure

    clear = "rgba(0,0,0,0)"
    figure = Figure()
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 12, "t": 10, "b": 8},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        hovermode="x unified",
        showlegend=False,
        dragmode=False,
    )
    figure.update_xaxes(showgrid=False, fixedrange=True, automargin=True, tickformatstops=_TICKS, nticks=7)
    figure.update_yaxes(fixedrange=True, automargin=True, zeroline=False, ticklabelstandoff=4)
    return figure


_TICKS = [
    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%-d %b"},
    {"dtickrange": [43_200_001, None], "value": "%-d %b"},
]


def history(
    points: Mapping[str, Sequence[PlottedMean]],
    colours: Mapping[str, str],
    changes: Mapping[datetime, str],
) -> Figure:
    """Draw one line a variant, a point with its interval a run, and a vertical line at each change."""
    from plotly.graph_objects import Scatter

    figure = _figure()
    for name, series in points.items():
        figure.add_trace(
            Scatter(
                x=[clock.on_wall(point.at) for point in series],
                y=[point.mean for point in series],
                error_y=_error(series, 3),
                name=name,
                mode="lines+markers",
                line={"color": colours[name], "width": 1.5},
                marker={"size": 8, "color": colours[name]},
                text=[point.text for point in series],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    _mark(figure, changes)
    figure.update_layout(hovermode="closest", height=HEIGHT + 70)
    return figure


def show_shares(figure: Figure, low: float, high: float, least: float) -> None:
    """Let the y axis show the shares from low to high and at least this much, within 0 to 1."""
    room = max((least - (high - low)) / 2, 0.05 * (high - low))
    low, high = low - room, high + room
    low, high = (low - (high - 1), 1.0) if high > 1 else (low, high)
    low, high = (0.0, high - low) if low < 0 else (low, high)
    margin = 0.04 * (high - low)
    figure.update_layout(yaxis_range=[low - margin, min(high, 1.0) + margin])


def _mark(figure: Figure, changes: Mapping[datetime, str]) -> None:
    """Draw the changes as dashed lines with a diamond at the foot that says on hover what changed."""
    from plotly.graph_objects import Scatter

    amber = "#f59e0b"
    moments = [clock.on_wall(at) for at in changes]
    for at in moments:
        figure.add_vline(x=at, line={"color": amber, "width": 1, "dash": "dash"}, layer="below")
    figure.add_trace(
        Scatter(
            x=moments,
            y=[0.02] * len(changes),
            yaxis="y2",
            mode="markers",
            name="change",
            marker={"size": 10, "symbol": "diamond", "color": amber},
            text=list(changes.values()),
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})
