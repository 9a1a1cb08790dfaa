"""Runs an evalset through a variant of the pipeline: an eval turn is a turn, its metrics are scores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.metrics import columns
from evalsets.metrics.metric import Measured
from evalsets.metrics.scores import score_of
from evalsets.runs.answer_cache import SERVED
from evalsets.runs.asker import Askable, Asker, Variant
from evalsets.runs.workers import Fan, InProcess
from traces.ids import uuid7
from traces.processes import mine
from traces.queries import runs
from traces.queries.runs import RunScore
from traces.records import MADE_WITH, Case, Run, RunSettings, Trace

__all__ = ["Askable", "Plan", "Variant", "run"]

log = logging.getLogger(__name__)
Progress = Callable[[int, int, int], None]  # cases done (failed ones included), in all, failed

PARTS = tuple(part.key for part in MADE_WITH)
IN_PROCESS, REMOTE = 1, 8  # turns at a time: of a model that computes here, of one that is awaited
Task = tuple[Case, int]  # a case and which repetition of it


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


async def run(
    evalset: Evalset,
    variant: Variant,
    pipeline: Askable,
    plan: Plan = Plan(),
    *,
    kb: str | None = None,
    fan: Fan | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the cases and return {run_id, evalset, variant, metrics, cost_usd, seconds, ...}.

    Turns, scores, cases and the run itself are written to the journal while it goes. `kb` is what
    `corpora.prepare` returned. A case that fails is recorded and does not stop the others; a cancelled
    run is marked as stopped.
    """
    evalset = evalset.some(plan.limit, plan.seed)
    variant = variant.pinned(pipeline)
    width = plan.concurrency or (IN_PROCESS if variant.model in (None, "extractive") else REMOTE)
    fan = fan or InProcess(width)
    settings = replace(plan.settings, limit=plan.limit, concurrency=width, repetitions=plan.repetitions)
    work = _Work(evalset, variant, pipeline, kb, progress, plan.budget_usd)
    todo = work.begin(plan.run_id, plan.seed, settings)
    try:
        await fan.map(todo, work.do)
        for _ in range(plan.retries):
            await fan.map(work.broken(todo), work.do)
    except asyncio.CancelledError:
        work.end("stopped")
        raise
    except BaseException as error:
        work.end("failed", error=repr(error))
        raise
    work.end("stopped" if work.spent else "finished", error=work.spent)
    return work.result()


class _Work:
    """A run under way."""

    def __init__(
        self,
        evalset: Evalset,
        variant: Variant,
        pipeline: Askable,
        kb: str | None,
        progress: Progress | None,
        budget_usd: float | None,
    ) -> None:
        self.spent: str | None = None  # why no further case is begun
        self._evalset = evalset
        self._variant = variant
        self._pipeline = pipeline
        self._kb = kb
        self._progress = progress
        self._budget_usd = budget_usd
        self._scores: dict[tuple[str, str, int], RunScore] = {}
        self._ends: dict[str, dict[int, float]] = {}  # case -> repetition -> completed?
        self._done = self._failed = 0
        self._unpriced = False
        self._calls = self._kept = 0
        self._began = time.monotonic()
        self._told = 0.0
        self._seconds_before = 0.0
        self.run: Run

    def begin(self, named: str | None, seed: int, settings: RunSettings) -> list[Task]:
        """Write the run and its cases, and return what is still to do."""
        run_id = named or uuid7()
        evalset, variant = self._evalset, self._variant
        settings = replace(
            settings,
            title=evalset.title,
            source=evalset.source,
            licence=evalset.licence,
            thresholds=evalset.thresholds,
            chunks=evalset.chunks,
            warnings=evalset.warnings,
            budget_usd=self._budget_usd,
            process=mine(),
        )
        self.run = Run(
            run_id=run_id,
            evalset=evalset.name,
            evalset_fingerprint=evalset.fingerprint,
            variant=variant.label,
            state="running",
            started_at=datetime.now(UTC),
            prompt=variant.prompt,
            model=variant.model,
            kb=self._kb,
            only=variant.only,
            settings=settings,
            cases=len(evalset.cases),
            done=0,
            failed=0,
            seed=seed,
            cost_usd=0.0,
        )
        finished = self._resume() if named else set[tuple[str, int]]()
        every = range(1, settings.repetitions + 1)
        todo = [(case, n) for case in evalset.cases for n in every if (case.case_id, n) not in finished]
        asked = {case.case_id for case, _ in todo}
        for case in evalset.cases:
            if case.case_id in asked:
                self._pipeline.journal.write(replace(case, run_id=run_id))
        self._asker = Asker(evalset, variant, self._pipeline, self._kb, run_id)
        self._tell(at_once=True)
        return todo

    async def do(self, task: Task) -> None:
        """Ask one case once, unless the money is spent."""
        if self.spent is not None:
            return
        case, repetition = task
        trace, measured, turn_id = await self._asker.measure(case, repetition)
        if trace is not None:
            self._note(trace)
        self._record(case, repetition, turn_id, measured)
        self._tell()

    def broken(self, tasks: Iterable[Task]) -> list[Task]:
        """Return those of the tasks that failed."""
        return [(case, n) for case, n in tasks if self._completed(case.case_id, n) == 0.0]

    def end(self, state: Literal["finished", "stopped", "failed"], error: str | None = None) -> None:
        """Write the last state of the run."""
        self.run = replace(self.run, state=state, finished_at=datetime.now(UTC), error=error)
        self._tell(at_once=True)

    def result(self) -> dict[str, Any]:
        """Return the JSON of the run."""
        run = self.run
        found = columns.columns(self._scores[key] for key in sorted(self._scores))
        return {
            "run_id": run.run_id,
            "evalset": run.evalset,
            "variant": run.variant,
            "metrics": columns.summary(found, run.seed or 0),
            "cost_usd": run.cost_usd,
            "seconds": run.seconds,
            "state": run.state,
            "evalset_fingerprint": run.evalset_fingerprint,
            "cases": run.cases,
            "failed": run.failed,
            "calls": self._calls,
            "calls_from_cache": self._kept,
            "error": run.error,
            "warnings": list(self._evalset.warnings),
        }

    def _resume(self) -> set[tuple[str, int]]:
        """Take over what a run of this id has done already, and return its finished cases."""
        self._pipeline.store.drain()  # a ledger reads only so much of an undrained journal
        with self._pipeline.store.read() as ledger:
            before = [run for run in runs.runs(ledger, limit=100_000) if run.run_id == self.run.run_id]
            if not before:
                return set()
            self._check_same(before[0])
            scores = runs.scores_of(ledger, self.run.run_id)
        for score in scores:
            self._scores[score.name, score.case_id, score.repetition] = score
        finished = {
            (key, n) for name, key, n in self._scores if name == "completed" and self._completed(key, n)
        }
        self._scores = {key: row for key, row in self._scores.items() if key[1:] in finished}
        for key, n in finished:
            self._ended(key, n, 1.0)
        self._seconds_before = before[0].seconds or 0.0
        self._unpriced = before[0].cost_usd is None
        parts = {key: getattr(before[0], key) for key in PARTS}
        self.run = replace(self.run, **parts, cost_usd=before[0].cost_usd)
        return finished

    def _check_same(self, before: Run) -> None:
        """Raise EvalsetError when the run of this id was another one."""
        keys = ("evalset_fingerprint", "variant", "seed", "cases")
        same = {key: (getattr(before, key), getattr(self.run, key)) for key in keys}
        same["repetitions"] = (before.settings.repetitions, self.run.settings.repetitions)
        for key, (was, now) in same.items():
            if was != now:
                raise EvalsetError(
                    [f"run {self.run.run_id}: {key} was {was!r} and is {now!r}; start a new run"]
                )

    def _completed(self, case_id: str, repetition: int) -> float | None:
        score = self._scores.get(("completed", case_id, repetition))
        return None if score is None else score.value

    def _note(self, trace: Trace) -> None:
        """Take from a turn what the run was made with, and add its cost."""
        turn = trace.turn
        parts = {key: getattr(turn, key) for key in PARTS if getattr(self.run, key) is None}
        self._calls += len(trace.usages)
        self._kept += sum(usage.price_version == SERVED for usage in trace.usages)
        self._unpriced |= bool(turn.attempts) and turn.cost_usd is None
        cost = None if self._unpriced else (self.run.cost_usd or 0.0) + (turn.cost_usd or 0.0)
        self.run = replace(self.run, **parts, cost_usd=cost)
        cap = self._budget_usd
        if cap is not None and cost is None:
            self.spent = f"a call has no known price, so the cap of ${cap:g} cannot be kept"
        elif cap is not None and cost is not None and cost >= cap > 0:
            self.spent = f"the cap of ${cap:g} is reached"

    def _record(self, case: Case, repetition: int, turn_id: str, measured: Iterable[Measured]) -> None:
        """Write the scores of a case, "completed" last: a case with that one is finished."""
        for result in measured:
            score = score_of(result, turn_id, self.run.run_id, case.case_id, repetition=repetition)
            self._scores[result.name, case.case_id, repetition] = RunScore(
                case.case_id, result.name, result.value, result.failed, result.reason, repetition
            )
            self._pipeline.journal.write(score)
            if result.name == "completed":
                self._ended(case.case_id, repetition, result.value or 0.0)

    def _ended(self, case_id: str, repetition: int, completed: float) -> None:
        """Count cases that are done, with all their repetitions, and those of which one failed."""
        ends = self._ends.setdefault(case_id, {})
        repetitions = self.run.settings.repetitions
        self._done -= len(ends) == repetitions
        self._failed -= 0.0 in ends.values()
        ends[repetition] = completed
        self._done += len(ends) == repetitions
        self._failed += 0.0 in ends.values()

    def _tell(self, *, at_once: bool = False) -> None:
        """Report progress: to the caller each time, to the ledger at most once a second."""
        now = time.monotonic()
        seconds = self._seconds_before + now - self._began
        self.run = replace(self.run, done=self._done, failed=self._failed, seconds=seconds)
        if self._progress is not None:
            self._progress(self._done, len(self._evalset.cases), self._failed)
        if at_once or now - self._told >= 1.0:
            self._told = now
            self._pipeline.journal.write(self.run)
