"""On the Retrieval page: what waits to be indexed, and what the index finds of what it should."""

from __future__ import annotations

from html import escape

import streamlit as st

from console import format
from console.dashboard import bases, downloads, markup, palette, whose
from pipeline.knowledge.standing import Status

HEADS = ["Knowledge base", "In force", "Documents ", "Waiting ", "Oldest waits ", "Failed ", "Canary"]


@whose.cached(ttl=30, max_entries=1, show_spinner="Looking at the knowledge bases …")
def read() -> list[Status]:
    """Return how each knowledge base stands; what is wrong with one is in its own words."""
    return bases.statuses()


def draw() -> None:
    """Draw the knowledge bases with their lag and canary; nothing where there is none yet."""
    standings = read()
    if not standings:
        return
    st.header("Lag and canary", anchor=False)
    markup.show(markup.table(HEADS, [_row(status) for status in standings]), key="standings")
    st.caption(
        "Lag: documents that wait to be indexed, and for how long the oldest of them. Canary: what "
        "the index finds of the nearest passages of questions whose nearest are known by comparing with all."
    )
    rows = [
        {"kb": status.kb, "version": status.version, "documents": status.documents, "waiting": status.pending,
         "lag_seconds": status.lag_seconds, "failed": len(status.failed), "canary": _canary(status)[0]}
        for status in standings
    ]  # fmt: skip
    downloads.button(rows, "lag-and-canary")


def _row(status: Status) -> str:
    text, colour = _canary(status)
    waits = format.seconds(status.lag_seconds) if status.pending else format.MISSING
    return markup.row(
        [
            markup.cell(f"<b>{escape(status.kb)}</b>"),
            markup.cell(escape(status.version or "—"), "mono"),
            markup.cell(f"{status.documents:,}", "right"),
            markup.cell(f"{status.pending:,}", "right"),
            markup.cell(waits, "right"),
            markup.cell(f"{len(status.failed):,}", "right"),
            markup.cell(f"{markup.dotted('', colour)}{escape(text)}", "text"),
        ],
        markup.address("knowledge", kb=status.kb),
    )


def _canary(status: Status) -> tuple[str, str]:
    """Return how well the index finds what is stored, in words, with its colour."""
    if status.problem:
        return status.problem, palette.BAD
    if status.index is not None:
        return status.index, palette.GOOD
    return "every passage is compared: nothing can be missed", palette.GOOD
