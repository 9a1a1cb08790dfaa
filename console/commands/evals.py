"""`answerdeck eval …`: run evalsets, compare runs, write reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from evalsets.runs.runner import Variant
    from pipeline.turn import Pipeline
    from traces.ledger import Ledger

eval_app = typer.Typer(no_args_is_help=True, help="Measure answers and retrieval, honestly.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunId = Annotated[str, typer.Argument(help="A run id, its beginning, or 'latest'.")]
FORMATS = "html, pdf, md, json, csv, junit"


def register(app: typer.Typer) -> None:
    app.add_typer(eval_app, name="eval")


@eval_app.command("list")
def list_evals(json: Json = False) -> None:
    """List the shipped evalsets and the latest runs."""
    from console.commands.screen import emit, table
    from evalsets.cases.cases import list_sets
    from traces.queries import runs

    sets = list_sets()
    with _ledger() as ledger:
        found = runs.runs(ledger, limit=20)
    if json:
        emit({"evalsets": sets, "runs": [run.to_dict() for run in found]})
        return
    table(
        ("evalset", "title", "cases"),
        ((s["name"], s["title"], "unreadable" if s["problem"] else s["cases"]) for s in sets),
        "Evalsets",
    )
    for row in sets:
        if row["problem"]:
            print(f"{row['name']} cannot be read: {row['problem']}")
    if not found:
        print("\nNo run yet. Start one: answerdeck eval run demo")
        return
    print()
    columns = ("run_id", "evalset", "variant", "state", "done", "failed")
    table(columns, ([getattr(run, column) for column in columns] for run in found), "Latest runs")


@eval_app.command()
def compare(a: RunId, b: RunId, json: Json = False) -> None:
    """Compare run B with baseline A, paired by case."""
    from console.commands.screen import emit, table
    from evalsets.reports.compare import compare_runs

    with _ledger() as ledger:
        found = compare_runs(ledger, a, b)
    if json:
        emit(found.to_dict())
        return
    print(found.sentence)
    for note in found.notes:
        print(f"  {note}")
    print()
    columns = ("metric", "A", "B", "difference", "95 % interval", "p", "wins/losses/ties", "n")
    table(columns, (_difference(one) for one in found.differences))


@eval_app.command()
def report(
    run: RunId,
    against: Annotated[str | None, typer.Option(help="Compare with this baseline run.")] = None,
    format: Annotated[str, typer.Option(help=f"One or more of {FORMATS}, comma-separated.")] = "html",
    out: Annotated[Path | None, typer.Option(help="File; its ending follows the format.")] = None,
) -> None:
    """Write the report of a run, or of its comparison with a baseline."""
    from evalsets.reports import findings
    from evalsets.reports.compare import compare_runs
    from evalsets.reports.report import write

    with _ledger() as ledger:
        if against is None:
            found = findings.of_run(ledger, run)
            name = f"report-{found['run']['run_id'][:13]}"
        else:
            comparison = compare_runs(ledger, against, run)
            found = findings.of_comparison(ledger, comparison)
            name = "comparison"
    formats = [one.strip() for one in format.split(",") if one.strip()]
    for one in formats:
        ending = "xml" if one == "junit" else one
        path = out or Path(f"{name}.{ending}")
        path = path if out is not None and len(formats) == 1 else path.with_suffix(f".{ending}")
        write(found, one, path)
        print(path)


def _pipeline(variant: Variant, retrieval: Mapping[str, Any] | None = None) -> Pipeline:
    """Return a pipeline that answers as the variant does, with these retrieval settings if given."""
    from console.commands.screen import wrong
    from pipeline.build import build
    from pipeline.prompts.library import PromptError
    from pipeline.settings import check_model, load

    try:
        if variant.model is not None:
            check_model(variant.model)
        changed: dict[str, Any] = {"models": {"primary": variant.model}} if variant.model else {}
        settings = load(**changed, **({"retrieval": retrieval} if retrieval else {}))
        pipeline = build(settings)
        if variant.prompt is not None:
            pipeline.prompts.get(variant.prompt)
    except (ValueError, PromptError) as error:
        raise wrong(str(error)) from None
    return pipeline


def _ledger() -> AbstractContextManager[Ledger]:
    """Open the ledger, all of the journal moved in: a run just finished is many lines."""
    from pipeline import build
    from pipeline.settings import load

    store = build.store(load())
    store.drain()
    return store.read()


def _bar(quiet: bool) -> AbstractContextManager[Any]:
    """Return a context that makes progress callbacks, one per step."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def steps() -> Iterator[Any]:
        view = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        with Progress(*view, note, console=Console(stderr=True), disable=quiet) as bar:

            def step(title: str) -> Any:
                task = bar.add_task(title, total=None, note="")

                def progress(done: int, total: int, note: str = "") -> None:
                    bar.update(task, completed=done, total=total, note=note[:30])

                return progress

            yield step

    return steps()


def _show(report: dict[str, Any]) -> None:
    from console.commands.screen import table
    from evalsets.metrics.table import find_metric

    rows = []
    for name, found in report["metrics"].items():
        show = find_metric(name).write
        interval = "—" if found["ci_low"] is None else f"{show(found['ci_low'])} to {show(found['ci_high'])}"
        mean = None if found["mean"] is None else show(found["mean"])
        spread = [show(found["spread"])] if "spread" in found else []
        rows.append((name, mean, interval, found["n"], found["failed"], *spread))
    columns = ("metric", "mean", "95 % interval", "n", "failed")
    repeated = any("spread" in found for found in report["metrics"].values())
    title = f"{report['evalset']} · {report['variant']}"
    table((*columns, "between repetitions") if repeated else columns, rows, title)
    cost = "unpriced" if report["cost_usd"] is None else f"${report['cost_usd']:.4f}"
    print(f"\nrun {report['run_id']} · {report['seconds']:.1f} s · {cost}")


def _difference(one: Any) -> tuple[Any, ...]:
    from evalsets.metrics.table import find_metric

    show = find_metric(one.metric).write

    def signed(value: float | None) -> str | None:
        return None if value is None else show(value, signed=True)

    interval = None if one.ci_low is None else f"{signed(one.ci_low)} to {signed(one.ci_high)}"
    p = None if one.p is None else f"{one.p:.3f}"
    means = [None if value is None else show(value) for value in (one.mean_a, one.mean_b)]
    record = f"{len(one.wins)}/{len(one.losses)}/{one.ties}"
    return (one.metric, *means, signed(one.difference), interval, p, record, one.n)
