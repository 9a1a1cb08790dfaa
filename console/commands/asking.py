"""Asks an evalset through variants: its documents indexed, its price agreed to, its progress shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from console.commands.consent import agree
from console.commands.crew import crew
from console.commands.opened import primary_of, searching, settings_of, tried
from console.commands.progress import bars, counting, once_needed
from console.commands.screen import emit, wrong
from evalsets.cases import corpora
from evalsets.cases.evalset import Evalset
from evalsets.release.release import Agree, MissingRun
from evalsets.runs.answer_cache import remember
from evalsets.runs.elsewhere import WorkerPipeline
from evalsets.runs.estimate import Estimate, estimate
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Askable, Plan, Variant, VariantSide, run_together
from evalsets.runs.warm import warm
from pipeline import build
from pipeline.knowledge.standing import Status
from pipeline.settings import Settings, load_settings
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
        workers = crew(on, stack)
        return await _ask(cases, variants, plan, retrieval, workers, cache=cache, yes=yes, quiet=quiet)


async def _ask(
    cases: Evalset,
    variants: Sequence[Variant],
    plan: Plan,
    retrieval: Mapping[str, Any] | None,
    workers: Workers | None,
    *,
    cache: bool,
    yes: bool,
    quiet: bool,
) -> list[Outcome]:
    async with searching(variants, retrieval) as searches:
        pipeline = searches[None][0]
        if cache:
            remember(pipeline, searches[None][1].data_dir)
        with bars(quiet) as step:
            indexing = once_needed(step, "Indexing its documents")
            kb = await corpora.prepare(cases, pipeline.knowledge, indexing)
        standing = await pipeline.knowledge.status(kb or pipeline.rules.kb)
        if standing.version is None:
            raise wrong(_empty(standing))
        sides: list[VariantSide] = []
        for variant in variants:
            its, settings = searches[variant.retrieval]
            usd = await _agreed(cases, variant, plan, its, settings, kb, yes=yes)
            chatbot: Askable = its
            if workers is not None:
                chatbot = WorkerPipeline(its, workers, _changed(variants, variant, retrieval), cache=cache)
            search = settings.retrieval.model_dump()
            sides.append(VariantSide(variant, estimate_usd=usd, pipeline=chatbot, search=search))
        plan = replace(plan, settings=replace(plan.settings, contents=standing.contents))
        if workers is not None:
            plan = replace(plan, concurrency=workers.width)
        models = [model for variant in variants if (model := variant.pinned(pipeline).model)]
        for text in tried(variants):
            await warm(searches[text][0], kb, cases.cases[0].question, models)
        with bars(quiet) as step:
            return await run_together(cases, sides, pipeline, plan, kb=kb, progress=counting(step("Asking")))


def _changed(
    variants: Sequence[Variant], variant: Variant, retrieval: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what workers change of the configuration for a variant, as `searching` does here."""
    primary, search = primary_of(variants), {**(retrieval or {}), **settings_of(variant.retrieval)}
    changed: dict[str, Any] = {"models": {"primary": primary}} if primary else {}
    return changed | ({"retrieval": search} if search else {})


def _empty(standing: Status) -> str:
    """Say why nothing can be asked of a knowledge base, and what to do."""
    return f"nothing can be searched: {standing.problem}; `answerdeck up` brings a sample to try"


def expect(
    cases: Evalset,
    variants: Sequence[Variant],
    plan: Plan,
    *,
    judging: Mapping[str, Estimate],
    json: bool,
) -> None:
    """Say what runs would take, and judging them, and ask nothing."""
    rows = [*asyncio.run(_expected(cases, variants, plan)), *judging.items()]
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


async def _expected(cases: Evalset, variants: Sequence[Variant], plan: Plan) -> list[tuple[str, Estimate]]:
    prices, few = build.prices(load_settings()), cases.some(plan.limit, plan.seed)
    rows: list[tuple[str, Estimate]] = []
    async with searching(variants) as searches:
        for variant in variants:
            its = searches[variant.retrieval][0]
            expected = await estimate(few, variant, its, prices, kb=cases.kb, repetitions=plan.repetitions)
            rows.append((variant.pinned(its).label, expected))
    return rows


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

    async def agreed(missing: Sequence[MissingRun]) -> None:
        for lack in missing:
            variant = Variant(prompt=lack.facts.prompt, model=lack.facts.model)
            expected = await estimate(lack.evalset, variant, pipeline, prices, kb=lack.kb, repetitions=1)
            if expected.calls:
                agree(f"{lack.evalset.name}, {lack.version}: {expected}", expected.most_usd, yes=yes)

    return agreed
