"""Settings & audit: what is configured and from where, and who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import data, downloads, markup, notices, releases
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
    found = [
        Deed(
            datetime.fromisoformat(one.at),
            one.actor,
            f"{one.action} {one.before} → {one.after}",
            one.reason or "",
        )
        for one in releases.changes()
    ]
    try:
        edits = rules.edits(data.settings().data_dir)
    except TracesError as error:
        raise data.Problem(f"The edits of the alert rules cannot be read: {error}", "Restore them.") from None
    found += [
        Deed(one.at, one.by, f"alert rule {one.key}: {one.was} → {one.now}", one.reason) for one in edits
    ]
    found += [
        Deed(
            datetime.fromisoformat(one["at"]), "the chat",
            f"breaker {one['name']}: {one['old']} → {one['new']}", one["reason"],
        )
        for one in build.breaker_changes(data.settings())
    ]  # fmt: skip
    return sorted(found, key=lambda deed: deed.at, reverse=True)


def _settings(entries: list[Entry]) -> None:
    search = st.text_input("Search", key="setting", placeholder="part of a key", max_chars=100, width=300)
    seen = [one for one in entries if search.strip().lower() in one.key.lower()]
    rows = [
        markup.row(
            [
                markup.cell(escape(one.key), "mono"),
                markup.cell(escape(one.value[:300]), "text"),
                markup.cell(markup.chip(one.source, SOURCES[one.source])),
            ]
        )
        for one in seen
    ]
    markup.show(markup.table(["Key", "Value", "From"], rows), key="settings")
    st.caption(
        "Environment over .env over config.toml. Change one there and restart; keys and secrets are hidden, "
        "of addresses only the host is shown."
    )


def _audit(found: list[Deed]) -> None:
    if not found:
        notices.note(
            "Nothing was changed yet", "Promotions, alert rules and breakers show here.", key="no-deeds"
        )
        return
    now = datetime.now(UTC)
    rows = [
        markup.row(
            [
                markup.cell(format.moment(one.at) + markup.small(format.ago(one.at, now))),
                markup.cell(escape(one.who)),
                markup.cell(escape(one.what), "text"),
                markup.cell(escape(one.why or "—"), "text quiet"),
            ]
        )
        for one in found[:200]
    ]
    markup.show(markup.table(["When (UTC)", "Who", "What", "Why"], rows), key="deeds")
    table = [{"when": one.at, "who": one.who, "what": one.what, "why": one.why} for one in found]
    downloads.button(table, "audit")
