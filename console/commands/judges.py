"""`answerdeck eval score`: a judge scores a run's answers; `eval calibrate`: what its word is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from console.commands.consent import Yes, agree
from console.commands.evals import Json, RunId
from console.commands.figures import cost, metric_table
from console.commands.progress import bars
from console.commands.screen import emit, failed, wrong
from evalsets.cases.evalset import EvalsetError
from evalsets.judges import calibration, judgement, labelled, process
from evalsets.judges.judge_metrics import Estimate, Sample, estimate
from evalsets.judges.judgement import Judgement
from evalsets.judges.process import Job, Worker
from evalsets.metrics.metric import SCORER
from evalsets.metrics.table import JUDGED
from pipeline import build
from pipeline.settings import load
from traces.journal import Journal
from traces.queries import runs
from traces.records import Run

DEFAULT = "faithfulness,answer_relevancy"
JudgeName = Annotated[str, typer.Option("--judge", help="The model that judges, e.g. openai:gpt-6-luna.")]
Metrics = Annotated[str, typer.Option(help="Comma-separated RAGAS metrics.")]
Budget = Annotated[float | None, typer.Option(min=0, help="Stop at this many US dollars.")]


def score_run(
    run: RunId,
    judge: JudgeName,
    metrics: Metrics = DEFAULT,
    budget: Budget = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Add a judge's scores to a finished run; what it has scored already is not asked again."""
    report = judged(run, judge, metrics, budget, yes=yes, quiet=json)
    if json:
        emit(report)
    else:
        _show(report)
    if report["stopped"]:
        raise failed(f"stopped at the cap of ${budget:g}; the same command with a larger one goes on")


def judged(
    run: str, judge: str, metrics: str, budget: float | None, *, yes: bool, quiet: bool
) -> dict[str, Any]:
    """Estimate, ask for consent, judge, and return the JSON of what came of it."""
    names = chosen(metrics)
    settings = load()
    job = process.job(judge, settings, budget_usd=budget)
    store = build.store(settings)
    store.drain()
    with store.read() as ledger:
        try:
            row = runs.run(ledger, run)
        except runs.UnknownRun as error:
            raise wrong(str(error)) from None
        samples = judgement.samples(ledger, row.run_id)
    if not samples:
        raise wrong(f"run {row.run_id} has no answers to judge")
    expected = estimate(samples, names, judge, build.prices(settings))
    if budget is not None and expected.usd is None:
        raise wrong(f"--budget needs a price, and none is known for {judge}; set it under models.prices")
    _agree(expected, judge, yes=yes)
    try:
        scorer, result = asyncio.run(_score(store, job, row, samples, names, quiet=quiet))
    except KeyboardInterrupt:
        raise failed("stopped; the same command goes on where it was") from None
    store.drain()
    with store.read() as ledger:
        table = judgement.summary(ledger, row.run_id, names, scorer, row.seed or 0)
    return _report(row, scorer, result, table)


def chosen(metrics: str) -> list[str]:
    """Return the metric names of a comma-separated list, or end the command when one is unknown."""
    names = list(dict.fromkeys(name.strip() for name in metrics.split(",") if name.strip()))
    unknown = [name for name in names if name not in JUDGED]
    if unknown or not names:
        what = f"unknown metric {unknown[0]!r}" if unknown else "no metric"
        raise wrong(f"{what}; there are {', '.join(JUDGED)}")
    return names


async def _score(
    store: Any, job: Job, row: Run, samples: Sequence[Sample], names: list[str], *, quiet: bool
) -> tuple[str, Judgement]:

    journal = Journal(store.journal)
    try:
        with bars(quiet) as step:
            step("Starting the judge")
            async with Worker(job, store.data_dir) as worker:
                with store.read() as ledger:
                    done = runs.scored_by(ledger, row.run_id, worker.scorer)
                advance = step("Judging")

                def progress(scored: int, total: int, usd: float | None) -> None:
                    advance(scored, total, "unpriced" if usd is None else f"${usd:.4f}")

                result = await judgement.score(
                    row, samples, names, worker, journal, done=done, progress=progress
                )
                return worker.scorer, result
    finally:
        journal.close()


def _agree(expected: Estimate, judge: str, *, yes: bool) -> None:
    price = "at an unknown price" if expected.usd is None else f"about ${expected.usd:.2f}"
    version = f" ({expected.price_version})" if expected.price_version else ""
    agree(
        f"{judge} will be asked up to {expected.calls:,} times for {expected.samples:,} scores: about "
        f"{expected.input_tokens:,} tokens in and {expected.output_tokens:,} out, {price}{version}",
        expected.usd if expected.calls else 0.0,
        yes=yes,
    )


def _report(row: Run, scorer: str, result: Judgement, table: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": row.run_id,
        "evalset": row.evalset,
        "variant": row.variant,
        "scorer": scorer,
        "metrics": table,
        "scored": result.scored,
        "failed": result.failed,
        "not_applicable": result.not_applicable,
        "already": result.already,
        "stopped": "budget" if result.left else None,
        "left": result.left,
        "flagged": result.flagged,
        "calls": result.spent.calls,
        "cached": result.spent.cached,
        "input_tokens": result.spent.input_tokens,
        "output_tokens": result.spent.output_tokens,
        "cost_usd": result.spent.usd,
    }


def _show(report: dict[str, Any]) -> None:
    metric_table(report["metrics"], report["scorer"], idle=True)
    calls = f"{report['calls']} calls, {report['cached']} remembered"
    print(f"\nrun {report['run_id']} · {calls} · {cost(report['cost_usd'])}")
    if report["flagged"]:
        print(f"Texts that speak to the judge in {', '.join(report['flagged'][:5])}: look at these scores.")


def calibrate(
    scorer: Annotated[str, typer.Argument(help="groundedness, evidence, or a RAGAS metric (with --judge).")],
    folder: Annotated[str, typer.Argument(help="handbook (shipped), a folder, or a labelled file.")],
    judge: Annotated[str | None, typer.Option(help="The model that judges, e.g. openai:gpt-6-luna.")] = None,
    budget: Budget = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Hold a scorer against people's labels: its agreement with them, with an interval."""
    settings = load()
    if scorer not in calibration.FREE:
        if judge is None:
            raise wrong(f"{scorer} needs --judge; without one there are {', '.join(calibration.FREE)}")
        chosen(scorer)
    try:
        known = labelled.load(folder)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if (known.about == "question") != (scorer == "evidence"):
        raise wrong(f"{known.name} holds labelled {known.about}s, {scorer} scores something else")
    try:
        name, scores = asyncio.run(_scores(known, scorer, judge, budget, settings, yes=yes, quiet=json))
    except KeyboardInterrupt:
        raise failed("stopped; what the judge said is remembered") from None
    calibrated = calibration.calibrate(known, scorer, name, scores)
    calibration.remember(settings.data_dir, calibrated)
    if json:
        emit(calibrated.plain())
        return
    value = "cannot be told" if calibrated.value is None else f"{calibrated.value:.3f}"
    interval = "" if calibrated.ci_low is None else f" ({calibrated.ci_low:.3f} to {calibrated.ci_high:.3f})"
    print(f"{scorer} by {name} on {known.name}: {calibrated.kind} {value}{interval}, n {calibrated.n}")
    if calibrated.failed or calibrated.not_applicable:
        print(f"{calibrated.failed} failed, {calibrated.not_applicable} not applicable; both are left out")
    if calibrated.people is not None:
        print(f"One annotator against the others: {calibrated.people:.3f}")


async def _scores(
    known: Any, scorer: str, judge: str | None, budget: float | None, settings: Any, *, yes: bool, quiet: bool
) -> tuple[str, Any]:

    with bars(quiet) as step:
        if scorer == "groundedness":
            return SCORER, calibration.grounded(known)
        if scorer == "evidence":
            advance = step("Reading")
            return SCORER, await calibration.evident(
                known, build.embedder(settings), lambda n, of: advance(n, of)
            )
        assert judge is not None
        job = process.job(judge, settings, budget_usd=budget)
        expected = estimate([item.sample for item in known.items], [scorer], judge, build.prices(settings))
        _agree(expected, judge, yes=yes)
        advance = step("Judging")
        async with process.Worker(job, settings.data_dir) as worker:
            scores = await calibration.judged(known, scorer, worker, lambda n, of: advance(n, of))
        return worker.scorer, scores
