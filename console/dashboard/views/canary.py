"""A canary on the Prompts page: begun with a share, watched beside the version in force, stopped."""

from __future__ import annotations

from datetime import datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import boundary, clock, intervals, markup, notices, releases
from console.dashboard.releases import ReleaseVersion
from evalsets.release.canary import LEAST
from traces.queries.versions import Live

WATCH_SECONDS = 10
DEFAULT_PERCENT, MOST_PERCENT = 10, 50
HEADS = [
    "Version",
    "Share ",
    "Turns ",
    "Groundedness ",
    "Thumbs down ",
    "Errors ",
    "Whole turn ",
    "Cost a turn ",
]


def draw(version: ReleaseVersion) -> None:
    """Draw the canary that runs, or the way to begin one with this version."""
    name = version.prompt.name
    canary = releases.force().standing(name).canary
    if canary is None:
        _begin(version)
        return
    st.fragment(boundary.guarded(_live, "canary"), run_every=WATCH_SECONDS)(name)
    if st.button(f"Stop the canary of {canary.label}", key=f"stop-{name}", icon=":material/stop:"):
        notices.done(releases.end_canary(name), "The canary is over")


def _begin(version: ReleaseVersion) -> None:
    label = version.prompt.label
    if version.state == "in force":
        st.caption(f"{label} answers everybody already; choose another version above to try it on a share.")
        return
    st.write(f"Answer a share of the conversations with {label}, the others with what is in force.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        percent = st.slider("Percent of the conversations", 1, MOST_PERCENT, DEFAULT_PERCENT, width=320)
        pressed = st.button("Start the canary", key=f"start-{label}", icon=":material/science:")
    st.caption(
        "No gate is asked. While `answerdeck up` runs it is taken back when errors, thumbs or groundedness "
        f"are worse beyond chance, from {LEAST} turns a side on. It ends when a version comes into force."
    )
    if pressed:
        notices.done(
            releases.begin_canary(label, percent / 100), f"{label} answers {percent} % of the conversations"
        )


def _live(name: str) -> None:
    """Draw both versions since the canary began; the whole page again when it was taken back."""
    with notices.problems():
        standing = releases.force().standing(name)
        if standing.canary is None:
            st.rerun()
            return
        canary = standing.canary
        live = releases.live_since(name, canary.at)
        sides = [(canary.label, canary.share), (standing.trail[-1][0], 1 - canary.share)]
        rows = [_row(label, share, live.get(label)) for label, share in sides]
        since = f"since {clock.named(datetime.fromisoformat(canary.at))}, with 95 % intervals"
        markup.show(markup.table(HEADS, rows), key=f"canary-{name}")
        st.caption(f"Turns that reached a prompt {since}. Drawn again every {WATCH_SECONDS} seconds.")


def _row(label: str, share: float, live: Live | None) -> str:
    cells = (
        ["—"] * 5
        if live is None
        else [
            intervals.mean(live.grounded_mean, live.grounded_sd, live.grounded_n, intervals.grounded),
            intervals.share(live.down, live.rated),
            intervals.share(live.errors, live.turns),
            intervals.mean(live.seconds_mean, live.seconds_sd, live.seconds_n, format.seconds),
            intervals.mean(live.cost_mean, live.cost_sd, live.cost_n, format.usd),
        ]
    )
    return markup.row(
        [
            markup.cell(f"<b>{escape(label)}</b>"),
            markup.cell(f"{share:.0%}", "right"),
            markup.cell(format.count(live.turns if live else 0), "right"),
            *(markup.cell(cell, "right") for cell in cells),
        ]
    )
