"""Asks an evalset through variants: its documents indexed, its price agreed to, its progress shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from console.commands.consent import agree
from console.commands.crew import crew
from console.commands.opened import pipeline_for, primary_of
from console.commands.progress import bars, counting, once_needed
from console.commands.screen import emit, wrong
from evalsets.cases import corpora
from evalsets.cases.evalset import Evalset
from evalsets.release.release import Agree, Missing
from evalsets.runs.answer_cache import remember
from evalsets.runs.elsewhere import Elsewhere
from evalsets.runs.estimate import Estimate, estimate
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Askable, Plan, Side, Variant, run_together
from evalsets.runs.warm import warm
from pipeline import build
from pipeline.knowledge.standing import Status
from pipeline.settings import Settings, load
from pipeline.turn import Pipeline
from pipeline.workers import Workers


async def ask(
    cases: Evalset,
    variants: Sequence[Variant],
    plan: Plan,
    *,
    cache: bool,
    yes: bool,
    quiet: bool,
    retrieval: Mapping[str, Any] | None = None,
    on: str | None = None,
) -> list[Outcome]:
    """Run the cases as planned, the variants side by side; return what came of each run.

    Ends the command without consent.
    """
    with ExitStack() as stack:
        helpers = crew(on, stack)
        return await _ask(cases, variants, plan, retrieval, helpers, cache=cache, yes=yes, quiet=quiet)


async def _ask(
    cases: Evalset,
    variants: Sequence[Variant],
    plan: Plan,
    retrieval: Mapping[str, Any] | None,
    helpers: Workers | None,
    *,
    cache: bool,
    yes: bool,
    quiet: bool,
) -> list[Outcome]:
    settings = load(**({"retrieval": retrieval} if retrieval else {}))
    pipeline = pipeline_for(variants, retrieval)
    if cache:
        remember(pipeline, settings.data_dir)
    try:
        with bars(quiet) as step:
            indexing = once_needed(step, "Indexing its documents")
            kb = await corpora.prepare(cases, pipeline.knowledge, indexing)
        standing = await pipeline.knowledge.status(kb or pipeline.rules.kb)
        if standing.version is None:
            raise wrong(_empty(standing))
        sides = [
            Side(variant, estimate_usd=await _agreed(cases, variant, plan, pipeline, settings, kb, yes=yes))
            for variant in variants
        ]
        search = settings.retrieval.model_dump()
        shaped = replace(plan.settings, retrieval=search, contents=standing.contents)
        plan = replace(plan, settings=shaped)
        models = [model for variant in variants if (model := variant.pinned(pipeline).model)]
        await warm(pipeline, kb, cases.cases[0].question, models)
        chatbot: Askable = pipeline
        if helpers is not None:
            plan = replace(plan, concurrency=helpers.width)
            chatbot = Elsewhere(pipeline, helpers, _changed(variants, retrieval), cache=cache)
        with bars(quiet) as step:
            return await run_together(cases, sides, chatbot, plan, kb=kb, progress=counting(step("Asking")))
    finally:
        await pipeline.close()


def _changed(variants: Sequence[Variant], retrieval: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what workers change of the configuration, as `pipeline_for` does here."""
    primary = primary_of(variants)
    changed: dict[str, Any] = {"models": {"primary": primary}} if primary else {}
    return changed | ({"retrieval": dict(retrieval)} if retrieval else {})


def _empty(standing: Status) -> str:
    """Say why nothing can be asked of a knowledge base, and what to do."""
    return f"nothing can be searched: {standing.problem}; `answerdeck up` brings a sample to try"


def expect(
    cases: Evalset,
    variants: Sequence[Variant],
    plan: Plan,
    retrieval: Mapping[str, Any] | None = None,
    *,
    json: bool,
) -> None:
    """Say what runs would take, and ask nothing."""
    rows = asyncio.run(_expected(cases, variants, plan, retrieval))
    if json:
        emit(
            {
                "estimates": [
                    {"variant": label, **asdict(expected), "text": str(expected)} for label, expected in rows
                ]
            }
        )
        return
    for label, row in rows:
        print(f"{label}: {row}")


async def _expected(
    cases: Evalset, variants: Sequence[Variant], plan: Plan, retrieval: Mapping[str, Any] | None
) -> list[tuple[str, Estimate]]:
    pipeline = pipeline_for(variants, retrieval)
    prices, kb = build.prices(load()), cases.kb
    few = cases.some(plan.limit, plan.seed)
    try:
        return [
            (
                variant.pinned(pipeline).label,
                await estimate(few, variant, pipeline, prices, kb=kb, repetitions=plan.repetitions),
            )
            for variant in variants
        ]
    finally:
        await pipeline.close()


async def _agreed(
    cases: Evalset,
    variant: Variant,
    plan: Plan,
    pipeline: Pipeline,
    settings: Settings,
    kb: str | None,
    *,
    yes: bool,
) -> float | None:
    """Return the dollars a run is expected to take, once they are agreed to."""
    expected = await estimate(
        cases.some(plan.limit, plan.seed),
        variant,
        pipeline,
        build.prices(settings),
        kb=kb,
        repetitions=plan.repetitions,
    )
    if not expected.calls:
        return 0.0
    capped = f"; stops at ${plan.budget_usd:g}" if plan.budget_usd is not None else ""
    agree(f"{variant.pinned(pipeline).label}: {expected}{capped}", expected.most_usd, yes=yes)
    return expected.usd


def agreeing(pipeline: Pipeline, settings: Settings, *, yes: bool) -> Agree:
    """Return what asks for consent to the runs that a gate is missing."""
    prices = build.prices(settings)

    async def agreed(missing: Sequence[Missing]) -> None:
        for lack in missing:
            variant = Variant(prompt=lack.facts.prompt, model=lack.facts.model)
            expected = await estimate(lack.evalset, variant, pipeline, prices, kb=lack.kb, repetitions=1)
            if expected.calls:
                agree(f"{lack.evalset.name}, {lack.version}: {expected}", expected.most_usd, yes=yes)

    return agreed
