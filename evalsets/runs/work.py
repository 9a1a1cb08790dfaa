"""One run under way: what is asked, what came of it, and the records that say so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Literal

from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.metrics import columns
from evalsets.metrics.metric import Measured
from evalsets.metrics.scores import score_of
from evalsets.runs.answer_cache import SERVED
from evalsets.runs.asker import Askable, Asker, Variant
from evalsets.runs.outcome import Outcome
from traces.processes import mine
from traces.queries import runs
from traces.queries.runs import RunScore
from traces.records import MADE_WITH, Case, Load, Run, RunSettings, Trace

Progress = Callable[[int, int, int], None]  # cases done (failed ones included), in all, failed
Ended = Literal["finished", "stopped", "failed"]
PARTS = tuple(part.key for part in MADE_WITH)
Task = tuple[Case, int]  # a case and which repetition of it
FAILED = 0.05  # a run that lost more of its cases than this decides nothing


def too_many_failed(failed: int | None, cases: int | None) -> bool:
    """Say whether a run lost so many of its cases that it decides nothing."""
    return bool(cases) and (failed or 0) > FAILED * (cases or 0)


class RunWork:
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
        self.places: list[int] = []  # at which place of its session each case was asked, from 1
        self._evalset = evalset
        self._variant = variant
        self._pipeline = pipeline
        self._kb = kb
        self._progress = progress
        self._budget_usd = budget_usd
        self._scores: dict[tuple[str, str, int], RunScore] = {}
        self._ends: dict[str, dict[int, float]] = {}  # case -> repetition -> completed?
        self._done = self._failed = 0
        self._unpriced = "cost_usd" in getattr(pipeline, "blind", ())  # another chatbot hides its costs
        self._calls = self._kept = 0
        self._began = time.monotonic()
        self._told = 0.0
        self._seconds_before = 0.0
        self.run: Run

    def begin(self, run_id: str, seed: int, settings: RunSettings, *, again: bool) -> list[Task]:
        """Write the run and its cases; return what is to do. With `again` a run of this id goes on."""
        evalset, variant = self._evalset, self._variant
        self.run = self._row(run_id, seed, settings)
        finished = self._resume() if again else set[tuple[str, int]]()
        every = range(1, settings.repetitions + 1)
        todo = [(case, n) for case in evalset.cases for n in every if (case.case_id, n) not in finished]
        due = {case.case_id for case, _ in todo}
        for case in evalset.cases:
            if case.case_id in due:
                self._pipeline.journal.write(replace(case, run_id=run_id))
        self._asker = Asker(evalset, variant, self._pipeline, self._kb, run_id)
        self._tell(at_once=True)
        return todo

    def _row(self, run_id: str, seed: int, settings: RunSettings) -> Run:
        """Return the row of a run that begins, with what its evalset brings to its settings."""
        evalset, variant = self._evalset, self._variant
        settings = replace(
            settings,
            title=evalset.title,
            workspace=getattr(self._pipeline.rules or self._pipeline, "workspace", None),  # a target's own
            source=evalset.source,
            licence=evalset.licence,
            thresholds=evalset.thresholds,
            rubric={criterion.name: asdict(criterion) for criterion in evalset.rubric},
            chunks=evalset.chunks,
            warnings=evalset.warnings,
            budget_usd=self._budget_usd,
            process=mine(),
        )
        return Run(
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
            cost_usd=None if self._unpriced else 0.0,
        )

    async def do(self, task: Task, place: int = 1) -> None:
        """Ask one case once, unless the money is spent; `place` counts the variants asked before it."""
        if self.spent is not None:
            return
        case, repetition = task
        self.places.append(place)
        trace, measured, turn_id = await self._asker.measure(case, repetition)
        if trace is not None:
            self._note(trace)
        self._record(case, repetition, turn_id, measured)
        self._tell()

    async def again(self, task: Task) -> None:
        """Ask a case that failed once more; what it takes now was not measured beside the others."""
        if self.spent is None:
            trace, measured, turn_id = await self._asker.measure(*task, timed=False)
            if trace is not None:
                self._note(trace)
            self._record(*task, turn_id, measured)
            self._tell()

    def broken(self, tasks: Iterable[Task]) -> list[Task]:
        """Return those of the tasks that failed."""
        return [(case, n) for case, n in tasks if self._completed(case.case_id, n) == 0.0]

    def end(self, state: Ended, load: Load, error: str | None = None) -> None:
        """Write the last state of the run, and how busy the machine was."""
        settings = replace(self.run.settings, load=load)
        if settings.session is not None:
            settings = replace(settings, order="".join(map(str, self.places)))
        self.run = replace(
            self.run, state=state, finished_at=datetime.now(UTC), error=error, settings=settings
        )
        self._tell(at_once=True)

    def outcome(self) -> Outcome:
        """Return what came of the run."""
        run = self.run
        scored = columns.columns(self._scores[key] for key in sorted(self._scores))
        return Outcome(
            run_id=run.run_id,
            evalset=run.evalset,
            variant=run.variant,
            metrics=columns.summary(scored, run.seed or 0),
            cost_usd=run.cost_usd,
            seconds=run.seconds,
            state=run.state,
            evalset_fingerprint=run.evalset_fingerprint,
            cases=run.cases,
            failed=run.failed,
            calls=self._calls,
            calls_from_cache=self._kept,
            error=run.error,
            warnings=self._evalset.warnings,
            lost=self._lost(),
            session=run.settings.session,
            load=run.settings.load,
        )

    def _lost(self) -> str | None:
        """Return the reason that most failed cases give."""
        reasons = Counter(
            row.reason or "no reason given"
            for (name, _, _), row in self._scores.items()
            if name == "completed" and not row.value
        )
        return reasons.most_common(1)[0][0] if reasons else None

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
