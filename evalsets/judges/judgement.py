"""Adds a judge's scores to a run: what is missing is asked, recorded as it comes, and paid for once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from evalsets.judges.judge_metrics import JUDGED, Sample, addresses_judge, broken, missing
from evalsets.judges.process import Worker
from evalsets.metrics import columns
from pipeline.citations import unmarked
from traces.ids import uuid7
from traces.queries import runs
from traces.queries.window import Rows
from traces.recorder import Sink
from traces.records import Run, Score

Progress = Callable[[int, int, float | None], None]  # scores done, in all, dollars so far
FLAG = "judge_injection"


@dataclass(slots=True)
class Spent:
    """What judging took in this call."""

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0

    def add(self, told: Mapping[str, Any]) -> None:
        self.calls += told["calls"]
        self.cached += told["cached"]
        self.input_tokens += told["input_tokens"]
        self.output_tokens += told["output_tokens"]
        self.usd = None if self.usd is None or told["usd"] is None else self.usd + told["usd"]

    def plain(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(slots=True)
class Judgement:
    """What became of the scores asked for."""

    scored: int = 0
    failed: int = 0
    not_applicable: int = 0
    already: int = 0
    left: int = 0  # not asked, because the spending cap was reached
    flagged: list[str] = field(default_factory=list)  # cases whose texts speak to the judge
    spent: Spent = field(default_factory=Spent)


def samples(ledger: Rows, run_id: str) -> list[Sample]:
    """Return the answers of a run as a judge sees them; cases without a turn are left out."""
    passages: dict[str, list[str]] = {}
    for row in runs.passages_of(ledger, run_id):
        text = f"{row['title']}\n{row['text']}" if row["title"] else row["text"]
        passages.setdefault(row["turn_id"], []).append(text)
    return [
        Sample(
            key=row["case_id"],
            user_input=row["standalone"] or row["question"],
            response=unmarked(row["answer"] or ""),
            retrieved_contexts=tuple(passages.get(row["turn_id"], ())),
            reference=row["reference"] or "",
            turn_id=row["turn_id"],
            outcome=row["outcome"],
            answerability=row["answerability"],
        )
        for row in runs.cases_of(ledger, run_id)
        if row["turn_id"] is not None
    ]


async def score(
    run: Mapping[str, Any],
    found: Sequence[Sample],
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
    recorded = _Recorder(run["run_id"], worker.scorer, journal, judgement)
    skip = set(done)
    for sample in found:
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
        async with aclosing(worker.scores(lines)) as told:
            async for one in told:
                sample, name = tasks[one["id"]]
                if "stopped" in one:
                    judgement.left += 1
                    continue
                judgement.spent.add(one)
                recorded.write(sample, name, one["value"], one["reason"], failed=one["failed"])
                if progress is not None:
                    progress(judgement.scored + judgement.failed, len(tasks), judgement.spent.usd)
    finally:
        journal.write(_billed(run, worker.scorer, judgement.spent))
    return judgement


def summary(ledger: Rows, run_id: str, metrics: Sequence[str], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the metrics of a run in force, as `eval run` shows them, of these names only."""
    rows = [row for row in runs.scores_of(ledger, run_id) if row["name"] in metrics]
    return columns.summary(columns.columns(rows), seed)


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
        self._journal.write(
            Score(
                score_id=uuid7(),
                turn_id=sample.turn_id,
                name=name,
                value=value,
                source="eval",
                created_at=datetime.now(UTC),
                scorer=self._scorer,
                reason=reason,
                failed=failed,
                tags=FLAG if flagged else None,
                run_id=self._run_id,
                case_id=sample.key,
            )
        )


def _billed(run: Mapping[str, Any], scorer: str, spent: Spent) -> Run:
    """Return the run with what its judges took added to its settings."""
    settings = dict(run["settings"] or {})
    before = dict(settings.get("judges") or {})
    bill = Spent(**before[scorer]) if scorer in before else Spent()
    bill.add(spent.plain())
    before[scorer] = bill.plain()
    known = {one.name: run[one.name] for one in fields(Run)}
    return replace(Run(**known), settings={**settings, "judges": before})
