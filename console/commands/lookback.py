"""`answerdeck eval reproduce` and `eval bisect`: does a table still hold, and what made a metric drop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.evals import Json, eval_app

if TYPE_CHECKING:
    from evalsets.reproduce import Reproduction

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
    from evalsets import reproduce as reproducing
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
    import asyncio

    from console.commands.eval_run import _run
    from console.commands.screen import failed, wrong
    from evalsets.cases import EvalsetError, load
    from evalsets.runner import Variant

    try:
        cases = load(evalset or run["evalset"])
    except EvalsetError as error:
        raise wrong(f"{error}; --evalset says where it is") from None
    prompt, _, model = run["variant"].partition(" · ")
    variant = Variant(only="retrieval") if run["only"] else Variant(prompt, model)
    options = {
        "limit": run["limit"],
        "seed": run["seed"] or 0,
        "run_id": None,
        "repetitions": run.get("repetitions") or 1,
        "retries": 1,
    }
    try:
        return asyncio.run(_run(cases, variant, options, None, cache=False, yes=yes, quiet=quiet))
    except KeyboardInterrupt:
        raise failed("stopped") from None


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
