"""Overview: is it used, is it fast, is it good, what does it cost, and what went wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit, urlunsplit

import streamlit as st

from console import alerts, format
from console.dashboard import (
    boundary,
    cards,
    clock,
    costs,
    data,
    drawing,
    filters,
    markup,
    notices,
    palette,
    whose,
)
from console.dashboard.data import Overview
from console.dashboard.tiles import TILES
from traces.alerts.rules import concerns
from traces.alerts.standing import Standing
from traces.errors import TracesError

LIVE_SECONDS = 10
WARNING = (
    '<svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 3 2 20h20Z"/>'
    '<path d="M12 10v4M12 17.5v.1"/></svg>'
)


def page() -> None:
    """Draw the page, and draw it again every ten seconds when it is live."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Overview", anchor=False)
        with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
            door = filters.door_control("door")
            range_name = filters.range_control("range")
            live = st.toggle("Live", key="live", bind="query-params", help="Read again every ten seconds.")
    st.fragment(boundary.guarded(body, "overview"), run_every=LIVE_SECONDS if live else None)(
        range_name, door
    )


def body(range_name: str, door: str) -> None:
    """Draw what the range and the door select."""
    with notices.problems():
        seen = data.read_overview(range_name, door)
        if seen.newest is None:
            notices.no_turns_yet(data.settings().server.port)
            return
        for note in seen.notes:
            st.warning(note, icon=":material/hourglass_top:")
        _alerts()
        if not seen.now.turns:
            notices.none_in_range(seen.newest, range_name, door)
            return
        parts = _tiles(seen, range_name), _caption(seen, range_name, door), _charts(seen, range_name, door)
        markup.show("".join(parts), key="board")


def _alerts() -> None:
    """Draw what fires by the rules of the Alerts page; nothing here judges for itself."""
    open_alerts = firing()
    lines = [_sentence(standing) for standing in open_alerts]
    budgets = costs.alerts() if whose.everything() else []  # they are about all workspaces
    lines += [f"{escape(text)} {markup.link('Open Costs', '/costs')}" for _, text in budgets]
    if lines:
        html = "".join(f'<div class="alert" role="alert">{WARNING}<div>{line}</div></div>' for line in lines)
        markup.show(html, key="alerts")


def firing() -> list[Standing]:
    """Return the alerts that fire, those that began last first; muted ones are left to their page."""
    try:
        book = alerts.standing(data.settings())
    except TracesError as error:
        what = f"The state of the alerts cannot be read: {error}"
        raise data.Problem(what, "Look at the Alerts page.") from None
    now = datetime.now(UTC)
    open_alerts = [
        standing
        for standing in book.standings.values()
        if standing.state == "firing"
        and not book.muted(standing, now)
        and concerns(standing.rule, whose.seen())
    ]
    return sorted(open_alerts, key=lambda result: result.began or now, reverse=True)


def _sentence(standing: Standing) -> str:
    """Return what fires in the words of the alert, since when, its likely cause, and the way to its turns."""
    since = f" Since {clock.named(standing.began)}." if standing.began else ""
    cause = f" {escape(standing.cause)}" if standing.cause else ""
    turns = markup.link("Open the turns", inside(standing.link)) + " · " if standing.link else ""
    alerts = markup.link("Alerts", "/alerts")
    return f"<b>{escape(standing.text or standing.rule)}</b>{since}{cause} {turns}{alerts}"


def inside(link: str) -> str:
    """Return the address of a link within this console, wherever it is served."""
    parts = urlsplit(link)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def _tiles(seen: Overview, range_name: str) -> str:
    """Return the facts, each with its change and its line."""
    compared = bool(seen.before.turns)
    drawn: list[str] = []
    for tile in TILES:
        now = getattr(seen.now, tile.column)
        before = getattr(seen.before, tile.column) if compared else None
        definition = f"{tile.definition}\n\nPrevious {range_name}: {tile.write(before)}."
        line = [value for value in seen.column(tile.column) if value is not None]
        changed = cards.change(*tile.delta(now, before))
        drawn.append(cards.tile(tile.title, tile.write(now), definition, changed, line))
    return cards.tiles(drawn, across=4)


def _caption(seen: Overview, range_name: str, door: str) -> str:
    parts = [f"Changes are against the previous {range_name}"]
    if not seen.before.turns:
        parts = [f"No turns in the previous {range_name} to compare with"]
    parts.append(f"data up to {clock.plain(seen.newest)}")
    if seen.step >= clock.DAY:
        parts.append("days are those of UTC")
    if seen.now.cost_usd is not None:
        parts.append(f"{format.usd(seen.now.cost_usd)} in all")
    if seen.now.rated:
        parts.append(f"{format.count(seen.now.rated)} ratings")
    line = f'<span class="quiet small">{escape(" · ".join(parts))}</span>'
    if seen.now.unpriced:
        line += f' <span class="quiet">·</span> {_unpriced(seen, range_name, door)}'
    return f'<p class="line-of-words">{line}</p>'


def _unpriced(seen: Overview, range_name: str, door: str) -> str:
    models = ", ".join(sorted({format.model(row.model) for row in seen.cost if row.unpriced}))
    where = markup.address("turns", unpriced="true", last=range_name, via=door)
    return markup.link(f"unpriced: {format.count(seen.now.unpriced)} turns ({models})", where)


def _charts(seen: Overview, range_name: str, door: str) -> str:
    p50, p95, p99 = (seen.column(f"latency_{name}") for name in ("p50", "p95", "p99"))
    objective = data.settings().alerts.turn_seconds
    drawn = (
        (
            "Latency percentiles",
            "Whole turn, by the time it began.",
            drawing.latency(seen.times, p50, p95, p99, objective),
        ),
        ("Cost by model", "Model calls at dated prices, cached tokens included.", _cost(seen)),
        (
            "Retrieval hit rate and errors",
            "Share of turns; see the tiles for the definitions.",
            drawing.rates(seen.times, seen.column("hit_rate"), seen.column("error_rate")),
        ),
        ("Outcomes", "How the turns ended; each bar opens its turns.", _outcomes(seen, range_name, door)),
    )
    return cards.cards(cards.card(*parts) for parts in drawn)


def _outcomes(seen: Overview, range_name: str, door: str) -> str:
    """Return a bar for each outcome, with count and share; it links to its turns."""
    most, total = max(seen.outcomes.values()), sum(seen.outcomes.values())
    bars = [
        markup.bar(
            name.replace("_", " "),
            number / most,
            f"{format.count(number)} · {format.share(number / total)}",
            palette.OUTCOMES.get(name, palette.NEUTRAL),
            markup.address("turns", outcome=name, last=range_name, via=door),
        )
        for name, number in seen.outcomes.items()
    ]
    return f'<div class="bars">{"".join(bars)}</div>'


def _cost(seen: Overview) -> str:
    priced = [row for row in seen.cost if row.cost_usd is not None]
    unpriced = sorted({row.model for row in seen.cost if row.unpriced})
    names = [model for model in seen.models if any(row.model == model for row in priced)]
    if not any(row.cost_usd for row in priced):
        return _free(names, unpriced)
    by_model: dict[str, list[float | None]] = {name: [0.0] * len(seen.times) for name in names}
    for row in priced:
        by_model[row.model][row.step] = row.cost_usd
    return drawing.cost(seen.times, by_model, palette.model_colours(seen.models))


def _free(free: list[str], unpriced: list[str]) -> str:
    lines: list[str] = []
    if free:
        lines.append(f"Nothing was spent: {', '.join(free)} costs nothing per call.")
    if unpriced:
        lines.append(f"No known price: {', '.join(unpriced)}.")
    text = " ".join(lines) or "No model was called."
    return f'<div class="none quiet" style="margin-top:18px">{escape(text)}</div>'
