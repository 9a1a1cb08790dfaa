"""`answerdeck eval reproduce` and `eval bisect`: does a table still hold, and what made a metric drop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.evals import Json, eval_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalsets.cases.evalset import Evalset
    from evalsets.release.bisect import Trial
    from evalsets.reports.reproduce import Reproduction
    from evalsets.runs.runner import Variant
    from traces.records import Run

Set = Annotated[str | None, typer.Option("--evalset", help="Where the evalset is; by its name by default.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money is spent.")]


def register(app: typer.Typer) -> None:
    """The commands join `answerdeck eval` when this file is imported."""


@eval_app.command()
def reproduce(
    report: Annotated[Path, typer.Argument(help="What `eval report --format json` wrote.")],
    rerun: Annotated[bool, typer.Option("--rerun", help="Run the evalset again and compare.")] = False,
    evalset: Set = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Derive the table of a report once more: exit 1 and what differs when it is not the same."""
    from console.commands.evals import _ledger
    from console.commands.screen import emit, wrong
    from evalsets.reports import reproduce as reproducing
    from traces.queries.runs import UnknownRun

    try:
        told = reproducing.read(report)
    except reproducing.NotAReport as error:
        raise wrong(str(error)) from None
    if rerun and told["kind"] != "run":
        raise wrong("--rerun needs the report of one run, not of a comparison")
    made = _again(told["run"], evalset, yes=yes, quiet=json) if rerun else None
    try:
        with _ledger() as ledger:
            found = (
                reproducing.from_run(ledger, told, made["run_id"])
                if made
                else reproducing.from_ledger(ledger, told)
            )
    except UnknownRun as error:
        raise wrong(f"{error}; --rerun asks the cases again") from None
    if json:
        emit({"same": found.same, "sentence": found.sentence, "rows": found.rows, "differs": found.differs,
              "moved": found.moved, "notes": found.notes, "run": made and made["run_id"]})  # fmt: skip
    else:
        _tell(found, made)
    if not found.same:
        raise typer.Exit(1)


def _again(run: dict[str, Any], evalset: str | None, *, yes: bool, quiet: bool) -> dict[str, Any]:
    """Run the evalset of a report again as it was run, without the answer cache; return the run."""
    from evalsets.runs.runner import Variant

    variant = Variant.read(run["variant"])
    options = _options(run["seed"], run["limit"], run.get("repetitions"))
    return _made(_cases(run["evalset"], evalset), variant, options, cache=False, yes=yes, quiet=quiet)


def _tell(found: Reproduction, made: dict[str, Any] | None) -> None:
    print(found.sentence)
    if made:
        print(f"run again as {made['run_id']}")
    for text in found.differs:
        print(f"  - {text}")
    if found.moved:
        print("No longer the same:")
    for text in found.moved:
        print(f"  - {text}")
    for text in found.notes:
        print(f"note: {text}")


@eval_app.command()
def bisect(
    metric: Annotated[str, typer.Argument(help="A metric that dropped, e.g. recall@5.")],
    good: Annotated[str, typer.Option(help="The run before the drop.")],
    bad: Annotated[str, typer.Option(help="The run after it.")],
    evalset: Set = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Name the change behind a drop: prompt, model and retrieval settings are tried one at a time."""
    from console.commands.evals import _ledger
    from console.commands.screen import emit, table, wrong
    from evalsets.metrics.table import find_metric
    from evalsets.release import bisect as bisecting
    from traces.queries import runs

    try:
        with _ledger() as ledger:
            first = runs.run(ledger, good)
        found = bisecting.find(_ledger, good, bad, metric, _asking(first, evalset, yes=yes, quiet=json))
    except (runs.UnknownRun, bisecting.Unlike) as error:
        raise wrong(str(error)) from None
    if json:
        emit(found.to_dict())
        return
    write = find_metric(metric).write
    rows = (
        (
            one.title,
            write(one.difference.mean_b),
            write(one.difference.difference, signed=True),
            f"{write(one.difference.ci_low, signed=True)} to {write(one.difference.ci_high, signed=True)}",
            "worse" if one.to_blame else "no",
            one.run_id,
        )
        for one in found.steps
    )
    table(("tried", metric, "difference", "95 % interval", "worse?", "run"), rows)
    print(f"\n{found.sentence}")
    for text in found.fixed:
        print(f"not tried, cannot be switched from here: {text}")


def _asking(run: Run, evalset: str | None, *, yes: bool, quiet: bool) -> Callable[[Trial], str]:
    """Return what runs the evalset of `run` with one change."""
    import sys

    from console.commands.screen import wrong

    cases = _cases(run.evalset, evalset)
    if cases.fingerprint != run.evalset_fingerprint:
        was = run.evalset_fingerprint
        raise wrong(f"{run.evalset} changed since: {was} then, {cases.fingerprint} now")
    options = _options(run.seed, run.settings.limit, run.settings.repetitions)

    def ask(trial: Trial) -> str:
        print(f"Trying: {trial.title}", file=sys.stderr)
        made = _made(
            cases,
            trial.variant,
            options,
            cache=True,
            yes=yes,
            quiet=quiet,
            retrieval=trial.retrieval,
            trial=trial.title,
        )
        return made["run_id"]

    return ask


def _cases(name: str, evalset: str | None) -> Evalset:
    from console.commands.screen import wrong
    from evalsets.cases.cases import load
    from evalsets.cases.evalset import EvalsetError

    try:
        return load(evalset or name)
    except EvalsetError as error:
        raise wrong(f"{error}; --evalset says where it is") from None


def _options(seed: int | None, limit: int | None, repetitions: int | None) -> dict[str, Any]:
    return {"limit": limit, "seed": seed or 0, "run_id": None, "repetitions": repetitions or 1, "retries": 1}


def _made(cases: Evalset, variant: Variant, options: dict[str, Any], **how: Any) -> dict[str, Any]:
    import asyncio

    from console.commands.eval_run import _run
    from console.commands.screen import failed

    try:
        return asyncio.run(_run(cases, variant, options, None, **how))
    except KeyboardInterrupt:
        raise failed("stopped; the runs that are finished stay") from None
