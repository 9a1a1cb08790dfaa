"""`answerdeck eval reproduce` and `eval bisect`: does a table still hold, and what made a metric drop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.asking import ask
from console.commands.consent import Yes, reach
from console.commands.evals import Json
from console.commands.opened import drained
from console.commands.screen import emit, failed, table, wrong
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.metrics.table import find_metric
from evalsets.release.bisect import Trial, Unlike, find_cause
from evalsets.reports import record
from evalsets.reports.compare import NothingInCommon
from evalsets.reports.reproduce import Reproduction, derive_from_ledger, derive_from_run
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Plan, Variant
from pipeline.build import prices
from pipeline.models.model import Tokens
from pipeline.settings import load_settings
from traces.queries import runs
from traces.queries.runs import UnknownRun
from traces.records import Run, RunSettings

Set = Annotated[str | None, typer.Option("--evalset", help="Where the evalset is; by its name by default.")]


def reproduce(
    report: Annotated[Path, typer.Argument(help="What `eval report --format json` wrote.")],
    rerun: Annotated[bool, typer.Option("--rerun", help="Run the evalset again and compare.")] = False,
    evalset: Set = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Derive the table of a report once more: exit 1 and what differs when it is not the same."""
    try:
        written = record.load(report)
    except record.NotAReport as error:
        raise wrong(str(error)) from None
    if rerun and written["kind"] != "run":
        raise wrong("--rerun needs the report of one run, not of a comparison")
    rerun_of = _again(written["run"], evalset, yes=yes, quiet=json).run_id if rerun else None
    try:
        with drained() as ledger:
            reproduction = (
                derive_from_run(ledger, written, rerun_of)
                if rerun_of
                else derive_from_ledger(ledger, written)
            )
    except UnknownRun as error:
        raise wrong(f"{error}; --rerun asks the cases again") from None
    if json:
        outcome = {"same": reproduction.same, "sentence": reproduction.sentence}
        emit(asdict(reproduction) | outcome | {"run": rerun_of})
    else:
        _tell(reproduction, rerun_of)
    if not reproduction.same:
        raise typer.Exit(1)


def _again(run: dict[str, Any], evalset: str | None, *, yes: bool, quiet: bool) -> Outcome:
    """Run the evalset of a report again as it was run, without the answer cache."""
    variant = Variant.read(run["variant"])
    plan = _plan(run["seed"], run["limit"], run.get("repetitions"))
    return _made(_cases(run["evalset"], evalset), variant, plan, cache=False, yes=yes, quiet=quiet)


def _tell(reproduction: Reproduction, rerun_of: str | None) -> None:
    print(reproduction.sentence)
    if rerun_of:
        print(f"run again as {rerun_of}")
    for text in reproduction.differs:
        print(f"  - {text}")
    if reproduction.moved:
        print("No longer the same:")
    for text in reproduction.moved:
        print(f"  - {text}")
    for text in reproduction.notes:
        print(f"note: {text}")


def bisect(
    metric: Annotated[str, typer.Argument(help="A metric that dropped, e.g. recall@5.")],
    good: Annotated[str, typer.Option(help="The run before the drop.")],
    bad: Annotated[str, typer.Option(help="The run after it.")],
    evalset: Set = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Name the change behind a drop: prompt, model and retrieval settings are tried one at a time."""
    try:
        with drained() as ledger:
            both = runs.run(ledger, good), runs.run(ledger, bad)
        finding = find_cause(drained, good, bad, metric, _asking(*both, evalset, yes=yes, quiet=json))
    except (runs.UnknownRun, NothingInCommon, Unlike) as error:
        raise wrong(str(error)) from None
    if json:
        emit(finding.to_dict())
        return
    write = find_metric(metric).write
    rows = (
        (
            step.title,
            write(step.difference.mean_b),
            write(step.difference.difference, signed=True),
            f"{write(step.difference.ci_low, signed=True)} to {write(step.difference.ci_high, signed=True)}",
            "worse" if step.to_blame else "no",
            step.run_id,
        )
        for step in finding.steps
    )
    table(("tried", metric, "difference", "95 % interval", "worse?", "run"), rows)
    print(f"\n{finding.sentence}")
    for text in finding.fixed:
        print(f"not tried, cannot be switched from here: {text}")


def _asking(run: Run, bad: Run, evalset: str | None, *, yes: bool, quiet: bool) -> Callable[[Trial], str]:
    """Return what runs the evalset of `run` with one change; consent that a later one needs comes first."""
    cases = _cases(run.evalset, evalset)
    if cases.fingerprint != run.evalset_fingerprint:
        was = run.evalset_fingerprint
        raise wrong(f"{run.evalset} changed since: {was} then, {cases.fingerprint} now")
    plan = _plan(run.seed, run.settings.limit, run.settings.repetitions)

    def attempt(trial: Trial) -> str:
        if any(_paid(side) for side in (run, bad)):
            reach(yes=yes)
        print(f"Trying: {trial.title}", file=sys.stderr)
        outcome = _made(
            cases,
            trial.variant,
            replace(plan, settings=RunSettings(trial=trial.title)),
            cache=True,
            yes=yes,
            quiet=quiet,
            retrieval=trial.retrieval,
        )
        return outcome.run_id

    return attempt


def _paid(run: Run) -> bool:
    """Say whether asking the cases of a run again may cost something."""
    if run.only is not None or run.model is None:
        return False
    return prices(load_settings()).cost(run.model, Tokens(1, 1)).usd != 0.0


def _cases(name: str, evalset: str | None) -> Evalset:
    try:
        return load_evalset(evalset or name)
    except EvalsetError as error:
        raise wrong(f"{error}; --evalset says where it is") from None


def _plan(seed: int | None, limit: int | None, repetitions: int | None) -> Plan:
    return Plan(limit=limit, seed=seed or 0, repetitions=repetitions or 1, retries=1)


def _made(cases: Evalset, variant: Variant, plan: Plan, **how: Any) -> Outcome:
    if variant.outside:
        raise wrong(f"{variant.label} is another chatbot; ask it again: answerdeck eval run SET --target URL")
    try:
        return asyncio.run(ask(cases, [variant], plan, **how))[0]
    except KeyboardInterrupt:
        raise failed("stopped; the runs that are finished stay") from None
