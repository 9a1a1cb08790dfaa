"""Models & prompts: versions and models side by side on live traffic, with intervals."""

from __future__ import annotations

from dataclasses import asdict
from html import escape

import streamlit as st

from console import format
from console.dashboard import data, downloads, filters, intervals, markup, notices, whose
from traces.queries.sides import LiveSide, sides

HEADS = ["Prompt and model", "Turns ", "Groundedness ", "Thumbs up ", "Errors ", "Retrieval hit ",
         "Whole turn ", "p95 ", "Cost a turn "]  # fmt: skip
MOST = 30


def page() -> None:
    """Draw a row for each pair of prompt version and model."""
    door, range_name = filters.head("Models & prompts", "sides_via", "sides_range", "30d")
    with notices.problems():
        traffic = read(range_name, door)
        if not traffic:
            notices.note(
                "No turns reached a model here",
                "Choose a longer range or other traffic; turns refused before a model are not counted.",
                key="no-sides",
            )
            return
        markup.show(markup.table(HEADS, [_row(side, range_name) for side in traffic[:MOST]]), key="sides")
        st.caption(
            "Means and shares with 95 % intervals. People were not assigned by chance, unless by a canary: "
            "a difference here may come from what was asked. Evals compare on the same questions."
        )
        downloads.button([asdict(side) for side in traffic], f"models-and-prompts-{range_name}")


@whose.cached(ttl=data.FRESH_SECONDS, max_entries=20, show_spinner=False)
def read(range_name: str, door: str) -> list[LiveSide]:
    """Return the pairs of a range, the busiest first."""
    with data.ledger() as opened:
        return sides(opened, filters.window(range_name, door))


def _row(side: LiveSide, range_name: str) -> str:
    to = markup.address("turns", prompt=side.prompt, model=side.model, last=range_name)
    cells = [
        format.count(side.turns),
        intervals.mean(side.grounded_mean, side.grounded_sd, side.grounded_n, intervals.grounded),
        intervals.share(side.up, side.rated),
        intervals.share(side.errors, side.turns),
        intervals.share(side.hits, side.searched),
        intervals.mean(side.seconds_mean, side.seconds_sd, side.seconds_n, format.seconds),
        format.seconds(side.seconds_p95),
        intervals.mean(side.cost_mean, side.cost_sd, side.cost_n, format.usd),
    ]
    if side.cost_n < side.turns:
        cells[-1] += markup.small(f"{side.turns - side.cost_n:,} unpriced")
    name = f"{markup.link(side.prompt, to)}{markup.small(escape(side.model))}"
    return markup.row([markup.cell(name), *(markup.cell(cell, "right") for cell in cells)], to)
