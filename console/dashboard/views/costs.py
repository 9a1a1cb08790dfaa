"""Costs: what was spent, by whom and on what, what the month will cost, and what another would."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import cast

import streamlit as st

from console import format
from console.dashboard import cards, costs, data, drawing, markup, notices, palette, whose
from console.dashboard.costs import Costs
from console.dashboard.views.overview import WARNING
from evalsets.forecast import Caching, Forecast, TooLittle, forecast_costs
from pipeline.guardrails.budget import BudgetReport
from traces.queries.costs import DayCost

CONVERSATIONS = 1_000_000
PRICED = "at dated prices, cached tokens included."


def page() -> None:
    """Draw the page."""
    st.title("Costs", anchor=False)
    with notices.problems():
        seen = costs.read()
        if not seen.by_day:
            notices.note("No costs yet", "No model was called in the last 30 days.", key="no-costs")
            return
        budget = costs.budgets() if whose.everything() else BudgetReport(None)  # they are everybody's
        drawn = (
            _alerts() if whose.everything() else "",
            _tiles(seen, budget),
            cards.cards(
                [cards.card("Spending per day (UTC)", f"Model calls {PRICED}", _spending(seen, budget))]
            ),
            cards.cards(
                (
                    cards.card("Who spends most", "Production turns of the last 30 days.", _users(seen)),
                    cards.card("Models", "All doors, evals included, of the last 30 days.", _models(seen)),
                )
            ),
        )
        markup.show("".join(drawn), key="costs")
        _forecast(seen)


def _alerts() -> str:
    return "".join(
        f'<div class="alert apart" role="alert">{WARNING}<div>{escape(text)}</div></div>'
        for _, text in costs.alerts()
    )


def _tiles(seen: Costs, budget: BudgetReport) -> str:
    limits = {used.name: used.limit_usd for used in budget.budgets}
    end, number = seen.projection, seen.resolved.resolved
    usd = seen.resolved.cost_usd
    tiles = (
        ("Today (UTC)", format.usd(seen.today), _of(limits.get("day")), "Since midnight, all doors."),
        ("This month (UTC)", format.usd(end.spent), _of(limits.get("month")), "Calendar month, all doors."),
        (
            "Month's end",
            format.usd(end.usd),
            "too few days yet" if end.low is None else f"{format.usd(end.low)} to {format.usd(end.high)}",
            f"If the {seen.days_left} days left are like the {end.days} before today; "
            "95 % interval of resampled days.",
        ),
        (
            "Per conversation",
            format.usd(seen.per_conversation),
            "last 30 days",
            "Mean over conversations whose every call has a known price.",
        ),
        (
            "Per resolved answer",
            format.usd(usd / number if usd is not None and number else None),
            f"{format.count(number)} resolved",
            "All production costs over the answers that were given, grounded in the passages "
            "(0.5 or more) and not thumbed down.",
        ),
        (
            "Saved by caching",
            format.usd(seen.saved_usd),
            "last 30 days",
            "What cached prompt tokens would have cost without a cache, at today's prices, "
            "cache writes taken off.",
        ),
    )
    return cards.tiles(
        (
            cards.tile(title, value, definition, cards.note(below))
            for title, value, below, definition in tiles
        ),
        across=3,
    )


def _of(limit: float | None) -> str:
    return "no budget set" if limit is None else f"of {format.usd(limit)}"


def _spending(seen: Costs, budget: BudgetReport) -> str:
    place = {day: number for number, day in enumerate(seen.days)}
    names = [name for name in seen.models if any(row.model == name and row.cost_usd for row in seen.by_day)]
    if not names:
        return '<div class="none quiet">Nothing was spent.</div>'
    by_model: dict[str, list[float | None]] = {name: [0.0] * len(seen.days) for name in names}
    for row in seen.by_day:
        if row.model in by_model and row.day in place:
            by_model[row.model][place[row.day]] = row.cost_usd or 0.0
    times = [drawing.midnight(day) for day in seen.days]
    usd = next((used.limit_usd for used in budget.budgets if used.name == "day"), None)
    limit = None if usd is None else drawing.Limit(usd, f"day budget {format.usd(usd)}")
    return drawing.cost(times, by_model, palette.model_colours(seen.models), limit)


def _users(seen: Costs) -> str:
    rows = [
        markup.row(
            [
                markup.cell(escape(row.user_id)),
                markup.cell(format.usd(row.cost_usd), "right"),
                markup.cell(format.count(row.turns), "right"),
                markup.cell(format.count(row.unpriced), "right extra"),
            ]
        )
        for row in seen.users
    ]
    return markup.table(("User", "Cost ", "Turns ", "Unpriced "), rows)


def _cost(days: list[DayCost]) -> float | None:
    prices = [row.cost_usd for row in days if row.cost_usd is not None]
    return sum(prices) if prices else None


def _models(seen: Costs) -> str:
    by_model: dict[str, list[DayCost]] = {}
    for row in seen.by_day:
        by_model.setdefault(row.model, []).append(row)
    rows = []
    for name, days in sorted(by_model.items(), key=lambda pair: -(_cost(pair[1]) or 0.0)):
        price = format.usd(_cost(days))
        unpriced = sum(row.unpriced for row in days)
        if unpriced:
            where = markup.address("turns", unpriced="true", last="30d", via="all")
            price = markup.link(f"unpriced: {format.count(unpriced)} turns", where)
        tokens = sum(row.input_tokens or 0 for row in days)
        cached = sum(row.cache_read_tokens or 0 for row in days)
        share = format.share(cached / tokens) if tokens else format.MISSING
        rows.append(
            markup.row(
                [
                    markup.cell(escape(format.model(name))),
                    markup.cell(price, "right"),
                    markup.cell(format.count(sum(row.turns for row in days)), "right"),
                    markup.cell(share, "right extra"),
                ]
            )
        )
    return markup.table(("Model", "Cost ", "Turns ", "Cached "), rows)


@dataclass(frozen=True, slots=True)
class _Supposed:
    """A month that is supposed: how many conversations, how long its prompts, which models."""

    conversations: int
    scale: float
    caching: Caching
    models: list[str]


def _supposed() -> _Supposed:
    """Draw the switches of the forecast and return what they say."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        number = st.number_input(
            "Conversations a month",
            1,
            1_000_000_000,
            CONVERSATIONS,
            100_000,
            width=210,
            key="talks_a_month",
            bind="query-params",
        )
        scale = st.number_input(
            "Prompt tokens ×", 0.1, 20.0, 1.0, 0.1, width=150, key="prompt_times", bind="query-params"
        )
        caching = st.segmented_control(
            "Prompt caching",
            ["observed", "on", "off"],
            default="observed",
            required=True,
            key="caching",
            bind="query-params",
        )
        models = [name for name in data.known_models() if name != "extractive"]
        names = st.multiselect(
            "Models",
            models,
            default=models[:4],
            accept_new_options=True,
            width="stretch",
            key="priced",
            bind="query-params",
        )
    return _Supposed(int(number), scale, cast("Caching", caching or "observed"), names)


def _forecast(seen: Costs) -> None:
    with st.container(border=True):
        st.markdown("**Forecast of a month**", help="Real conversations at today's list prices: an estimate.")
        month = _supposed()
        basis = costs.traffic()
        try:
            forecasts = forecast_costs(
                basis,
                month.models,
                costs.prices(),
                conversations=month.conversations,
                scale=month.scale,
                caching=month.caching,
            )
        except TooLittle as error:
            st.info(str(error), icon=":material/hourglass_empty:")
            return
        markup.show(_rows(forecasts), key="forecast")
        means = basis.basis()
        st.caption(
            f"From {means.turns:,} turns of the last 30 days, {means.turns_per_conversation:.1f} a "
            f"conversation, {means.cached_share:.0%} of the input cached. The interval says how well the "
            "mean is known if traffic stays alike; other models count other tokens and answer at other "
            "lengths. The same with more switches: `answerdeck costs forecast`."
        )


def _rows(forecasts: list[Forecast]) -> str:
    rows = [
        markup.row(
            [
                markup.cell(escape(candidate.model)),
                markup.cell("unpriced" if candidate.usd is None else format.usd(candidate.usd), "right"),
                markup.cell(
                    format.MISSING
                    if candidate.low is None
                    else f"{format.usd(candidate.low)} to {format.usd(candidate.high)}",
                    "right",
                ),
                markup.cell(
                    format.MISSING
                    if candidate.per_conversation is None
                    else f"${candidate.per_conversation:.6f}",
                    "right extra",
                ),
            ]
        )
        for candidate in forecasts
    ]
    return markup.table(("Model", "A month ", "95 % interval ", "Per conversation "), rows)
