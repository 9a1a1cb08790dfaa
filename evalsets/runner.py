"""Runs an evalset through a variant of the pipeline: an eval turn is a turn, its metrics are scores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from evalsets import answer_metrics, columns, metrics
from evalsets.answer_metrics import BROKEN, Measured
from evalsets.cases import Evalset, EvalsetError
from pipeline.events import Answer, Event, Failed, Message, Question
from traces.ids import uuid7
from traces.queries import runs
from traces.queries.overview import Rows
from traces.recorder import Sink
from traces.records import Case, Run, Score, Trace

log = logging.getLogger(__name__)
Progress = Callable[[int, int, int], None]  # cases done (failed ones included), in all, failed
SCORER = "answerdeck@1"
NOTED = ("prompt", "prompt_fingerprint", "model", "kb", "index_version", "guardrails", "code_version")
IN_PROCESS, REMOTE = 1, 8  # turns at a time: of a model that computes here, of one that is awaited


class Readable(Protocol):
    """What a run needs of the store."""

    def drain(self) -> Any: ...
    def read(self) -> AbstractContextManager[Rows]: ...


class Askable(Protocol):
    """What a run needs of the pipeline."""

    @property
    def rules(self) -> Any: ...
    @property
    def force(self) -> Any: ...
    @property
    def journal(self) -> Sink: ...
    @property
    def store(self) -> Readable: ...
    def answer(self, question: Question) -> AsyncIterator[Event]: ...
    async def retrieve(self, question: Question) -> Trace: ...


@dataclass(frozen=True, slots=True)
class Variant:
    """What is tried: a prompt version and a model (None is the one in force), or retrieval alone.

    A version promoted while a run goes on does not enter it: what was in force at its start stays.
    """

    prompt: str | None = None
    model: str | None = None
    only: Literal["retrieval"] | None = None

    @property
    def label(self) -> str:
        """How people name it, e.g. "answer@v1 · extractive"."""
        return "retrieval only" if self.only else f"{self.prompt} · {self.model}"


class CaseFailed(Exception):
    """A turn was not accepted or ended without an answer."""

    def __init__(self, message: str, turn_id: str | None) -> None:
        super().__init__(message)
        self.turn_id = turn_id


async def run(
    evalset: Evalset,
    variant: Variant,
    pipeline: Askable,
    *,
    kb: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    run_id: str | None = None,
    concurrency: int | None = None,
    progress: Progress | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run the cases and return {run_id, evalset, variant, metrics, cost_usd, seconds, ...}.

    Turns, scores, cases and the run itself are written to the journal while it goes. `kb` is what
    `corpora.prepare` returned; `limit` takes a seeded choice of the cases; `settings` is what else
    shaped the run, such as {"retrieval": {...}}, kept with it and shown in reports. Naming a `run_id`
    that exists goes on with that run: finished cases are skipped, failed ones are tried again. A case
    that fails is recorded and does not stop the others; a cancelled run is marked as stopped.
    """
    evalset = evalset.some(limit, seed)
    variant = _pinned(variant, pipeline)
    if concurrency is None:
        concurrency = IN_PROCESS if variant.model in (None, "extractive") else REMOTE
    work = _Work(evalset, variant, pipeline, kb, progress)
    todo = work.begin(run_id, seed, {**(settings or {}), "limit": limit, "concurrency": concurrency})
    try:
        remaining = iter(todo)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(todo))):
                group.create_task(work.go_on(remaining))
    except asyncio.CancelledError:
        work.end("stopped")
        raise
    except BaseExceptionGroup as errors:
        work.end("failed", error=repr(errors.exceptions[0]))
        raise errors.exceptions[0] from None
    work.end("finished")
    return work.result()


class _Work:
    """A run under way."""

    def __init__(
        self, evalset: Evalset, variant: Variant, pipeline: Askable, kb: str | None, progress: Progress | None
    ) -> None:
        self._evalset = evalset
        self._variant = variant
        self._pipeline = pipeline
        self._kb = kb
        self._progress = progress
        self._columns: dict[str, columns.Column] = {}
        self._done = self._failed = 0
        self._unpriced = False
        self._began = time.monotonic()
        self._told = 0.0
        self._seconds_before = 0.0
        self.run: Run

    def begin(self, named: str | None, seed: int, settings: dict[str, Any]) -> list[Case]:
        """Write the run and its cases, and return the cases that are still to do."""
        run_id = named or uuid7()
        evalset, variant = self._evalset, self._variant
        about = {key: getattr(evalset, key) for key in ("title", "source", "licence", "thresholds", "chunks")}
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
            settings={**settings, **about, "warnings": list(evalset.warnings)},
            cases=len(evalset.cases),
            done=0,
            failed=0,
            seed=seed,
            cost_usd=0.0,
        )
        finished = self._resume() if named else set()
        for case in evalset.cases:
            if case.case_id not in finished:
                self._pipeline.journal.write(replace(case, run_id=run_id))
        self._tell(at_once=True)
        return [case for case in evalset.cases if case.case_id not in finished]

    async def go_on(self, cases: Iterator[Case]) -> None:
        """Take case after case until none is left; several of these share the iterator."""
        for case in cases:
            trace, measured, turn_id = await self._measure(case)
            if trace is not None:
                self._note(trace)
            self._record(case, turn_id, measured)
            self._tell()
            await asyncio.sleep(0)  # a case may have had nothing to wait for; let a cancel through

    def end(self, state: Literal["finished", "stopped", "failed"], error: str | None = None) -> None:
        """Write the last state of the run."""
        self.run = replace(self.run, state=state, finished_at=datetime.now(UTC), error=error)
        self._tell(at_once=True)

    def result(self) -> dict[str, Any]:
        """Return the JSON of the run."""
        run = self.run
        return {
            "run_id": run.run_id,
            "evalset": run.evalset,
            "variant": run.variant,
            "metrics": columns.summary(self._columns, run.seed or 0),
            "cost_usd": run.cost_usd,
            "seconds": run.seconds,
            "state": run.state,
            "evalset_fingerprint": run.evalset_fingerprint,
            "cases": run.cases,
            "failed": run.failed,
            "warnings": list(self._evalset.warnings),
        }

    def _resume(self) -> set[str]:
        """Take over what a run of this id has done already, and return its finished cases."""
        self._pipeline.store.drain()  # a ledger reads only so much of an undrained journal
        with self._pipeline.store.read() as ledger:
            before = [row for row in runs.runs(ledger, limit=100_000) if row["run_id"] == self.run.run_id]
            if not before:
                return set()
            same = ("evalset_fingerprint", "variant", "seed", "cases")
            for key in same:
                if before[0][key] != getattr(self.run, key):
                    was, now = before[0][key], getattr(self.run, key)
                    raise EvalsetError(
                        [f"run {self.run.run_id}: {key} was {was!r} and is {now!r}; start a new run"]
                    )
            scores = runs.scores_of(ledger, self.run.run_id)
        finished = {row["case_id"] for row in scores if row["name"] == "completed" and row["value"] == 1.0}
        self._columns = columns.columns(row for row in scores if row["case_id"] in finished)
        self._done = len(finished)
        self._seconds_before = before[0]["seconds"] or 0.0
        self._unpriced = before[0]["cost_usd"] is None
        noted = {key: before[0][key] for key in NOTED}
        self.run = replace(self.run, **noted, cost_usd=before[0]["cost_usd"])
        return finished

    async def _measure(self, case: Case) -> tuple[Trace | None, list[Measured], str]:
        """Ask a case and score it; whatever goes wrong becomes failed scores of this case."""
        try:
            trace = await self._ask(case)
            scores = self._score(case, trace)
        except Exception as error:
            if not isinstance(error, CaseFailed):
                log.exception("case %s of run %s failed", case.case_id, self.run.run_id)
            reason = str(error) if isinstance(error, CaseFailed) else f"{type(error).__name__}: {error}"
            names = list(answer_metrics.applicable(case)) if self._variant.only is None else []
            names += [name for name, _, _ in metrics.TABLE] if case.relevant_ids else []
            lost = [Measured(name, None, reason, failed=True) for name in names]
            turn_id = getattr(error, "turn_id", None) or ""
            return None, [*lost, Measured("completed", 0.0, reason)], turn_id
        turn = trace.turn
        broken = turn.outcome in BROKEN
        reason = f"{turn.outcome}: {turn.error_class}" if broken else turn.outcome
        return trace, [*scores, Measured("completed", float(not broken), reason)], turn.turn_id

    async def _ask(self, case: Case) -> Trace:
        question = Question(
            text=case.question,
            user_id="eval",
            door="eval",
            kb=self._kb,
            prompt=self._variant.prompt,
            model=self._variant.model,
            history=tuple(_message(message) for message in case.history or ()),
            run_id=self.run.run_id,
            case_id=case.case_id,
        )
        if self._variant.only == "retrieval":
            return await self._pipeline.retrieve(question)
        last: Event | None = None
        events = self._pipeline.answer(question)
        async with aclosing(events) as stream:  # type: ignore[type-var] # an async generator in fact
            async for event in stream:
                last = event
        if isinstance(last, Answer) and last.trace is not None:
            return last.trace
        if isinstance(last, Failed):
            raise CaseFailed(f"{last.code}: {last.message}", last.turn_id)
        raise CaseFailed("the turn ended without an answer", None)

    def _score(self, case: Case, trace: Trace) -> list[Measured]:
        found = answer_metrics.retrieval(case, trace, chunks=self._evalset.chunks)
        if self._variant.only == "retrieval":
            return [*found, Measured("seconds", trace.turn.seconds)]
        held = answer_metrics.injection(case, trace, self._evalset.planted)
        return [*found, *answer_metrics.answer(case, trace), *held]

    def _note(self, trace: Trace) -> None:
        """Take from a turn what the run was made with, and add its cost."""
        turn = trace.turn
        known = {key: getattr(turn, key) for key in NOTED if getattr(self.run, key) is None}
        self._unpriced |= bool(turn.attempts) and turn.cost_usd is None
        cost = None if self._unpriced else (self.run.cost_usd or 0.0) + (turn.cost_usd or 0.0)
        self.run = replace(self.run, **known, cost_usd=cost)

    def _record(self, case: Case, turn_id: str, measured: Iterable[Measured]) -> None:
        """Write the scores of a case, "completed" last: a case with that one is finished."""
        for one in measured:
            column = self._columns.setdefault(one.name, columns.Column())
            column.put(case.case_id, one.value, one.reason, one.failed)
            self._pipeline.journal.write(
                Score(
                    score_id=uuid7(),
                    turn_id=turn_id,
                    name=one.name,
                    value=one.value,
                    source="eval",
                    created_at=datetime.now(UTC),
                    scorer=SCORER,
                    reason=one.reason,
                    failed=one.failed,
                    run_id=self.run.run_id,
                    case_id=case.case_id,
                )
            )
        self._done += 1
        self._failed += self._columns["completed"].values[case.case_id] == 0.0

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


def _pinned(variant: Variant, pipeline: Askable) -> Variant:
    """Return the variant with what is in force filled in; retrieval alone has no prompt and no model."""
    if variant.only is not None:
        return Variant(only=variant.only)
    prompt = variant.prompt or pipeline.force.label("answer")
    return Variant(prompt, variant.model or pipeline.rules.model)


def _message(message: dict[str, str]) -> Message:
    return Message("user" if message["role"] == "user" else "assistant", message["text"])
