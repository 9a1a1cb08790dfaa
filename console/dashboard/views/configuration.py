"""Settings & audit: what is configured and from where, and who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import clock, data, downloads, markup, notices, releases
from pipeline import build
from pipeline.configured import Entry, configured
from traces.alerts import rules
from traces.errors import TracesError

SOURCES = {"environment": "#6366f1", ".env": "#0891b2", "config.toml": "#64748b", "default": "#94a3b8"}
PARTS = ("Settings", "Audit")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody changed."""

    at: datetime
    who: str
    what: str
    why: str


def page() -> None:
    """Draw the configuration, or who changed what."""
    st.title("Settings & audit", anchor=False)
    with notices.problems():
        part = st.segmented_control(
            "Part", PARTS, default=PARTS[0], required=True, key="of", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        if part == "Audit":
            _audit(deeds())
        else:
            _settings(configured(data.settings()))


def deeds() -> list[Deed]:
    """Return what was changed, the newest first: prompts, alert rules, breakers."""
    listed = [
        Deed(
            datetime.fromisoformat(change.at),
            change.actor,
            f"{change.action} {change.before} → {change.after}",
            change.reason or "",
        )
        for change in releases.changes()
    ]
    try:
        edits = rules.edits(data.settings().data_dir)
    except TracesError as error:
        raise data.Problem(f"The edits of the alert rules cannot be read: {error}", "Restore them.") from None
    listed += [
        Deed(edit.at, edit.by, f"alert rule {edit.key}: {edit.was} → {edit.now}", edit.reason)
        for edit in edits
    ]
    listed += [
        Deed(
            change.at, "the chat",
            f"breaker {change.name}: {change.old} → {change.new}", change.reason,
        )
        for change in build.breaker_changes(data.settings())
    ]  # fmt: skip
    return sorted(listed, key=lambda deed: deed.at, reverse=True)


def _settings(entries: list[Entry]) -> None:
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


def _audit(changes: list[Deed]) -> None:
    if not changes:
        notices.note(
            "Nothing was changed yet", "Promotions, alert rules and breakers show here.", key="no-deeds"
        )
        return
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
        for deed in changes[:200]
    ]
    markup.show(markup.table([clock.head("When"), "Who", "What", "Why"], rows), key="deeds")
    table = [{"when": deed.at, "who": deed.who, "what": deed.what, "why": deed.why} for deed in changes]
    downloads.button(table, "audit")
