"""`answerdeck costs …`: what was spent, and what a month will cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import typer

from console.commands.screen import emit, table, wrong
from console.format import usd
from evalsets.forecast import Assumed, Basis, Caching, Forecast, Traffic, forecast_costs
from pipeline import build
from pipeline.configuration.sections import check_model
from pipeline.settings import load_settings
from traces.queries import costs
from traces.queries.costs import DayCost, calls
from traces.queries.overview import cost_per_conversation
from traces.queries.window import Window

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DAYS = 30


@dataclass(slots=True)
class ModelCost:
    """What a model cost over some days."""

    model: str
    cost_usd: float | None = None
    turns: int = 0
    unpriced: int = 0


def show(
    days: Annotated[int, typer.Option(min=1, max=365, help="So many days back.")] = DAYS, json: Json = False
) -> None:
    """Show spending by model, budgets, cost per conversation and per resolved answer."""
    settings, now = load_settings(), datetime.now(UTC)
    window = costs.last_days(now, days)
    with build.store(settings).read() as ledger:
        models = _by_model(costs.by_day(ledger, window))
        resolved = costs.resolved(ledger, window)
        each = cost_per_conversation(ledger, window).cost_usd
    budget = build.budget(settings).report()
    if json:
        emit(
            {
                "models": [asdict(row) for row in models],
                **asdict(resolved),
                "cost_per_conversation": each,
                "budget": budget.to_dict(),
            }
        )
        return
    table(
        ("model", "cost", "turns", "unpriced turns"),
        ((row.model, _usd(row.cost_usd), row.turns, row.unpriced) for row in models),
        f"The last {days} days",
    )
    dollars, number = resolved.cost_usd, resolved.resolved
    answer = dollars / number if dollars is not None and number else None
    print(f"\nper conversation {_usd(each)} · per resolved answer {_usd(answer)} ({number:,} resolved)")
    for used in budget.budgets:
        limit = "no budget" if used.limit_usd is None else f"of {_usd(used.limit_usd)}"
        print(f"{used.name} {used.period}: {_usd(used.spent_usd)} {limit}")
    for row in budget.reached:
        print(f"reached {row.level} of {row.period} by {row.who or 'everybody'} at {row.at}")


def forecast(
    conversations: Annotated[int, typer.Option(min=1, help="A month.")] = 1_000_000,
    model: Annotated[list[str] | None, typer.Option(help="Model to price; several may be given.")] = None,
    prompt_tokens_scale: Annotated[float, typer.Option(min=0.01, max=100, help="Longer prompts.")] = 1.0,
    caching: Annotated[str, typer.Option(help="observed, on or off.")] = "observed",
    days: Annotated[int, typer.Option(min=1, max=365, help="Traffic of so many days.")] = DAYS,
    assume: Annotated[
        str | None, typer.Option(help="Instead of traffic: turns=3,input=2000,output=200,cached_share=0.5")
    ] = None,
    json: Json = False,
) -> None:
    """Forecast a month's cost from real traffic, with its interval."""
    settings = load_settings()
    configured = (settings.models.primary, settings.models.fallback)
    names = model or [name for name in configured if name and name != "extractive"]
    try:
        for name in names:
            check_model(name)
        if caching not in ("observed", "on", "off"):
            raise ValueError(f"--caching {caching!r} is unknown; it can be observed, on or off")
        basis = basis_of(assume, days)
    except ValueError as error:
        raise wrong(str(error)) from None
    forecasts = forecast_costs(
        basis,
        names,
        build.prices(settings),
        conversations=conversations,
        scale=prompt_tokens_scale,
        caching=cast("Caching", caching),
    )
    means = basis.basis()
    if json:
        rows = [asdict(candidate) for candidate in forecasts]
        emit({"conversations": conversations, "basis": means.to_dict(), "caching": caching, "forecast": rows})
        return
    _print(forecasts, means, conversations)


def _print(forecasts: list[Forecast], means: Basis, conversations: int) -> None:
    rows = [
        (
            candidate.model,
            _forecast_usd(candidate),
            None if candidate.low is None else f"{_usd(candidate.low)} to {_usd(candidate.high)}",
            None if candidate.per_conversation is None else f"${candidate.per_conversation:.6f}",
            candidate.prices,
        )
        for candidate in forecasts
    ]
    columns = ("model", "a month", "95 % interval", "per conversation", "prices")
    table(columns, rows, f"{conversations:,} conversations a month")
    basis = f"{means.turns_per_conversation:.1f} turns a conversation; " + "; ".join(
        f"{purpose} {flow.input:,.0f} tokens in, {flow.output:,.0f} out a turn"
        for purpose, flow in means.tokens_per_turn.items()
    )
    rests = "Assumed" if means.assumed else f"From {means.turns:,} turns"
    print(f"\n{rests}: {basis}; {means.cached_share:.0%} of the input cached.")
    if not means.assumed:
        print("The interval says how well the mean is known if traffic stays alike. Prices are list prices:")
        print("an estimate, and other models count other tokens and answer at other lengths.")


def _forecast_usd(forecast_row: Forecast) -> str:
    if forecast_row.usd is None:
        return f"unpriced ({forecast_row.unpriced} turns)" if forecast_row.unpriced else "unpriced"
    return (
        f"{_usd(forecast_row.usd)} ({forecast_row.unpriced} unpriced turns at the mean)"
        if forecast_row.unpriced
        else _usd(forecast_row.usd)
    )


def basis_of(assume: str | None, days: int) -> Assumed | Traffic:
    """Return what was assumed, else the traffic of so many days; raises ValueError."""
    return _assumed(assume) if assume else _traffic(days)


def _traffic(days: int) -> Traffic:
    now = datetime.now(UTC)
    with build.store(load_settings()).read() as ledger:
        return Traffic(calls(ledger, Window(now - timedelta(days=days), now)))


def _assumed(text: str) -> Assumed:
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in ("turns", "input", "output", "cached_share"):
            raise ValueError(f"--assume {name!r} is unknown; it can be turns, input, output, cached_share")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"--assume {name.strip()}={value!r} is no number") from None
    assumption = Assumed(**values)
    if (
        min(assumption.turns, assumption.input, assumption.output) < 0
        or not 0 <= assumption.cached_share <= 1
    ):
        raise ValueError("--assume: numbers must not be negative, and cached_share is between 0 and 1")
    return assumption


def _by_model(days: list[DayCost]) -> list[ModelCost]:
    sums: dict[str, ModelCost] = {}
    for day in days:
        row = sums.setdefault(day.model, ModelCost(day.model))
        row.turns += day.turns
        row.unpriced += day.unpriced
        if day.cost_usd is not None:
            row.cost_usd = (row.cost_usd or 0.0) + day.cost_usd
    return sorted(sums.values(), key=lambda row: -(row.cost_usd or 0.0))


def _usd(value: float | None) -> str:
    return usd(value)
