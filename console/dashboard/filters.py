"""The controls that choose what a page shows; each is bound to the address, so links keep it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from traces.queries.costs import last_days
from traces.queries.window import Window
from traces.records import ERRANDS, FOREIGN, PRODUCTION, TRIALS

RANGES = {
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
    "30d": (timedelta(days=30), timedelta(days=1)),
}
DOORS = {
    "production": PRODUCTION,
    "chat": ("chat",),
    "api": ("api",),
    "openai": ("openai",),
    "cli": ("cli",),
    "mcp": ("mcp",),
    "eval": ("eval",),
    "replay": ("replay",),
    "task": ("task",),
    "search": ("search",),
    "otlp": FOREIGN,
    "all": (*PRODUCTION, *TRIALS, *ERRANDS, *FOREIGN),
}
DOOR_HELP = (
    "Production is every turn a person or a program asked: chat, API, OpenAI protocol, MCP and command line. "
    "Turns of eval runs and replays, the tasks of chat front ends (titles, tags) and searches for passages "
    "alone are recorded too, and turns of other programs that send OpenTelemetry spans here (otlp), but "
    "never counted unless you choose them."
)


def range_control(key: str, default: str = "24h") -> str:
    """Return the chosen time range: 1h, 24h, 7d or 30d.

    Each page needs a key of its own: Streamlit drops a parameter that another page's control owns.
    """
    chosen = st.segmented_control(
        "Time range",
        list(RANGES),
        default=default,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or default


def door_control(key: str, *, labelled: bool = False) -> str:
    """Return which doors count: production, one of them, or all."""
    chosen = st.selectbox(
        "Traffic",
        list(DOORS),
        key=key,
        bind="query-params",
        help=DOOR_HELP if labelled else None,
        label_visibility="visible" if labelled else "collapsed",
        width="stretch" if labelled else 150,
    )
    return chosen or "production"


def head(title: str, via: str, last: str, default: str) -> tuple[str, str]:
    """Draw a page's title with its two choices, kept in the address by these names; return door and range."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(title, anchor=False)
        with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
            return door_control(via), range_control(last, default)


def window(range_name: str, door: str, now: datetime | None = None) -> Window:
    """Return the window of a range that ends now; it begins at a whole hour, 30 days at a UTC midnight."""
    until = now or datetime.now(UTC)
    if range_name == "30d":  # a step is a whole day, today included
        return last_days(until, 30, DOORS[door])
    window = Window(until - RANGES[range_name][0], until, DOORS[door])
    return Window(window.hours.since, until, window.doors) if window.long else window


def step(range_name: str) -> timedelta:
    """Return how long one point of a chart lasts."""
    return RANGES[range_name][1]
