"""`answerdeck eval routing`: how often questions are sent to the wrong model."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console.commands.opened import pipeline_for
from console.commands.progress import bars
from console.commands.screen import emit, table, wrong
from evalsets.cases import corpora
from evalsets.cases.cases import load
from evalsets.cases.evalset import EvalsetError
from evalsets.metrics.routing import Misroutes, Routed, misroutes, route
from evalsets.runs.runner import Variant


def routing(
    evalset: Annotated[str, typer.Argument(help="Cases tagged simple or complex.")] = "routing",
    show: Annotated[bool, typer.Option(help="List the misrouted questions.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the misroute rate of the complexity classifier; calls no model."""
    try:
        cases = load(evalset)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    routed = asyncio.run(_route(cases, quiet=json))
    parts = [part for part in ("tune", "test") if any(part in (one.case.tags or ()) for one in routed)]
    found = [misroutes(routed, part) for part in (*parts, "all")]
    if json:
        emit(
            {
                "evalset": cases.name,
                "fingerprint": cases.fingerprint,
                "parts": [{**asdict(one), "rate": one.rate} for one in found],
                "misrouted": [_case(one) for one in routed if one.wrong],
            }
        )
        return
    _print(found, routed, show=show)


async def _route(cases: Any, *, quiet: bool) -> list[Routed]:
    pipeline = pipeline_for([Variant(model="extractive", only="retrieval")])
    try:
        with bars(quiet) as step:
            kb = await corpora.prepare(cases, pipeline.knowledge, step("Indexing its documents"))
            return await route(cases, pipeline, kb, step("Routing"))
    finally:
        await pipeline.close()


def _print(found: list[Misroutes], routed: list[Routed], *, show: bool) -> None:
    columns = ("part", "n", "misrouted", "95 % interval", "simple to strong", "complex to cheap")
    rows = [
        (
            one.part,
            one.n,
            f"{one.rate:.1%}",
            f"{one.low:.1%} to {one.high:.1%}",
            f"{one.simple_to_strong} of {one.simple}",
            f"{one.complex_to_cheap} of {one.complex}",
        )
        for one in found
    ]
    table(columns, rows)
    if show:
        print()
        wrong = (_case(one) for one in routed if one.wrong)
        table(("id", "label", "score", "reasons", "question"), (list(case.values()) for case in wrong))


def _case(one: Routed) -> dict[str, Any]:
    return {
        "id": one.case.case_id,
        "label": one.label,
        "score": one.found.score,
        "reasons": ", ".join(one.found.reasons),
        "question": one.case.question,
    }
