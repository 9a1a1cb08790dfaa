"""Turns: find any turn by time, outcome, model, prompt, user, rating or words, and open it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import clock, data, exports, filters, markup, notices, palette
from console.dashboard.views import turn
from traces.queries.listing import Filter, TurnRow
from traces.records import Outcome

OUTCOMES: tuple[Outcome, ...] = (
    "answered",
    "no_context",
    "refused",
    "degraded",
    "cut",
    "abandoned",
    "failed",
)
RATINGS = ("up", "down", "none")
AN_ID = re.compile(r"[0-9a-f-]{8,36}", re.IGNORECASE)
SLOW_SECONDS = 3.0  # a full latency bar
EVER = datetime(2000, 1, 1, tzinfo=UTC)


def page() -> None:
    """Draw one turn when the address names it, else the list."""
    with notices.problems():
        turn_id = st.query_params.get("turn")
        if turn_id:
            turn.page(turn_id)
        else:
            _list()


def _list() -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Turns", anchor=False)
        inbox = markup.address("turns", rating="down", last="30d")
        markup.show(markup.link("▼ Thumbs-down inbox", inbox, "back"), key="inbox")
        range_name = filters.range_control("last")
    which, search = _filter(range_name)
    _open_named(search)
    _narrowed(which)
    chosen = st.session_state.get("p", 1)
    listing = data.read_listing(which, chosen)
    if not listing.rows and listing.matching and chosen > 1:
        listing = data.read_listing(which, 1)
    if listing.newest is None:
        notices.no_turns_yet(data.settings().server.port)
        return
    if not listing.matching:
        notices.note(
            "No turn matches",
            "Loosen a filter or choose a longer range; "
            f"the newest turn is from {clock.named(listing.newest)}.",
            key="no-match",
        )
        return
    st.session_state["turns_list"] = dict(st.query_params)
    markup.show(table(listing.rows, palette.model_colours(listing.models)), key="turns")
    _footer(which, listing)


def _filter(range_name: str) -> tuple[Filter, str]:
    """Draw the filters and return what they choose."""
    choices = data.choices(range_name)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        search = st.text_input(
            "Search",
            key="q",
            bind="query-params",
            placeholder="words of the question or answer, or a turn id",
            icon=":material/search:",
            max_chars=200,
            width=340,
        ).strip()
        chosen = Filter(
            since=EVER,
            until=EVER,  # set below
            outcome=_choice("Outcome", "outcome", list(OUTCOMES), width=150),
            model=_choice("Model", "model", choices.models, width=190),
            prompt=_choice("Prompt", "prompt", choices.prompts, width=140),
            rating=_choice("Rating", "rating", list(RATINGS), width=110),
            run_id=st.query_params.get("run"),
            text=search or None,
        )
        with st.popover("More", icon=":material/tune:"):
            return _more(chosen, range_name), search


def _more(chosen: Filter, range_name: str) -> Filter:
    """Draw the rarer filters and return all of them together with the time span."""
    window = filters.window(range_name, filters.door_control("via", labelled=True))
    since, until = _span(window.since, window.until)
    user = st.text_input("User", key="user", bind="query-params", max_chars=200)
    slower = st.number_input("Slower than, seconds", 0.0, step=0.5, key="slower", bind="query-params")
    return replace(
        chosen,
        since=since,
        until=until,
        doors=window.doors,
        user_id=user.strip() or None,
        min_seconds=slower or None,
        errors=st.toggle("Errors only", key="errors", bind="query-params"),
        missed=st.toggle("Retrieval found nothing", key="missed", bind="query-params"),
        unpriced=st.toggle("Unpriced only", key="unpriced", bind="query-params"),
    )


def _choice(label: str, key: str, options: list[str], width: int) -> str | None:
    """Return one of the options, or None for all; an option of the address stays even when unseen lately."""
    value = st.session_state.get(key) or st.query_params.get(key)
    if value and value not in options and key in ("model", "prompt"):
        options = [*options, value]
    return st.selectbox(
        label,
        options,
        index=None,
        key=key,
        bind="query-params",
        placeholder="all",
        width=width,
    )


def _span(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the time span of the address (an alert's link names one), else the range's."""
    try:
        return _moment("since"), _moment("until")
    except (KeyError, ValueError):
        return since, until


def _moment(name: str) -> datetime:
    """Return a time of the address; without a zone it is UTC. Raises KeyError or ValueError."""
    moment = datetime.fromisoformat(st.query_params[name])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _narrowed(which: Filter) -> None:
    """Say that the address narrows the list to a time span or an eval run, and offer the way out."""
    narrow: list[tuple[str, tuple[str, ...]]] = []
    if "since" in st.query_params and "until" in st.query_params:
        span = f"{clock.short(which.since)} to {clock.plain(which.until, '%d %b %H:%M')}"
        narrow.append((span, ("since", "until")))
    if which.run_id:
        narrow.append((f"eval run {format.short_id(which.run_id)}", ("run",)))
    parts: list[str] = []
    for label, names in narrow:
        others = {name: value for name, value in st.query_params.items() if name not in names}
        clear = markup.link("show all", markup.address("turns", **others))
        parts.append(f"{markup.chip(f'only {label}', '#6366f1')} {clear}")
    if parts:
        markup.show(" &nbsp; ".join(parts), key="narrowed")


def _open_named(search: str) -> None:
    """Open the turn whose id was pasted; say so when several begin or end with it."""
    if not AN_ID.fullmatch(search):
        return
    named = data.find_turns(search)
    if len(named) == 1:
        st.switch_page(st.session_state["pages"]["turns"], query_params={"turn": named[0]})
    elif named:
        links = " · ".join(markup.link(name, markup.address("turns", turn=name), "mono") for name in named)
        markup.show(f'<p class="quiet">Several turn ids begin or end with this: {links}</p>', key="named")


HEADS = (
    "Question",
    "Outcome",
    "Model and prompt",
    "First token ",
    "Latency ",
    "Cost, tokens ",
    "Rating",
)


def table(rows: list[TurnRow], colours: dict[str, str]) -> str:
    """Return the list of turns as a table; every row opens its turn."""
    return markup.table([clock.head("Time"), *HEADS], [_row(row, colours) for row in rows], "list cards")


def _row(row: TurnRow, colours: dict[str, str]) -> str:
    to = markup.address("turns", turn=row.turn_id)
    model = "—"
    if row.model:
        model = markup.dotted(format.model(row.model), colours.get(row.model, palette.NEUTRAL))
    priced = "unpriced" if row.cost_usd is None and row.attempts else format.usd(row.cost_usd)
    tokens = "—"
    if row.input_tokens is not None:
        tokens = f"{row.input_tokens + (row.output_tokens or 0):,}"
    return markup.row(
        [
            markup.cell(clock.moment(row.started_at) + markup.small(format.short_id(row.turn_id), "mono")),
            markup.cell(markup.link(row.question, to, "clip plain"), "text"),
            markup.cell(markup.outcome_chip(row.outcome, row.error_class)),
            markup.cell(model + markup.small(escape(row.prompt or "—"))),
            markup.cell(format.seconds(row.first_token_seconds), "right extra"),
            markup.cell(_latency(row.seconds), "right"),
            markup.cell(priced + markup.small(tokens), "right"),
            markup.cell(markup.rating(row.rating), "extra"),
        ],
        to,
    )


def _latency(seconds: float | None) -> str:
    filled = min((seconds or 0) / SLOW_SECONDS, 1)
    tone = palette.BAD if filled >= 1 else palette.NEUTRAL
    bar = f'<span class="bar"><i style="--c:{tone};width:{filled:.0%}"></i></span>'
    return f'{bar}<span class="num">{format.seconds(seconds)}</span>'


def _footer(which: Filter, listing: data.TurnPage) -> None:
    matching, pages = listing.matching, max(1, -(-listing.matching // data.PAGE_SIZE))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        number = f"the newest {matching:,} of more (the CSV has all)" if listing.more else f"{matching:,}"
        st.caption(f"{number} turn{'' if matching == 1 else 's'}, newest first", width="content")
        exports.button("turns", which)
        if pages > 1:
            st.pagination(pages, key="p", bind="query-params")
