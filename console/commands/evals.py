"""`answerdeck eval …`: run evalsets, compare runs, write reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.commands.figures import comparison_table
from console.commands.opened import drained
from console.commands.screen import emit, table, wrong
from evalsets.cases.cases import list_sets
from evalsets.reports import findings
from evalsets.reports.compare import compare_runs
from evalsets.reports.content import Report
from evalsets.reports.report import write
from pipeline.settings import load_settings
from pipeline.shelving import library
from traces.queries import runs

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunId = Annotated[str, typer.Argument(help="A run id, its beginning, or 'latest'.")]
FORMATS = "html, pdf, md, json, csv, junit"


def list_evals(json: Json = False) -> None:
    """List the shipped evalsets and the latest runs."""
    sets = list_sets()
    with drained() as ledger:
        runs_listed = runs.runs(ledger, limit=20)
    if json:
        emit({"evalsets": [asdict(row) for row in sets], "runs": [run.to_dict() for run in runs_listed]})
        return
    table(
        ("evalset", "title", "cases"),
        ((row.name, row.title, "unreadable" if row.problem else row.cases) for row in sets),
        "Evalsets",
    )
    for row in sets:
        if row.problem:
            print(f"{row.name} cannot be read: {row.problem}")
    if not runs_listed:
        print("\nNo run yet. Start one: answerdeck eval run demo")
        return
    print()
    columns = ("run_id", "evalset", "variant", "state", "done", "failed")
    table(columns, ([getattr(run, column) for column in columns] for run in runs_listed), "Latest runs")


def compare(a: RunId, b: RunId, json: Json = False) -> None:
    """Compare run B with baseline A, paired by case."""
    with drained() as ledger:
        comparison = compare_runs(ledger, a, b)
    if json:
        emit(comparison.to_dict())
        return
    comparison_table(comparison)


def report(
    run: RunId,
    against: Annotated[str | None, typer.Option(help="Compare with this baseline run.")] = None,
    format: Annotated[str, typer.Option(help=f"One or more of {FORMATS}, comma-separated.")] = "html",
    out: Annotated[Path | None, typer.Option(help="File; its ending follows the format.")] = None,
) -> None:
    """Write the report of a run, or of its comparison with a baseline."""
    formats = [name.strip() for name in format.split(",") if name.strip()]
    if not formats or not set(formats) <= set(FORMATS.split(", ")):
        raise wrong(f"--format {format!r} is unknown; there are {FORMATS}")
    with drained() as ledger:
        if against is None:
            content: Report = (of_one := findings.of_run(ledger, run))
            name = f"report-{of_one.run.run_id[:13]}"
        else:
            comparison = compare_runs(ledger, against, run)
            content = findings.of_comparison(ledger, comparison, library(load_settings()))
            name = "comparison"
    for item in formats:
        ending = "xml" if item == "junit" else item
        path = out or Path(f"{name}.{ending}")
        path = path if out is not None and len(formats) == 1 else path.with_suffix(f".{ending}")
        write(content, item, path)
        print(path)
