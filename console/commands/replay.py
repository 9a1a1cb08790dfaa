"""`answerdeck replay`: real turns asked again under another prompt or model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from console.commands.consent import Yes, agree
from console.commands.progress import bars, counting
from console.commands.screen import emit, failed, table, wrong
from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.release import playground
from evalsets.release.playground import ReplayedTurn
from evalsets.release.replay import Replay, again, expected, recorded, replay_turns
from evalsets.runs.runner import Variant
from pipeline.build import build, prepare, prices
from pipeline.configuration.sections import check_model
from pipeline.prompts.library import PromptError
from pipeline.settings import Settings, load_settings
from pipeline.turn import Pipeline
from traces.queries.runs import UnknownRun

UNITS = {"h": "hours", "d": "days", "w": "weeks"}
SHOWN = 20


def replay(
    since: Annotated[str, typer.Option(help="How far back, e.g. 24h, 7d, 4w.")] = "7d",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many turns (seeded choice).")] = None,
    prompt: Annotated[str | None, typer.Option(help="Prompt version; the one in force.")] = None,
    model: Annotated[str | None, typer.Option(help="Model; the configured one.")] = None,
    turn: Annotated[str | None, typer.Option(help="Only this turn, with the passages it had.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --turn: search anew.")] = False,
    run_id: Annotated[str | None, typer.Option("--run", help="Go on with this replay.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice and of intervals.")] = 0,
    yes: Yes = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask real turns again under a candidate; nothing of it counts as production."""
    period = _period(since)
    try:
        if model is not None:
            check_model(model)
        settings = load_settings(**({"models": {"primary": model}} if model else {}))
        pipeline = build(settings)
        if prompt is not None:
            pipeline.prompts.get_of("answer", prompt)
    except (ValueError, PromptError) as error:
        raise wrong(str(error)) from None

    async def work() -> ReplayedTurn | Replay:
        try:
            if turn is not None:
                _agree(pipeline, settings, [turn], yes=yes)
                return await playground.again(settings, turn, prompt=prompt, model=model, fresh=fresh)
            cases = _cases(pipeline, period, limit, seed, run_id)
            _agree(pipeline, settings, [case.case_id for case in cases.cases], yes=yes)
            await prepare(pipeline)
            return await _replayed(pipeline, cases, prompt, model, run_id, seed, quiet=json)
        finally:
            await pipeline.close()

    _print(_ended(work()), json=json)


def _ended(work: Coroutine[Any, Any, ReplayedTurn | Replay]) -> ReplayedTurn | Replay:
    try:
        return asyncio.run(work)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    except KeyboardInterrupt:
        raise failed("stopped; go on with the same command and --run ID (see eval list)") from None


def _print(report: ReplayedTurn | Replay, *, json: bool) -> None:
    if json:
        emit(report.to_dict())
    elif isinstance(report, ReplayedTurn):
        _show_one(report)
    else:
        _show(report)


def _period(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,4})([hdw])", text.strip())
    if match is None or int(match.group(1)) == 0:
        raise wrong(f"--since {text!r} is no period; write 24h, 7d or 4w")
    return timedelta(**{UNITS[match.group(2)]: int(match.group(1))})


def _cases(
    pipeline: Pipeline, period: timedelta, limit: int | None, seed: int, run_id: str | None
) -> Evalset:

    now = datetime.now(UTC)
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        if run_id is not None:
            try:
                return again(ledger, run_id)
            except UnknownRun:
                pass  # a new replay of this id
        return recorded(
            ledger, pipeline.rules.kb, now - period, now, reach=pipeline.memory.reach, limit=limit, seed=seed
        )


def _agree(pipeline: Pipeline, settings: Settings, turn_ids: Sequence[str], *, yes: bool) -> None:
    with pipeline.store.read() as ledger:
        estimate = expected(ledger, turn_ids, pipeline.rules.model, prices(settings))
    usd = estimate.usd
    price = "an unknown sum: the model has no known price" if usd is None else f"about ${usd:,.4f}"
    agree(f"{estimate.turns} turn{'s' * (estimate.turns != 1)}, {price}.", usd, yes=yes)


async def _replayed(
    pipeline: Pipeline, cases: Evalset, prompt: str | None, model: str | None, run_id: str | None, seed: int,
    *, quiet: bool,
) -> Replay:  # fmt: skip

    with bars(quiet) as step:
        return await replay_turns(
            pipeline,
            cases,
            Variant(prompt, model),
            run_id=run_id,
            seed=seed,
            progress=counting(step("Asking again")),
        )


def _show(report: Replay) -> None:
    outage = report.counts.get("outage", 0)
    turns = report.turns - outage
    for change, span in report.intervals.items():
        print(f"{report.counts[change]:>5} of {turns} {change}  ({span.low:.1%} to {span.high:.1%})")
    if outage:
        print(f"{outage:>5} were asked in an outage or turned away: nothing to compare with")
    print(f"{report.counts.get('same', 0):>5} of {turns} the same\n{report.sentence}\n")
    rows = []
    for name, key in (("cost", "cost_usd"), ("cost per 1000 turns", "usd_per_1000_turns"),
                      ("p50 s", "p50_seconds"), ("p95 s", "p95_seconds")):  # fmt: skip
        sides = (getattr(side, key) for side in (report.before, report.after))
        rows.append((name, *(None if value is None else f"{value:.4f}" for value in sides)))
    table(("", "as recorded", "replayed"), rows)
    if report.flips:
        print()
        flips = [(flip.change, flip.turn_id, flip.question[:60], flip.reason) for flip in report.flips]
        table(("", "turn", "question", "why"), flips[:SHOWN])
    print(f"\nrun {report.run_id}; answerdeck eval compare {report.baseline_run_id} {report.run_id}")


def _show_one(played: ReplayedTurn) -> None:
    for answer, title in ((played.before, "As recorded"), (played.after, "Now")):
        cost = "unpriced" if answer.cost_usd is None else f"${answer.cost_usd:.4f}"
        end = f"{answer.outcome} · {answer.support_reason} · {answer.seconds or 0:.2f} s · {cost}"
        print(f"{title}: {answer.prompt} · {answer.model} · {end}\n{answer.answer or '—'}\n")
