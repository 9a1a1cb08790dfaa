"""Adds a judge's scores to a run: what is missing is asked, recorded as it comes, and paid for once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Protocol

from evalsets.judges.judge_metrics import Sample, addresses_judge, broken, missing
from evalsets.judges.task import JudgeTask, Opinion
from evalsets.metrics import columns
from evalsets.metrics.columns import Summary
from evalsets.metrics.judged import Judged
from evalsets.metrics.metric import Measured
from evalsets.metrics.scores import score_of
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
    bills: dict[str, Bill] = field(default_factory=dict)  # scorer -> what its judging took

    @property
    def spent(self) -> Bill:
        """What all the judging took."""
        return sum(self.bills.values(), Bill())


class ScoreWorker(Protocol):
    """Who scores: the judge's process for RAGAS's metrics, a marker for a criterion."""

    scorer: str

    def opinions(self, tasks: Iterable[JudgeTask]) -> AsyncGenerator[Opinion]: ...


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
    metrics: Sequence[Judged],
    worker: ScoreWorker,
    journal: Sink,
    *,
    done: Iterable[tuple[str, str]] = (),
    progress: Progress | None = None,
    judgement: Judgement | None = None,
) -> Judgement:
    """Score the samples of a run and write each score as it comes; `done` (case, metric) are skipped.

    A metric that does not apply is recorded with its reason and asks nothing; a judge that fails is
    recorded as failed. Stops asking once the worker's budget is spent. A `judgement` is added to: other
    metrics of the same run, scored by another worker.
    """
    judgement = judgement or Judgement()
    recorded = _Recorder(run.run_id, worker.scorer, journal, judgement)
    tasks = list(_due(product(samples, metrics), recorded, set(done)))
    before = judgement.scored + judgement.failed
    given = (
        JudgeTask(place, metric.name, sample.inputs(metric)) for place, (sample, metric) in enumerate(tasks)
    )
    try:
        async with aclosing(worker.opinions(given)) as opinions:
            async for opinion in opinions:
                sample, metric = tasks[opinion.place]
                if opinion.stopped:
                    judgement.left += 1
                    continue
                spent = judgement.bills.get(worker.scorer, Bill())
                judgement.bills[worker.scorer] = spent + opinion.bill
                recorded.write(sample, metric.name, opinion.value, opinion.reason, failed=opinion.failed)
                if progress is not None:
                    scored = judgement.scored + judgement.failed - before
                    progress(scored, len(tasks), judgement.spent.usd)
    finally:
        journal.write(_billed(run, judgement.bills, metrics))
    return judgement


def _due(
    pairs: Iterable[tuple[Sample, Judged]], recorded: _Recorder, done: set[tuple[str, str]]
) -> Iterator[tuple[Sample, Judged]]:
    """Yield what a judge is to be asked; record at once what needs no judge."""
    for sample, metric in pairs:
        if (sample.key, metric.name) in done:
            recorded.judgement.already += 1
        elif (reason := missing(metric, sample)) is not None:
            recorded.write(sample, metric.name, None, f"not applicable: {reason}")
        elif (reason := broken(metric, sample)) is not None:
            recorded.write(sample, metric.name, None, reason, failed=True)
        else:
            yield sample, metric


def summary(
    ledger: Rows, run_id: str, metrics: Sequence[str], scorer: str, seed: int = 0
) -> dict[str, Summary]:
    """Return the metrics of a run as one scorer gave them, of these names only."""
    scores = [score for score in runs.scores_by(ledger, run_id, scorer) if score.name in metrics]
    return columns.summary(columns.columns(scores), seed)


class _Recorder:
    """Writes scores and counts them."""

    def __init__(self, run_id: str, scorer: str, journal: Sink, judgement: Judgement) -> None:
        self._run_id = run_id
        self._scorer = scorer
        self._journal = journal
        self.judgement = judgement

    def write(
        self, sample: Sample, name: str, value: float | None, reason: str | None, *, failed: bool = False
    ) -> None:
        judgement, flagged = self.judgement, value is not None and addresses_judge(sample)
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


def _billed(run: Run, bills: Mapping[str, Bill], metrics: Sequence[Judged]) -> Run:
    """Return the run with what its judges took, and by which criteria, added to its settings."""
    settings = run.settings
    judges = dict(settings.judges)
    for scorer, bill in bills.items():
        judges[scorer] = judges.get(scorer, Bill()) + bill
    criteria = [metric.criterion for metric in metrics if metric.criterion is not None]
    rubric = settings.rubric | {criterion.name: asdict(criterion) for criterion in criteria}
    return replace(run, settings=replace(settings, judges=judges, rubric=rubric))
