"""Settings & audit: what is configured and from where, and who changed what."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.audit import named, read
from console.dashboard import clock, data, downloads, markup, notices, visitor, whose
from pipeline.configured import ConfiguredKey, configured
from pipeline.deeds import Deed

SOURCES = {"environment": "#6366f1", ".env": "#0891b2", "config.toml": "#64748b", "default": "#94a3b8"}
PARTS = ("Settings", "Audit")
MOST = 200  # lines drawn


def page() -> None:
    """Draw the configuration, or who changed what."""
    st.title("Settings & audit", anchor=False)
    with notices.problems():
        part = st.segmented_control(
            "Part", PARTS, default=PARTS[0], required=True, key="of", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        if part == "Audit":
            _audit()
        else:
            _settings(configured(data.settings()))


def _settings(entries: list[ConfiguredKey]) -> None:
    search = st.text_input(
        "Search", key="setting", bind="query-params", placeholder="part of a key", max_chars=100, width=300
    )
    seen = [setting for setting in entries if search.strip().lower() in setting.key.lower()]
    rows = [
        markup.row(
            [
                markup.cell(escape(setting.key), "mono"),
                markup.cell(escape(setting.value[:300]), "text"),
                markup.cell(markup.chip(setting.source, SOURCES[setting.source])),
            ]
        )
        for setting in seen
    ]
    markup.show(markup.table(["Key", "Value", "From"], rows), key="settings")
    st.caption(
        "Environment over .env over config.toml. Change one there and restart; keys and secrets are hidden, "
        "of addresses only the host is shown."
    )


def _audit() -> None:
    """Draw who changed what, the newest first, with a search in it."""
    audit = read(data.settings(), visitor.people())
    for trouble in audit.troubles:
        st.warning(notices.plain(trouble), icon=":material/warning:")
    if not audit.deeds:
        notices.note(
            "Nothing was changed yet",
            "Prompts, alert rules, mutes, users, keys, workspaces, evalsets, the gate, knowledge bases, "
            "erasures and breakers show here.",
            key="no-deeds",
        )
        return
    word = st.text_input(
        "Search", key="deed", bind="query-params", placeholder="a name, or what was done", max_chars=100,
        width=300,
    )  # fmt: skip
    several = len(whose.known()) > 1
    matching = [deed for deed in (named(row, several) for row in audit.deeds) if _says(deed, word)]
    now = datetime.now(UTC)
    rows = [
        markup.row(
            [
                markup.cell(clock.moment(deed.at) + markup.small(format.ago(deed.at, now))),
                markup.cell(escape(deed.who)),
                markup.cell(escape(deed.what), "text"),
                markup.cell(escape(deed.why or "—"), "text quiet"),
            ]
        )
        for deed in matching[:MOST]
    ]
    markup.show(markup.table([clock.head("When"), "Who", "What", "Why"], rows), key="deeds")
    if len(matching) > MOST:
        st.caption(f"The newest {MOST} of {len(matching):,}; the download holds all.")
    table = [{"when": deed.at, "who": deed.who, "what": deed.what, "why": deed.why} for deed in matching]
    downloads.button(table, "audit")


def _says(deed: Deed, word: str) -> bool:
    return word.strip().casefold() in f"{deed.who} {deed.what} {deed.why}".casefold()
