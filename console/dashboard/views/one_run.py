"""One eval run: every metric with its interval, its weakest cases, what it was made with, its report."""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import agreement, clock, data, jobs, markup, notices, palette
from console.dashboard.data import RunScores
from console.dashboard.views import losses, report
from evalsets.metrics.columns import Summary
from evalsets.metrics.table import find_metric
from evalsets.reports import findings
from traces.queries.runs import RunCase
from traces.records import MADE_WITH, Run, RunSettings

WEAKEST = 20
STATES = {"running": "#6366f1", "finished": palette.GOOD, "stopped": "#f59e0b", "failed": palette.BAD}
MARKS = {"running": "◌", "finished": "✓", "stopped": "■", "failed": "✕"}


def page(run_id: str) -> None:
    """Draw the run with this id, or say that there is none."""
    runs = {run.run_id: run for run in data.read_runs()}
    back = f"<p>{markup.link('← All runs', markup.address('evals'), 'back')}</p>"
    if run_id not in runs:
        markup.show(back, key="back")
        label = f'<span class="mono">{escape(run_id[:64])}</span>'
        notices.note("No such run", f"{label} is not in the ledger.", key="no-run")
        return
    run = runs[run_id]
    scores = data.read_scores(run)
    head = f"{back}{_head(run)}{_about(run, list(runs.values()))}"
    markup.show(f"{head}<h2>Metrics</h2>{_metrics(scores)}", key=f"run-{run_id}")
    weakest, lost, content, agreement = st.tabs(
        ["Weakest cases", "Where pages were lost", "Made with", "Agreement with people"],
        key="run_tab",
        bind="query-params",
    )
    with weakest:
        _weakest(scores)
    with lost:
        losses.show(run_id)
    with content:
        markup.show(markup.pairs(_made_with(run)), key="made-with")
    with agreement:
        _trust(scores)
    report.buttons(lambda: data.report_of_run(run_id), f"run-{run_id[:13]}")


def state_chip(run: Run, started: dict[str, jobs.Job]) -> str:
    """Return the state of a run; one whose process is gone was interrupted, whatever it says."""
    job = started.get(run.run_id)
    if run.state == "running" and job is not None and not jobs.alive(job):
        return markup.chip("✕ interrupted", palette.BAD, "its process is gone")
    return markup.chip(f"{MARKS[run.state]} {run.state}", STATES[run.state], run.error or "")


def when(run: Run) -> str:
    """Return when a run began and its short id, as a second line."""
    short = f'<span class="mono">{format.short_id(run.run_id)}</span>'
    return markup.small(f"{clock.minute(run.started_at)} · {short}")


def cases_of(run: Run) -> str:
    """Return how many cases a run has done, and how many of them failed."""
    failed = f", {run.failed} failed" if run.failed else ""
    times = f", {run.settings.repetitions} times each" if run.settings.repetitions > 1 else ""
    return f"{run.done or 0} of {run.cases or 0} cases{times}{failed}"


def _head(run: Run) -> str:
    chip = state_chip(run, jobs.of_runs([run], jobs.remembered(data.settings().own.path)))
    title = f"{escape(run.evalset)} · {escape(format.variant(run.variant))}"
    return f'<div class="head"><h1>{title}</h1><div class="chips">{chip}</div></div>'


def _about(run: Run, runs: list[Run]) -> str:
    """Return when it ran, and the ways to its turns and to a comparison with the run before it."""
    parts = [
        clock.named(run.started_at),
        cases_of(run),
        f'<span class="mono">{escape(run.run_id)}</span>',
        markup.link("its turns →", markup.address("turns", via="eval", run=run.run_id, last="30d")),
    ]
    others = [other for other in runs if other.evalset == run.evalset and other is not run]
    earlier = [other for other in others if other.started_at < run.started_at]
    if others:
        baseline = (earlier or others)[0].run_id
        to = markup.address("compare", evalset=run.evalset, baseline=baseline, runs=run.run_id)
        parts.append(markup.link("compare with the run before →", to))
    return f'<div class="around">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


def _metrics(scores: RunScores) -> str:
    if not scores.summary:
        return '<p class="quiet">Nothing is scored yet.</p>'
    spread = ["Between repetitions "] if scores.run.settings.repetitions > 1 else []
    heads = [
        "Metric", "Mean ", "95 % interval ", *spread, "Cases ", "Failed ", "Not applicable ", "What it says"
    ]  # fmt: skip
    return markup.table(
        heads, [_metric(name, summary, scores.run.settings) for name, summary in scores.summary.items()]
    )


def _metric(name: str, summary: Summary, settings: RunSettings) -> str:
    about = find_metric(name)
    interval = "—"
    if summary.mean is not None:
        interval = f"{about.write(summary.ci_low)} – {about.write(summary.ci_high)}"
    failed = markup.chip(str(summary.failed), palette.BAD) if summary.failed else "0"
    says = findings.what(name, settings)
    what = f"{says}; lower is better" if about.better == "lower" else says
    return markup.row(
        [
            markup.cell(f"<b>{escape(about.title)}</b>"),
            markup.cell(f"<b>{about.write(summary.mean)}</b>", "right"),
            markup.cell(interval, "right quiet"),
            *([markup.cell(_spread(name, summary), "right quiet")] if settings.repetitions > 1 else []),
            markup.cell(str(summary.n), "right"),
            markup.cell(failed, "right"),
            markup.cell(str(summary.not_applicable), "right quiet"),
            markup.cell(escape(what), "text quiet"),
        ]
    )


def _spread(name: str, summary: Summary) -> str:
    return "—" if summary.spread is None else f"± {find_metric(name).write(summary.spread)}"


def _trust(scores: RunScores) -> None:
    """Draw how far the scorers of this run's metrics agree with people, where that was measured."""
    table = agreement.table(set(scores.summary))
    if table:
        markup.show(table, key="trust")
        st.caption("A judge counts in a gate when its best set reaches the floor.")
    else:
        st.caption("Not measured here yet: `answerdeck eval calibrate groundedness begin` is free.")


def _weakest(scores: RunScores) -> None:
    names = [name for name in scores.summary if find_metric(name).unit == "share"]
    if not names:
        return
    name = st.selectbox(
        "By",
        names,
        key="weakest_by",
        bind="query-params",
        format_func=lambda name: find_metric(name).title,
        width=240,
    )
    column, cases = scores.columns[name], data.read_cases(scores.run.run_id)
    sign = 1 if find_metric(name).better == "higher" else -1
    shown: list[tuple[str, float | None, str | None]] = [
        (case, None, why) for case, why in column.failed.items()
    ]
    scored = sorted(column.values.items(), key=lambda pair: pair[1] * sign)
    shown += [(case, value, column.reasons.get(case)) for case, value in scored]
    rows = [_weak(cases.get(case), case, name, value, why) for case, value, why in shown[:WEAKEST]]
    heads = ["Case", "Question", "Expected answer", "Answer", f"{find_metric(name).title} ", "Why", "Outcome"]
    markup.show(markup.table(heads, rows), key="weakest")


def _weak(case: RunCase | None, case_id: str, name: str, value: float | None, why: str | None) -> str:
    case = case or RunCase(case_id, "")
    score = markup.chip("failed", palette.BAD) if value is None else find_metric(name).write(value)
    outcome = markup.outcome_chip(case.outcome, case.error_class) if case.outcome else "—"
    return markup.row(
        [
            markup.cell(escape(case_id[:24]), "mono"),
            markup.cell(f'<span class="clip">{escape(case.question or "—")}</span>', "text"),
            markup.cell(f'<span class="clip">{escape(case.reference or "—")}</span>', "text quiet"),
            markup.cell(f'<span class="clip">{escape(case.answer or "—")}</span>', "text quiet"),
            markup.cell(score, "right"),
            markup.cell(f'<span class="clip">{escape(why or "—")}</span>', "text quiet"),
            markup.cell(outcome),
        ],
        markup.address("turns", turn=case.turn_id) if case.turn_id else None,
    )


def _made_with(run: Run) -> list[tuple[str, Any]]:
    prompt = " · ".join(part for part in (run.prompt, run.prompt_fingerprint) if part)
    return [
        ("Evalset and fingerprint", f"{run.evalset} · {run.evalset_fingerprint}"),
        ("Prompt and fingerprint", prompt or None),
        *((part.title, getattr(run, part.key)) for part in MADE_WITH[2:]),
        ("Seed", run.seed),
        ("Cost", format.usd(run.cost_usd)),
        ("Took", format.seconds(run.seconds)),
        ("Machine", str(run.settings.load) if run.settings.load else None),
        ("Measured beside", ", ".join(run.settings.beside) or None),
        ("Error", run.error),
    ]
