"""Runs an evalset through variants of the pipeline: an eval turn is a turn, its metrics are scores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from evalsets.cases.evalset import Evalset
from evalsets.runs.asker import Askable, Variant
from evalsets.runs.load import Meter, alone, measuring
from evalsets.runs.outcome import Outcome
from evalsets.runs.work import Ended, Progress, RunWork, Task
from evalsets.runs.workers import spread
from traces.ids import uuid7
from traces.records import RunSettings

__all__ = ["Askable", "Plan", "Progress", "Variant", "VariantSide", "run", "run_together"]

IN_PROCESS, REMOTE = 1, 8  # turns at a time: of what computes here, model or reranker, and of what is awaited


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is to go."""

    limit: int | None = None  # a seeded choice of so many cases
    seed: int = 0
    run_id: str | None = None  # one that exists goes on: finished cases are skipped, failed ones tried again
    concurrency: int | None = None  # turns at a time; None is what suits the model
    repetitions: int = 1  # so often each case is asked
    retries: int = 0  # so often failed ones are asked again
    budget_usd: float | None = None  # no further case is begun there; those under way are finished
    settings: RunSettings = field(default_factory=RunSettings)  # what else shaped it, kept with the run


@dataclass(frozen=True, slots=True)
class VariantSide:
    """One of the variants that are run side by side."""

    variant: Variant
    condense: str | None = None  # "condense@v1 959ce9fa", kept with the run
    estimate_usd: float | None = None  # told before the run
    pipeline: Askable | None = None  # where it searches otherwise than the others
    search: Mapping[str, Any] | None = None  # its retrieval settings, kept with the run


async def run(
    evalset: Evalset,
    variant: Variant,
    pipeline: Askable,
    plan: Plan = Plan(),
    *,
    kb: str | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run the cases and return what came of them.

    Turns, scores, cases and the run itself are written to the journal while it goes. `kb` is what
    `corpora.prepare` returned. A case that fails is recorded and does not stop the others; a cancelled
    run is marked as stopped. Raises EvalsetError while another process makes the run of this id.
    """
    sides = [VariantSide(variant)]
    return (await run_together(evalset, sides, pipeline, plan, kb=kb, progress=progress))[0]


async def run_together(
    evalset: Evalset,
    sides: Sequence[VariantSide],
    pipeline: Askable,
    plan: Plan = Plan(),
    *,
    kb: str | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run the cases through variants side by side; return what came of each run, in their order.

    Each case is asked of all of them, one after the other, in an order drawn anew for each case from
    the plan's seed: no variant carries a cold start or a busy minute. The runs share a session.
    """
    evalset = evalset.some(plan.limit, plan.seed)
    pipelines = [side.pipeline or pipeline for side in sides]
    variants = [side.variant.pinned(its) for side, its in zip(sides, pipelines, strict=True)]
    here = any(variant.model in (None, "extractive") for variant in variants) or any(map(_reads, sides))
    width = plan.concurrency or (IN_PROCESS if here else REMOTE)
    settings = replace(plan.settings, limit=plan.limit, concurrency=width, repetitions=plan.repetitions)
    if len(sides) > 1:
        labels = tuple(variant.label for variant in variants)
        settings = replace(settings, session=uuid7(), beside=labels)
    summed = _summed(progress, len(sides))
    works = [
        RunWork(evalset, variant, its, kb, notify, plan.budget_usd)
        for variant, its, notify in zip(variants, pipelines, summed, strict=True)
    ]
    shaped = [_shaped(settings, side) for side in sides]
    names = [plan.run_id or uuid7() for _ in sides]
    data_dir = pipeline.store.data_dir
    with ExitStack() as locks:
        for name in names:
            locks.enter_context(alone(data_dir, name))
        async with measuring(data_dir) as meter:
            tasks = [
                work.begin(name, plan.seed, shape, again=plan.run_id is not None)
                for work, name, shape in zip(works, names, shaped, strict=True)
            ]
            await _asked(works, tasks[0], plan, width, meter)
    return [work.outcome() for work in works]


async def _asked(
    works: Sequence[RunWork], todo: Sequence[Task], plan: Plan, width: int, meter: Meter
) -> None:
    """Ask every case of every variant, and write how the runs ended."""
    chance = random.Random(plan.seed)
    orders = {(case.case_id, n): chance.sample(works, len(works)) for case, n in todo}

    async def ask(task: Task) -> None:
        for place, work in enumerate(orders[task[0].case_id, task[1]], 1):
            if not any(item.spent for item in works):
                await work.do(task, place)

    state: Ended = "failed"
    error: str | None = None
    try:
        await spread(todo, width, ask)
        for _ in range(plan.retries):
            for work in works:
                await spread(work.broken(todo), width, work.again)
        state = "finished"
    except (asyncio.CancelledError, KeyboardInterrupt):
        state = "stopped"
        raise
    except BaseException as problem:  # noted on the run, and passed on
        error = repr(problem)
        raise
    finally:
        spent = next((work.spent for work in works if work.spent), None) if state == "finished" else None
        for work in works:
            work.end("stopped" if spent else state, meter.load, spent or error)


def _shaped(settings: RunSettings, side: VariantSide) -> RunSettings:
    tried = side.variant.retrieval
    own = {
        "condense": side.condense,
        "estimate_usd": side.estimate_usd,
        "retrieval": side.search,
        "trial": f"retrieval {tried}" if tried else None,
    }
    return replace(settings, **{key: value for key, value in own.items() if value is not None})


def _reads(side: VariantSide) -> bool:
    """Tell whether a reranker reads on this machine, which it does for few questions at a time."""
    return side.search is not None and side.search.get("reranker") == "cross_encoder"


def _summed(progress: Progress | None, count: int) -> list[Progress | None]:
    """Return what each of the runs calls, so that the caller hears of all of them together."""
    if progress is None or count == 1:
        return [progress] * count
    states = [(0, 0, 0)] * count

    def told(at: int, done: int, cases: int, failed: int) -> None:
        states[at] = (done, cases, failed)
        progress(*(sum(part) for part in zip(*states, strict=True)))

    return [lambda *state, at=at: told(at, *state) for at in range(count)]
