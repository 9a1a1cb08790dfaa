"""Adds a judge's scores to a run: what is missing is asked, recorded as it comes, and paid for once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from typing import Any

from evalsets.judges.judge_metrics import Sample, addresses_judge, broken, missing
from evalsets.judges.process import Worker
from evalsets.metrics import columns
from evalsets.metrics.metric import Measured
from evalsets.metrics.scores import score_of
from evalsets.metrics.table import JUDGED
from pipeline.citations import unmarked
from traces.queries import runs
from traces.queries.window import Rows
from traces.recorder import Sink
from traces.records import Bill, Run

Progress = Callable[[int, int, float | None], None]  # scores done, in all, dollars so far
FLAG = "judge_injection"


@dataclass(slots=True)
class Judgement:
    """What became of the scores asked for."""

    scored: int = 0
    failed: int = 0
    not_applicable: int = 0
    already: int = 0
    left: int = 0  # not asked, because the spending cap was reached
    flagged: list[str] = field(default_factory=list)  # cases whose texts speak to the judge
    spent: Bill = field(default_factory=Bill)


def samples(ledger: Rows, run_id: str) -> list[Sample]:
    """Return the answers of a run as a judge sees them; cases without a turn are left out."""
    contexts: dict[str, list[str]] = {}
    for passage in runs.passages_of(ledger, run_id):
        text = f"{passage.title}\n{passage.text}" if passage.title else passage.text
        contexts.setdefault(passage.turn_id, []).append(text)
    return [
        Sample(
            key=case.case_id,
            user_input=case.standalone or case.question,
            response=unmarked(case.answer or ""),
            retrieved_contexts=tuple(contexts.get(case.turn_id, ())),
            reference=case.reference or "",
            turn_id=case.turn_id,
            outcome=case.outcome or "",
            answerability=case.answerability,
        )
        for case in runs.cases_of(ledger, run_id)
        if case.turn_id is not None
    ]


async def score(
    run: Run,
    samples: Sequence[Sample],
    metrics: Sequence[str],
    worker: Worker,
    journal: Sink,
    *,
    done: Iterable[tuple[str, str]] = (),
    progress: Progress | None = None,
) -> Judgement:
    """Score the samples of a run and write each score as it comes; `done` (case, metric) are skipped.

    A metric that does not apply is recorded with its reason and asks nothing; a judge that fails is
    recorded as failed. Stops asking once the worker's budget is spent.
    """
    judgement, tasks = Judgement(), []
    recorded = _Recorder(run.run_id, worker.scorer, journal, judgement)
    skip = set(done)
    for sample in samples:
        for name in metrics:
            if (sample.key, name) in skip:
                judgement.already += 1
            elif (reason := missing(name, sample)) is not None:
                recorded.write(sample, name, None, f"not applicable: {reason}")
            elif (reason := broken(name, sample)) is not None:
                recorded.write(sample, name, None, reason, failed=True)
            else:
                tasks.append((sample, name))
    lines = (
        {"id": place, "metric": name, "sample": sample.inputs(JUDGED[name].needs)}
        for place, (sample, name) in enumerate(tasks)
    )
    try:
        async with aclosing(worker.scores(lines)) as replies:
            async for reply in replies:
                sample, name = tasks[reply["id"]]
                if "stopped" in reply:
                    judgement.left += 1
                    continue
                judgement.spent += Bill(**{key.name: reply[key.name] for key in fields(Bill)})
                recorded.write(sample, name, reply["value"], reply["reason"], failed=reply["failed"])
                if progress is not None:
                    progress(judgement.scored + judgement.failed, len(tasks), judgement.spent.usd)
    finally:
        journal.write(_billed(run, worker.scorer, judgement.spent))
    return judgement


def summary(
    ledger: Rows, run_id: str, metrics: Sequence[str], scorer: str, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return the metrics of a run as one scorer gave them, of these names only."""
    scores = [score for score in runs.scores_by(ledger, run_id, scorer) if score.name in metrics]
    return columns.summary(columns.columns(scores), seed)


class _Recorder:
    """Writes scores and counts them."""

    def __init__(self, run_id: str, scorer: str, journal: Sink, judgement: Judgement) -> None:
        self._run_id = run_id
        self._scorer = scorer
        self._journal = journal
        self._judgement = judgement

    def write(
        self, sample: Sample, name: str, value: float | None, reason: str | None, *, failed: bool = False
    ) -> None:
        judgement, flagged = self._judgement, value is not None and addresses_judge(sample)
        judgement.scored += value is not None
        judgement.failed += failed
        judgement.not_applicable += value is None and not failed
        if flagged:
            reason = f"the texts speak to the judge, look at this score; {reason or ''}".rstrip("; ")
            if sample.key not in judgement.flagged:
                judgement.flagged.append(sample.key)
        measured = Measured(value, reason, failed, name)
        tags = FLAG if flagged else None
        self._journal.write(
            score_of(measured, sample.turn_id, self._run_id, sample.key, scorer=self._scorer, tags=tags)
        )


def _billed(run: Run, scorer: str, spent: Bill) -> Run:
    """Return the run with what its judges took added to its settings."""
    judges = run.settings.judges
    bills = {**judges, scorer: judges.get(scorer, Bill()) + spent}
    return replace(run, settings=replace(run.settings, judges=bills))
