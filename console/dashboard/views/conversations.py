"""Conversations: read them as the user saw them, with what came of each turn and what it cost."""

from __future__ import annotations

from dataclasses import asdict
from html import escape

import streamlit as st

from console import format
from console.dashboard import clock, data, downloads, exports, filters, markup, notices, people
from console.dashboard.views.turns import OUTCOMES
from traces.queries.conversations import Conversation, Said, Which


def page() -> None:
    """Draw one conversation when the address names it, else the list."""
    with notices.problems():
        conversation_id = st.query_params.get("conversation")
        if conversation_id:
            _one(conversation_id)
        else:
            _list()


def _list() -> None:
    door, range_name = filters.head("Conversations", "talk_via", "talk_last", "7d")
    which = _filter(range_name, door)
    listing = people.read_conversations(which, st.session_state.get("talks", 1))
    if listing.newest is None:
        notices.no_turns_yet(data.settings().server.port)
        return
    if not listing.rows:
        notices.note(
            "No conversation matches",
            "Loosen a filter or choose a longer range; "
            f"the newest turn is from {clock.named(listing.newest)}.",
            key="no-conversation",
        )
        return
    heads = [clock.head("Last turn"), "Began with", "Turns ", "Answered ", "Ended", "Rating", "Cost "]
    markup.show(markup.table(heads, [_row(row) for row in listing.rows], "list cards"), key="conversations")
    pages = max(1, -(-listing.matching // data.PAGE_SIZE))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            f"{format.many(listing.matching, 'conversation')}, the one that ended last first", width="content"
        )
        exports.button("conversations", which)
        if pages > 1:
            st.pagination(pages, key="talks", bind="query-params")


def _filter(range_name: str, door: str) -> Which:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = st.text_input(
            "Search",
            key="words",
            bind="query-params",
            placeholder="words of a question or answer",
            icon=":material/search:",
            max_chars=200,
            width=300,
        ).strip()
        user = st.text_input("User", key="who", bind="query-params", max_chars=200, width=180).strip()
        ending = st.selectbox(
            "Ended", OUTCOMES, index=None, key="ended", bind="query-params", placeholder="all", width=150
        )
        unhappy = st.toggle(
            "Unhappy only",
            key="unhappy",
            bind="query-params",
            help="Over without an answer to the last question, or with a thumb down.",
        )
    return Which(filters.window(range_name, door), user or None, ending, text or None, unhappy)


def _row(row: Conversation) -> str:
    to = markup.address("conversations", conversation=row.conversation_id)
    cost = format.usd(row.cost_usd)
    if row.unpriced:
        cost += markup.small(f"{row.unpriced} unpriced")
    return markup.row(
        [
            markup.cell(clock.moment(row.ended) + markup.small(escape(row.user_id))),
            markup.cell(markup.link(row.question, to, "clip plain"), "text"),
            markup.cell(f"{row.turns:,}", "right"),
            markup.cell(f"{row.answered:,}", "right"),
            markup.cell(markup.outcome_chip(row.outcome) if row.over else markup.chip("goes on", "#0ea5e9")),
            markup.cell(markup.rating(row.rating), "extra"),
            markup.cell(cost, "right"),
        ],
        to,
    )


def _one(conversation_id: str) -> None:
    turns = people.read_said(conversation_id)
    markup.show(markup.link("← Conversations", markup.address("conversations"), "back"), key="back")
    if not turns:
        notices.note(
            "No such conversation",
            f"Nothing is recorded of {escape(conversation_id)}; it may have been erased or its time is over.",
            key="gone",
        )
        return
    st.title("Conversation", anchor=False)
    priced = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
    facts = [
        ("Turns", f"{len(turns):,}"),
        ("Answered", f"{sum(turn.outcome == 'answered' for turn in turns):,}"),
        ("Ended", turns[-1].outcome.replace("_", " ")),
        (clock.head("Last turn"), clock.short(turns[-1].started_at)),
        ("Cost", format.usd(sum(priced)) if priced else "—"),
    ]
    markup.show(markup.facts(facts), key="facts")
    markup.show('<div class="talk">' + "".join(_turn(turn) for turn in turns) + "</div>", key="talk")
    downloads.button([asdict(turn) for turn in turns], "conversation")


def _turn(turn: Said) -> str:
    """Return a question and its answer, and below them what the user did not see."""
    answer = escape(turn.answer) if turn.answer else '<span class="quiet">No answer was shown.</span>'
    cost = "unpriced" if turn.cost_usd is None and turn.attempts else format.usd(turn.cost_usd)
    behind = " · ".join(
        [
            markup.outcome_chip(turn.outcome, turn.error_class),
            escape(format.model(turn.model or "no model")),
            format.seconds(turn.seconds),
            cost,
            *([markup.rating(turn.rating)] if turn.rating is not None else []),
            markup.link(clock.text(turn.started_at), markup.address("turns", turn=turn.turn_id)),
        ]
    )
    return (
        f'<div class="asked">{escape(turn.question)}</div><div class="told">{answer}</div>'
        f'<div class="behind quiet">{behind}</div>'
    )
