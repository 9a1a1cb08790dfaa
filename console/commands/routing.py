"""`answerdeck eval routing`: how often questions are sent to the wrong model."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console.commands.opened import pipeline_for
from console.commands.progress import bars, once_needed
from console.commands.screen import emit, table, wrong
from evalsets.cases import corpora
from evalsets.cases.cases import load_evalset
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
        cases = load_evalset(evalset)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    routed = asyncio.run(_route(cases, quiet=json))
    parts = [
        part for part in ("tune", "test") if any(part in (question.case.tags or ()) for question in routed)
    ]
    shares = [misroutes(routed, part) for part in (*parts, "all")]
    if json:
        emit(
            {
                "evalset": cases.name,
                "fingerprint": cases.fingerprint,
                "parts": [{**asdict(question), "rate": question.rate} for question in shares],
                "misrouted": [_case(question) for question in routed if question.wrong],
            }
        )
        return
    _print(shares, routed, show=show)


async def _route(cases: Any, *, quiet: bool) -> list[Routed]:
    pipeline = pipeline_for([Variant(model="extractive", only="retrieval")])
    try:
        with bars(quiet) as step:
            kb = await corpora.prepare(cases, pipeline.knowledge, once_needed(step, "Indexing its documents"))
            return await route(cases, pipeline, kb, step("Routing"))
    finally:
        await pipeline.close()


def _print(shares: list[Misroutes], routed: list[Routed], *, show: bool) -> None:
    columns = ("part", "n", "misrouted", "95 % interval", "simple to strong", "complex to cheap")
    rows = [
        (
            candidate.part,
            candidate.n,
            f"{candidate.rate:.1%}",
            f"{candidate.low:.1%} to {candidate.high:.1%}",
            f"{candidate.simple_to_strong} of {candidate.simple}",
            f"{candidate.complex_to_cheap} of {candidate.complex}",
        )
        for candidate in shares
    ]
    table(columns, rows)
    if show:
        print()
        wrong = (_case(question) for question in routed if question.wrong)
        table(("id", "label", "score", "reasons", "question"), (list(case.values()) for case in wrong))


def _case(question: Routed) -> dict[str, Any]:
    return {
        "id": question.case.case_id,
        "label": question.label,
        "score": question.complexity.score,
        "reasons": ", ".join(question.complexity.reasons),
        "question": question.case.question,
    }
