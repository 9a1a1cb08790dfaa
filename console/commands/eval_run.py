"""`answerdeck eval run`: an evalset through one variant or several, with its price told before."""

from __future__ import annotations

import sys
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.evals import Json, eval_app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalsets.cases.evalset import Evalset
    from evalsets.runs.runner import Variant
    from pipeline.settings import Settings
    from pipeline.turn import Pipeline

Texts = list[str] | None
CHEAP_USD = 0.01  # below this nobody is asked


def register(app: typer.Typer) -> None:
    """The command joins `answerdeck eval` when this file is imported."""


@eval_app.command("run")
def run_evalset(
    evalset: Annotated[str, typer.Argument(help="An evalset's name, a .jsonl or .csv, or a BEIR folder.")],
    only: Annotated[str | None, typer.Option(help="'retrieval': no answers, no model.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many cases (seeded choice).")] = None,
    prompt: Annotated[Texts, typer.Option(help="Prompt version, e.g. answer@v2; several to compare.")] = None,
    model: Annotated[Texts, typer.Option(help="Model, e.g. openai:gpt-6-luna; several to compare.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=100, help="Ask each case so often.")] = 1,
    retries: Annotated[int, typer.Option(min=0, max=5, help="Ask failed cases again so often.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of choice and intervals.")] = 0,
    run_id: Annotated[str | None, typer.Option("--run", help="Name of the run; go on with one.")] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="Of a BEIR folder: 'last', 'rewrite' or 'tasks' (if it has tasks.jsonl)."),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="Let this model judge the answers afterwards.")] = None,
    metrics: Annotated[str | None, typer.Option(help="RAGAS metrics it judges, comma-separated.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Stop at this many dollars.")] = None,
    cache: Annotated[bool, typer.Option(help="Take answers a model gave before to the same prompt.")] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money is spent.")] = False,
    json: Json = False,
) -> None:
    """Run an evalset through the pipeline; each case is a turn, each metric a score."""
    import asyncio

    from console.commands.screen import failed, wrong
    from evalsets.cases.cases import load
    from evalsets.cases.evalset import EvalsetError
    from evalsets.runs.runner import Variant

    if evalset == "guardrails" and not (only or prompt or model or run_id or judge or limit):
        from console.commands.guardboard import show

        show(json=json)
        return
    if only not in (None, "retrieval"):
        raise wrong(f"--only {only!r} is unknown; it can be 'retrieval'")
    if queries not in (None, "last", "rewrite", "tasks"):
        raise wrong(f"--queries {queries!r} is unknown; it can be 'last', 'rewrite' or 'tasks'")
    pairs = list(dict.fromkeys(product(prompt or [None], model or [None])))
    variants = [Variant(*pair) for pair in pairs] if only is None else [Variant(only="retrieval")]
    if run_id is not None and len(variants) > 1:
        raise wrong("--run names one run; leave it out with several variants")
    try:
        cases = load(evalset, queries=queries)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    _check_judge(judge, metrics)
    options = {"limit": limit, "seed": seed, "run_id": run_id, "repetitions": repetitions, "retries": retries}
    reports: list[dict[str, Any]] = []
    try:
        for variant in variants:
            run = _run(cases, variant, options, budget, cache=cache, yes=yes, quiet=json)
            reports.append(asyncio.run(run))
    except KeyboardInterrupt:
        raise failed("stopped; go on with the same command and --run ID") from None
    for report in reports:
        if judge is not None and report["state"] == "finished":
            _judge(report, judge, metrics, budget, yes=yes, quiet=json)
    _print(reports, json=json)
    if any(report["state"] == "stopped" for report in reports):
        raise failed(f"stopped: {reports[-1]['error']}; go on with a larger cap and --run ID")


def _check_judge(judge: str | None, metrics: str | None) -> None:
    """End the command before a run is made that could not be judged as asked."""
    if judge is None:
        return
    from console.commands.judges import DEFAULT, chosen
    from evalsets.judges.process import job
    from pipeline.settings import load

    chosen(metrics or DEFAULT)
    job(judge, load())


def _judge(
    report: dict[str, Any], judge: str, metrics: str | None, budget: float | None, *, yes: bool, quiet: bool
) -> None:
    from console.commands.judges import DEFAULT, judged

    report["judged"] = judged(report["run_id"], judge, metrics or DEFAULT, budget, yes=yes, quiet=quiet)
    report["metrics"] |= report["judged"]["metrics"]


async def _run(
    cases: Evalset,
    variant: Variant,
    options: dict[str, Any],
    budget: float | None,
    *,
    cache: bool,
    yes: bool,
    quiet: bool,
    retrieval: Mapping[str, Any] | None = None,
    trial: str | None = None,
) -> dict[str, Any]:
    """Build the pipeline, index what the evalset brings, say the price, run with a progress bar."""
    from console.commands.evals import _bar, _pipeline
    from evalsets.cases import corpora
    from evalsets.runs.answer_cache import remember
    from evalsets.runs.runner import Plan, run
    from pipeline.settings import load
    from traces.records import RunSettings

    settings = load(**({"retrieval": retrieval} if retrieval else {}))
    pipeline = _pipeline(variant, retrieval)
    if cache:
        remember(pipeline, settings.data_dir)
    try:
        with _bar(quiet) as step:
            kb = await corpora.prepare(cases, pipeline.knowledge, step("Indexing its documents"))
            await pipeline.knowledge.embedder.embed_query("warm up")  # else the first case waits for it
        chosen = cases.some(options["limit"], options["seed"])
        expected = await _agree(
            chosen, variant, pipeline, settings, kb, options["repetitions"], budget, yes, quiet
        )
        with _bar(quiet) as step:
            advance = step("Asking")

            def progress(done: int, total: int, failures: int) -> None:
                advance(done, total, f"{failures} failed" if failures else "")

            shaped = RunSettings(
                retrieval=settings.retrieval.model_dump(), estimate_usd=expected, trial=trial
            )
            return await run(
                cases,
                variant,
                pipeline,
                Plan(budget_usd=budget, settings=shaped, **options),
                kb=kb,
                progress=progress,
            )
    finally:
        await pipeline.close()


async def _agree(
    cases: Evalset,
    variant: Variant,
    pipeline: Pipeline,
    settings: Settings,
    kb: str | None,
    repetitions: int,
    budget: float | None,
    yes: bool,
    quiet: bool,
) -> float | None:
    """Say what a run with a paid model will cost, and ask a person at a terminal; return the dollars."""
    from evalsets.runs.estimate import estimate
    from pipeline import build

    found = await estimate(cases, variant, pipeline, build.prices(settings), kb=kb, repetitions=repetitions)
    if not found.calls:
        return 0.0
    capped = f"; stops at ${budget:g}" if budget is not None else ""
    print(f"{variant.pinned(pipeline).label}: {found}{capped}", file=sys.stderr)
    small = found.most_usd is not None and found.most_usd < CHEAP_USD
    if sys.stdin.isatty() and not (yes or quiet or small):
        typer.confirm("Start?", abort=True, err=True)
    return found.usd


def _print(reports: list[dict[str, Any]], *, json: bool) -> None:
    from console.commands.evals import _ledger, _show, compare
    from console.commands.screen import emit
    from evalsets.reports.compare import compare_runs

    first, *others = reports
    if not json:
        for report in reports:
            _show(report)
            if report["calls_from_cache"]:
                print(
                    f"{report['calls_from_cache']} of {report['calls']} model calls came from the cache, free"
                )
            for warning in report["warnings"]:
                print(f"note: {warning}")
        for other in others:
            print(f"\nB {other['variant']}, against A {first['variant']}")
            compare(first["run_id"], other["run_id"])
        return
    if not others:
        emit(first)
        return
    with _ledger() as ledger:
        found = [compare_runs(ledger, first["run_id"], other["run_id"]).to_dict() for other in others]
    emit({"runs": reports, "comparisons": found})
