"""`answerdeck costs capacity`: what a chatbot of internet scale takes, and what gives way first."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, fields, replace
from typing import Annotated, Any

import typer

from console.commands.costs import DAYS, Json, basis_of
from console.commands.screen import emit, table, wrong
from console.format import usd
from evalsets.capacity import SIZES, CapacityPlan, PerTurn, Site, TooMany, plan
from evalsets.forecast import forecast_costs
from pipeline import build
from pipeline.configuration.sections import check_model
from pipeline.settings import Settings, load_settings

MODELS = ("anthropic:claude-haiku-5-5", "openai:gpt-6-luna")
MILLION = 1_000_000


def capacity(
    conversations: Annotated[
        list[int] | None, typer.Option(min=1, help="A month; several may be given.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model to price; several may be given.")] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="Traffic of so many days.")] = DAYS,
    assume: Annotated[
        str | None, typer.Option(help="Instead of traffic: turns=3,input=2000,output=200,cached_share=0.5")
    ] = None,
    per_turn: Annotated[
        str | None, typer.Option(help="Figures of your own: cpu_seconds=0.05,seconds=6")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, max=1024, help="Of one machine.")] = os.cpu_count() or 1,
    json: Json = False,
) -> None:
    """Play the busy hour of millions of conversations a month, and name what gives way first."""
    settings = load_settings()
    names = model or [name for name in (settings.models.primary,) if name != "extractive"] or list(MODELS)
    try:
        for name in names:
            check_model(name)
        basis = basis_of(assume, days)
        figures = _figures(per_turn)
        plans = [plan(basis, size, figures, _site(settings, cores)) for size in conversations or SIZES]
        million = forecast_costs(basis, names, build.prices(settings), conversations=MILLION)
    except (ValueError, TooMany) as error:
        raise wrong(str(error)) from None
    prices = {each.model: each.usd for each in million}
    if json:
        emit(
            {
                "plans": [asdict(each) | {"first": each.first and asdict(each.first)} for each in plans],
                "per_turn": asdict(figures),
                "basis": basis.basis().to_dict(),
                "usd_per_million_conversations": prices,
            }
        )
        return
    _show(plans, prices)


def _show(plans: list[CapacityPlan], prices: dict[str, float | None]) -> None:
    """Print a column per size."""
    lines: list[tuple[str, list[Any]]] = [
        ("turns a month", [f"{each.turns:,.0f}" for each in plans]),
        ("turns/s, busy hour", [f"{each.peak.mean:,.1f}" for each in plans]),
        ("turns/s, 99th percentile of its seconds", [f"{each.peak.second:,.0f}" for each in plans]),
        ("turns at once", [f"{each.peak.in_flight:,}" for each in plans]),
        ("tokens a minute, busiest", [f"{each.peak.tokens_minute:,.0f}" for each in plans]),
        ("tokens a month", [f"{each.tokens:,.0f}" for each in plans]),
        ("processes", [f"{each.processes:,}" for each in plans]),
        ("machines", [f"{each.machines:,}" for each in plans]),
        ("journal, 12 months kept", [_size(each.journal_bytes) for each in plans]),
        ("store, 12 months kept", [_size(each.store_bytes) for each in plans]),
    ]
    for name, each in prices.items():
        month = [None if each is None else usd(each * size.conversations / MILLION) for size in plans]
        lines.append((f"{name}, a month", month))
    lines.append(("gives way first", [each.first.name if each.first else "nothing" for each in plans]))
    lines.append(("at so many times what is there", [f"{each.limits[0].load:,.2f}" for each in plans]))
    lines.append(("switch", [each.first.switch if each.first else None for each in plans]))
    lines.append(("then", [_then(each) for each in plans]))
    heads = ("conversations a month", *(f"{each.conversations:,}" for each in plans))
    table(heads, ((name, *values) for name, values in lines))
    print("\nPlayed with random arrivals, from measured figures of a turn; --per-turn takes your own.")
    for name, each in prices.items():
        print(f"{name}: {'no known price' if each is None else usd(each)} per million conversations")


def _then(month: CapacityPlan) -> str | None:
    """Return what else is too small, the tightest first."""
    others = [
        f"{limit.name} ({limit.load:,.1f}): {limit.switch}" for limit in month.limits[1:] if limit.load > 1
    ]
    return "; ".join(others) or None


def _figures(text: str | None) -> PerTurn:
    """Return the measured figures, some replaced; raises ValueError."""
    figures = PerTurn()
    names = [each.name for each in fields(figures)]
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        if name.strip() not in names:
            raise ValueError(f"--per-turn {name!r} is unknown; it can be {', '.join(names)}")
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"--per-turn {name.strip()}={value!r} is no number") from None
        if not 0 < number < 1e12:
            raise ValueError(f"--per-turn {name.strip()}={value} must be above 0")
        figures = replace(figures, **{name.strip(): number})
    return figures


def _site(settings: Settings, cores: int) -> Site:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    provider = settings.models.primary.partition(":")[0]
    section = getattr(settings.models, provider, None)
    return Site(
        cores=cores,
        disk_bytes=float(shutil.disk_usage(folder).free),
        workers=settings.server.workers,
        running_turns=settings.limits.running_turns,
        payload_days=settings.traces.payload_days,
        tokens_per_minute=getattr(section, "tokens_per_minute", None),
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} PB"
