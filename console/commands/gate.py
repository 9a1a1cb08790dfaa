"""`answerdeck eval gate`: lets a build pass or fail by what two runs say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.evals import Json, eval_app

if TYPE_CHECKING:
    from evalsets.release.gate import Verdict
    from evalsets.release.in_force import Facts
    from pipeline.settings import Settings
    from traces.ledger import Ledger
    from traces.records import Run


def register(app: typer.Typer) -> None:
    """The command joins `answerdeck eval` when this file is imported."""


@eval_app.command()
def gate(
    baseline: Annotated[str, typer.Option(help="The run to hold it against.")],
    run: Annotated[str | None, typer.Option(help="The candidate; the newest run of that evalset.")] = None,
    model: Annotated[str | None, typer.Option(help="The model to ship; the configured one.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write Markdown for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    json: Json = False,
) -> None:
    """Exit 0 when the candidate may replace the baseline, 1 with the reasons when not."""
    from console.commands.screen import emit, table, wrong
    from evalsets.metrics.table import find_metric
    from evalsets.release import gate_report
    from traces.queries.runs import UnknownRun

    try:
        verdict = _judge(baseline, run, model)
    except UnknownRun as error:
        raise wrong(str(error)) from None
    for out, write in ((summary, gate_report.markdown), (junit, gate_report.junit)):
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(write(verdict), encoding="utf-8")
    if json:
        emit(verdict.to_dict())
    else:
        print(f"{verdict.evalset}: {'passed' if verdict.passed else 'not passed'}. {verdict.sentence}")
        rows = ((one, find_metric(one.name).write) for one in verdict.checks)
        table(("check", "state", "baseline", "candidate", "what it says"),
              ((one.name, one.state, write(one.baseline), write(one.candidate), one.text)
               for one, write in rows))  # fmt: skip
    if not verdict.passed:
        raise typer.Exit(1)


@eval_app.command()
def changed(json: Json = False) -> None:
    """Run the gate's evalsets again where prompt, model, index, guardrails or code changed since."""
    import asyncio

    from console.commands.evals import _bar
    from console.commands.screen import emit
    from evalsets.release.release import run_changed
    from pipeline.build import build
    from pipeline.settings import load

    settings = load()

    async def work() -> list[str]:
        pipeline = build(settings)
        try:
            with _bar(json) as bar:

                def step(title: str) -> Any:
                    advance = bar(title)
                    return lambda done, total, lost: advance(done, total, f"{lost} failed" if lost else "")

                return await run_changed(pipeline, settings.gate.evalsets, step)
        finally:
            await pipeline.close()

    made = asyncio.run(work())
    if json:
        emit(made)
    else:
        print("\n".join(f"run {run_id}" for run_id in made) or "Nothing changed since the last runs.")


def _judge(baseline: str, run: str | None, model: str | None) -> Verdict:
    import asyncio

    from evalsets.release.gate import check, limits_of
    from pipeline.build import store
    from pipeline.settings import load
    from traces.queries import runs

    settings = load()
    with store(settings).read() as ledger:
        first = runs.run(ledger, baseline)
        candidate = runs.run(ledger, run) if run else _newest(ledger, first)
    facts = asyncio.run(_facts(settings, candidate.prompt, candidate.kb, model))
    limits = limits_of(settings)
    with store(settings).read() as ledger:
        return check(ledger, facts, candidate.run_id, first.run_id, limits=limits)


def _newest(ledger: Ledger, baseline: Run) -> Run:
    """Return the newest run of the baseline's evalset; raises UnknownRun when there is no other."""
    from evalsets.release.in_force import trial
    from traces.queries import runs

    for row in runs.runs(ledger, evalset=baseline.evalset):
        other = row.run_id != baseline.run_id and row.only == baseline.only
        if other and not trial(row):
            return row
    raise runs.UnknownRun(f"no other run of {baseline.evalset!r}; `answerdeck eval run` makes one")


async def _facts(settings: Settings, prompt: str | None, kb: str | None, model: str | None) -> Facts:
    from console.commands.screen import wrong
    from evalsets.release import in_force
    from pipeline.build import build
    from pipeline.prompts.library import PromptError

    pipeline = build(settings)
    try:
        return await in_force.read(pipeline, kb, model=model, **({"answer": prompt} if prompt else {}))
    except PromptError as error:
        raise wrong(str(error)) from None
    finally:
        await pipeline.close()
