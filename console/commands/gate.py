"""`answerdeck eval gate`: lets a build pass or fail by what two runs say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from console.commands.asking import agreeing
from console.commands.consent import Yes
from console.commands.evals import Json
from console.commands.opened import drained, waiting
from console.commands.progress import bars, counting
from console.commands.screen import emit, table, wrong
from evalsets.cases.evalset import EvalsetError
from evalsets.metrics.table import find_metric
from evalsets.release import gate_report, gated, in_force
from evalsets.release.gate import check, limits_of
from evalsets.release.in_force import Facts, trial
from evalsets.release.release import run_changed
from evalsets.release.verdict import Verdict
from evalsets.reports import record
from evalsets.reports.compare import NothingInCommon
from evalsets.reports.record import NotAReport
from pipeline.build import build, store
from pipeline.desk import desk
from pipeline.prompts.library import PromptError
from pipeline.settings import Settings, load_settings
from traces.ledger import Ledger
from traces.queries import runs
from traces.queries.runs import UnknownRun
from traces.records import Run


def gate(
    baseline: Annotated[str, typer.Option(help="The run to hold it against, or a JSON report.")],
    run: Annotated[str | None, typer.Option(help="The candidate; the newest run of that evalset.")] = None,
    model: Annotated[str | None, typer.Option(help="The model to ship; the configured one.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write Markdown for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    json: Json = False,
) -> None:
    """Exit 0 when the candidate may replace the baseline, 1 with the reasons when not."""
    try:
        verdict = _judge(baseline, run, model)
    except (UnknownRun, NotAReport, NothingInCommon) as error:
        raise wrong(str(error)) from None
    for out, write in ((summary, gate_report.markdown), (junit, gate_report.junit)):
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(write(verdict), encoding="utf-8")
    if json:
        emit(verdict.to_dict())
    else:
        print(f"{verdict.evalset}: {'passed' if verdict.passed else 'not passed'}. {verdict.sentence}")
        rows = ((item, find_metric(item.name).write) for item in verdict.checks)
        table(("check", "state", "baseline", "candidate", "what it says"),
              ((row.name, row.state, write(row.baseline), write(row.candidate), row.text)
               for row, write in rows))  # fmt: skip
    if not verdict.passed:
        raise typer.Exit(1)


def choose(
    evalsets: Annotated[list[str] | None, typer.Argument(help="Names of evalsets, or files.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Go back to the configuration's.")] = False,
    json: Json = False,
) -> None:
    """Say which evalsets a prompt must pass before it is promoted; without names, show them."""
    if evalsets and clear:
        raise wrong("name evalsets, or --clear, not both")
    desk(load_settings()).look()
    settings = load_settings()
    chosen = None
    try:
        if evalsets or clear:
            with desk(settings).together():
                chosen = gated.choose(settings, evalsets or [])
    except EvalsetError as error:
        raise wrong(str(error)) from None
    names = settings.gate.evalsets if chosen is None else chosen
    if json:
        emit(names)
        return
    print(f"A prompt must pass {', '.join(names)} before it is promoted.")


def changed(yes: Yes = False, json: Json = False) -> None:
    """Run the gate's evalsets again where prompt, model, index, guardrails or code changed since."""
    settings = load_settings()

    async def work() -> list[str]:
        pipeline = build(settings)
        waiting(pipeline.store)
        try:
            with bars(json) as step:
                return await run_changed(
                    pipeline,
                    settings.gate.evalsets,
                    lambda title: counting(step(title)),
                    agree=agreeing(pipeline, settings, yes=yes),
                )
        finally:
            await pipeline.close()

    outcome = asyncio.run(work())
    if json:
        emit(outcome)
    else:
        print("\n".join(f"run {run_id}" for run_id in outcome) or "Nothing changed since the last runs.")


def _judge(baseline: str, run: str | None, model: str | None) -> Verdict:
    settings = load_settings()
    file = Path(baseline)
    named_file = file.is_file() or file.suffix == ".json" or len(file.parts) > 1
    report = record.read(file) if named_file else None
    with drained() as ledger:
        first = report.run if report else runs.run(ledger, baseline)
        candidate = runs.run(ledger, run) if run else _newest(ledger, first)
    facts = asyncio.run(_facts(settings, candidate.prompt, candidate.kb, model))
    limits = limits_of(settings)
    with waiting(store(settings)).read() as ledger:
        return check(ledger, facts, candidate.run_id, report or first.run_id, limits=limits)


def _newest(ledger: Ledger, baseline: Run) -> Run:
    """Return the newest run of the baseline's evalset; raises UnknownRun when there is no other."""
    for row in runs.runs(ledger, evalset=baseline.evalset):
        other = row.run_id != baseline.run_id and row.only == baseline.only
        if other and not trial(row):
            return row
    raise runs.UnknownRun(
        f"no other run of {baseline.evalset!r}; answerdeck eval run {baseline.evalset} makes one"
    )


async def _facts(settings: Settings, prompt: str | None, kb: str | None, model: str | None) -> Facts:
    pipeline = build(settings)
    try:
        return await in_force.read(pipeline, kb, model=model, **({"answer": prompt} if prompt else {}))
    except PromptError as error:
        raise wrong(str(error)) from None
    finally:
        await pipeline.close()
