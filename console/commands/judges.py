"""`answerdeck eval score`: a judge scores a run's answers; `eval calibrate`: what its word is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from console.commands.consent import Yes, agree
from console.commands.evals import Json, RunId
from console.commands.figures import cost, metric_table
from console.commands.opened import waiting
from console.commands.progress import bars
from console.commands.screen import emit, failed, wrong
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.rubric import Criterion
from evalsets.judges import calibration, judgement, labelled, process
from evalsets.judges.judge_metrics import JudgingEstimate, Sample, estimate
from evalsets.judges.judgement import Judgement
from evalsets.judges.process import Worker
from evalsets.judges.rubric import Marker
from evalsets.judges.task import JudgeJob
from evalsets.metrics.columns import Summary
from evalsets.metrics.judged import MARKED, Judged, marked
from evalsets.metrics.metric import SCORER
from evalsets.metrics.table import JUDGED
from pipeline import build, providers
from pipeline.desk import desk
from pipeline.settings import Settings, load_settings
from traces.queries import runs
from traces.records import Run
from traces.store import Store

DEFAULT = ("faithfulness", "answer_relevancy")
RUBRIC = "rubric"  # stands for every criterion of the evalset
JudgeName = Annotated[str, typer.Option("--judge", help="The model that judges, e.g. openai:gpt-6-luna.")]
Metrics = Annotated[
    str | None, typer.Option(help="RAGAS metrics, criteria (rubric_tone) or 'rubric' for all of them.")
]
Budget = Annotated[float | None, typer.Option(min=0, help="Stop at this many US dollars.")]


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """What a judge made of a run."""

    run: Run
    scorer: str
    metrics: Mapping[str, Summary]
    judgement: Judgement

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        result, spent = self.judgement, self.judgement.spent
        return {
            "run_id": self.run.run_id,
            "evalset": self.run.evalset,
            "variant": self.run.variant,
            "scorer": self.scorer,
            "metrics": {name: summary.to_dict() for name, summary in self.metrics.items()},
            "scored": result.scored,
            "failed": result.failed,
            "not_applicable": result.not_applicable,
            "already": result.already,
            "stopped": "budget" if result.left else None,
            "left": result.left,
            "flagged": result.flagged,
            "calls": spent.calls,
            "cached": spent.cached,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "cost_usd": spent.usd,
        }


def score_run(
    run: RunId,
    judge: JudgeName,
    metrics: Metrics = None,
    budget: Budget = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Add a judge's scores to a finished run; what it has scored already is not asked again."""
    result = judged(run, judge, metrics, budget, yes=yes, quiet=json)
    if json:
        emit(result.to_dict())
    else:
        _show(result)
    if result.judgement.left:
        raise failed(f"stopped at the cap of ${budget:g}; the same command with a larger one goes on")


def judged(
    run: str, judge: str, metrics: str | None, budget: float | None, *, yes: bool, quiet: bool
) -> JudgedRun:
    """JudgingEstimate, ask for consent, judge, and return what came of it."""
    settings = load_settings()
    job = process.job(judge, settings, budget_usd=budget)
    chosen(
        ",".join(name for name in (metrics or "").split(",") if not name.strip().startswith(RUBRIC)) or None
    )
    store = waiting(build.store(settings))
    store.drain()
    with store.read() as ledger:
        try:
            row = runs.run(ledger, run)
        except runs.UnknownRun as error:
            raise wrong(str(error)) from None
        samples = judgement.samples(ledger, row.run_id)
    names = chosen(metrics, _criteria(row))
    if not samples:
        raise wrong(f"run {row.run_id} has no answers to judge")
    expected = estimate(samples, names, judge, build.prices(settings))
    if budget is not None and expected.usd is None:
        raise wrong(f"--budget needs a price, and none is known for {judge}; set it under models.prices")
    _agree(expected, judge, yes=yes)
    try:
        scorers, result = asyncio.run(_score(store, job, row, samples, names, quiet=quiet))
    except KeyboardInterrupt:
        raise failed("stopped; the same command goes on where it was") from None
    store.drain()
    table: dict[str, Summary] = {}
    with store.read() as ledger:
        for name, scorer in scorers.items():
            table |= judgement.summary(ledger, row.run_id, [name], scorer, row.seed or 0)
    return JudgedRun(row, ", ".join(dict.fromkeys(scorers.values())), table, result)


def _criteria(row: Run) -> tuple[Criterion, ...]:
    """Return the criteria of a run's evalset as it stands; of a set that is gone, as they were in the run."""
    with suppress(EvalsetError):
        if criteria := load_evalset(row.evalset).rubric:
            return criteria
    return tuple(Criterion(**criterion) for criterion in row.settings.rubric.values())


def chosen(metrics: str | None, criteria: Sequence[Criterion] = ()) -> list[Judged]:
    """Return the metrics of a comma-separated list, or end the command when one is unknown.

    Without a list: faithfulness and answer relevancy, and all the team's own criteria.
    """
    own = {criterion.metric: marked(criterion) for criterion in criteria}
    given = [*DEFAULT, *own] if metrics is None else [name.strip() for name in metrics.split(",")]
    names = [part for name in given if name for part in (own if name == RUBRIC else (name,))]
    if RUBRIC in given and not own:
        raise wrong('the evalset has no rubric; write [rubric] and a line like tone = "…" into its .toml')
    table = JUDGED | own
    unknown = [name for name in names if name not in table]
    if unknown or not names:
        what = f"unknown metric {unknown[0]!r}" if unknown else "no metric"
        raise wrong(f"{what}; there are {', '.join(table)}")
    return [table[name] for name in dict.fromkeys(names)]


def _workers(
    metrics: Sequence[Judged], job: JudgeJob, settings: Settings
) -> Iterator[tuple[Any, list[Judged]]]:
    """Yield who scores which of the metrics: one process for RAGAS's, a marker a criterion.

    To be taken one after the other: each may spend what the ones before it left.
    """
    if theirs := [metric for metric in metrics if metric.criterion is None]:
        yield lambda left: Worker(replace(job, budget_usd=left), settings.data_dir), theirs
    for metric in metrics:
        if (criterion := metric.criterion) is not None:
            yield lambda left, own=criterion: Marker(replace(job, budget_usd=left), settings, own), [metric]


async def _score(
    store: Store, job: JudgeJob, row: Run, samples: Sequence[Sample], names: list[Judged], *, quiet: bool
) -> tuple[dict[str, str], Judgement]:
    """Return who scored each metric, and what became of the scores."""
    journal, result, scorers = build.journal(load_settings()), Judgement(), dict[str, str]()
    try:
        with bars(quiet) as step:
            for worker_of, metrics in _workers(names, job, load_settings()):
                step("Starting the judge")
                left = job.budget_usd and max(job.budget_usd - (result.spent.usd or 0.0), 0.0)
                async with worker_of(left) as worker:
                    scorers |= {metric.name: worker.scorer for metric in metrics}
                    with store.read() as ledger:
                        done = runs.scored_by(ledger, row.run_id, worker.scorer)
                    advance = step("Judging")

                    def progress(scored: int, total: int, usd: float | None, show: Any = advance) -> None:
                        show(scored, total, "unpriced" if usd is None else f"${usd:.4f}")

                    await judgement.score(
                        row, samples, metrics, worker, journal, done=done, progress=progress, judgement=result
                    )
        return scorers, result
    finally:
        journal.close()


def _agree(expected: JudgingEstimate, judge: str, *, yes: bool) -> None:
    price = "at an unknown price" if expected.usd is None else f"about ${expected.usd:.2f}"
    version = f" ({expected.price_version})" if expected.price_version else ""
    agree(
        f"{judge} will be asked up to {expected.calls:,} times for {expected.samples:,} scores: about "
        f"{expected.input_tokens:,} tokens in and {expected.output_tokens:,} out, {price}{version}",
        expected.usd if expected.calls else 0.0,
        yes=yes,
    )


def _show(result: JudgedRun) -> None:
    metric_table(result.metrics, result.scorer, idle=True)
    spent, flagged = result.judgement.spent, result.judgement.flagged
    calls = f"{spent.calls} calls, {spent.cached} remembered"
    print(f"\nrun {result.run.run_id} · {calls} · {cost(spent.usd)}")
    if flagged:
        print(f"Texts that speak to the judge in {', '.join(flagged[:5])}: look at these scores.")


def calibrate(
    scorer: Annotated[
        str, typer.Argument(help="groundedness, evidence, or with --judge a RAGAS metric or a criterion.")
    ],
    folder: Annotated[str, typer.Argument(help="handbook (shipped), a folder, or a labelled file.")],
    judge: Annotated[str | None, typer.Option(help="The model that judges, e.g. openai:gpt-6-luna.")] = None,
    evalset: Annotated[
        str | None, typer.Option("--set", help="The evalset whose rubric has the criterion.")
    ] = None,
    budget: Budget = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Hold a scorer against people's labels: its agreement with them, with an interval."""
    settings, metric = load_settings(), None
    if scorer not in calibration.FREE:
        if judge is None:
            raise wrong(f"{scorer} needs --judge; without one there are {', '.join(calibration.FREE)}")
        metric = _metric(scorer, evalset)
    try:
        sentences = labelled.load(folder)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if (sentences.about == "question") != (scorer == "evidence"):
        raise wrong(f"{sentences.name} holds labelled {sentences.about}s, {scorer} scores something else")
    try:
        name, scores = asyncio.run(
            _scores(sentences, metric or scorer, judge, budget, settings, yes=yes, quiet=json)
        )
    except KeyboardInterrupt:
        raise failed("stopped; what the judge said is remembered") from None
    calibrated = calibration.calibrate(sentences, scorer, name, scores)
    with desk(settings).together():
        calibration.remember(settings.data_dir, calibrated)
    if json:
        emit(calibrated.plain())
    else:
        _show_agreement(calibrated)


def _show_agreement(calibrated: calibration.Calibration) -> None:
    about = f"{calibrated.metric} by {calibrated.scorer} on {calibrated.labelled}"
    value = "cannot be told" if calibrated.value is None else f"{calibrated.value:.3f}"
    interval = "" if calibrated.ci_low is None else f" ({calibrated.ci_low:.3f} to {calibrated.ci_high:.3f})"
    print(f"{about}: {calibrated.kind} {value}{interval}, n {calibrated.n}")
    if calibrated.failed or calibrated.not_applicable:
        print(f"{calibrated.failed} failed, {calibrated.not_applicable} not applicable; both are left out")
    if calibrated.people is not None:
        print(f"One annotator against the others: {calibrated.people:.3f}")


def _metric(name: str, evalset: str | None) -> Judged:
    """Return the judged metric to calibrate; a criterion is looked up in the evalset's rubric."""
    if name.startswith(MARKED) and evalset is None:
        raise wrong(f"{name} is a criterion of an evalset; name it: --set NAME")
    try:
        criteria = () if evalset is None else load_evalset(evalset).rubric
    except EvalsetError as error:
        raise wrong(str(error)) from None
    metric, *others = chosen(name, criteria)
    if others:
        raise wrong(f"one scorer at a time; there are {', '.join((metric.name, *(m.name for m in others)))}")
    return metric


async def _scores(
    sentences: Any, scorer: str | Judged, judge: str | None, budget: float | None, settings: Any, *,
    yes: bool, quiet: bool,
) -> tuple[str, Any]:  # fmt: skip
    with bars(quiet) as step:
        if scorer == "groundedness":
            return SCORER, calibration.grounded(sentences)
        if not isinstance(scorer, Judged):
            advance = step("Reading")
            return SCORER, await calibration.evident(
                sentences, providers.embedder(settings), lambda n, of: advance(n, of)
            )
        assert judge is not None
        job = process.job(judge, settings, budget_usd=budget)
        expected = estimate(
            [sentence.sample for sentence in sentences.items], [scorer], judge, build.prices(settings)
        )
        _agree(expected, judge, yes=yes)
        advance = step("Judging")
        ((worker_of, _),) = _workers([scorer], job, settings)
        async with worker_of(budget) as worker:
            scores = await calibration.judged(sentences, scorer, worker, lambda n, of: advance(n, of))
        return worker.scorer, scores
