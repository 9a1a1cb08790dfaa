"""What a page says when it has nothing to show, or cannot: the reason and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from html import escape

import streamlit as st

from console.dashboard import clock, markup
from console.dashboard.data import Problem
from traces.ids import uuid7

_DIRECTIVE = re.compile(r":(?=[A-Za-z][\w/+-]*[:\\])")  # of `:material/bolt:` and `:red[…]`


@contextmanager
def problems() -> Iterator[None]:
    """Show a Problem met inside as a banner instead of the rest of the page."""
    try:
        yield
    except Problem as problem:
        st.error(f"**{plain(problem.what)}**\n\n{problem.next_step}", icon=":material/database_off:")
        st.button("Try again", key=f"again-{uuid7()[-8:]}", icon=":material/refresh:")  # two parts may fail


def done(problem: str | None, message: str) -> None:
    """After a change: say why it did not happen, or that it did and draw the page again."""
    if problem:
        st.error(problem)
        return
    st.toast(message, icon=":material/check:")
    st.rerun()


def no_turns_yet(port: int) -> None:
    """Say where to ask the first question."""
    address = f"http://127.0.0.1:{port}"
    link = f'<a href="{address}" target="_blank" rel="noopener">{address}</a>'
    note(
        "No turns yet",
        f"Open the chat at {link} and ask something; the turn is here within seconds.",
        key="no-turns",
    )


def none_in_range(newest: datetime, range_name: str, door: str) -> None:
    """Say that other turns exist, and when the newest was."""
    note(
        f"No {escape(door)} turns in the last {escape(range_name)}",
        f"The newest turn of any door is from {clock.named(newest)}. Choose a longer range or other traffic.",
        key="none-in-range",
    )


def note(title: str, html: str, key: str) -> None:
    """Show a quiet box with a title and one sentence of HTML."""
    markup.show(f'<div class="none"><h2>{escape(title)}</h2><p class="quiet">{html}</p></div>', key=key)


def plain(text: str) -> str:
    r"""Return the text with the signs of Markdown escaped; a word joiner parts Streamlit's `:icons:`."""
    for sign in "\\*_`[]<>$#":
        text = text.replace(sign, f"\\{sign}")
    return _DIRECTIVE.sub(":\u2060", text)
