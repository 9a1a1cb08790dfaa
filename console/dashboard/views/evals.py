"""Evals: start a run, watch it, stop it, and see what each run measured."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import boundary, data, jobs, markup, notices
from console.dashboard.data import RunScores
from console.dashboard.views import cases, eval_form, one_run, sets
from evalsets.metrics.columns import Summary
from evalsets.metrics.judged import criteria
from evalsets.metrics.table import find_metric
from traces.records import Run

WATCH_SECONDS = 1
RECENT_SECONDS = 600  # how long a run that never began is shown
IN_LIST = ("hit@5", "groundedness", "correctness", "citation_precision", "abstention_correct")
MOST_RUNS = 25
MOST_CRITERIA = 3  # columns of teams' own criteria
PARTS = ("Runs", "Evalsets")


def page() -> None:
    """Draw one run when the address names it, else the form, what runs now, and all runs."""
    with notices.problems():
        run_id = st.query_params.get("run")
        if run_id:
            one_run.page(run_id)
            return
        st.title("Evals", anchor=False)
        _broken()
        part = st.segmented_control(
            "Part", PARTS, default=PARTS[0], required=True, key="part", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        if part == "Evalsets":
            name = st.query_params.get("set")
            cases.page(name) if name else sets.page()
            return
        eval_form.draw()
        runs = data.read_runs()
        started = jobs.remembered(data.settings().own.path)
        if _under_way(runs, started) or _unborn(runs, started):
            st.fragment(boundary.guarded(_watch, "evals"), run_every=WATCH_SECONDS)()
        _list(runs, started)


def _broken() -> None:
    """Name the evalsets that cannot be used, with file and line; the others are not touched by it."""
    for name, problem in data.unreadable().items():
        st.warning(
            f"Evalset {notices.plain(name)} cannot be used: {notices.plain(problem)}", icon=":material/rule:"
        )


def _watch() -> None:
    """Draw what runs now; drawn again each second, and the whole page once when nothing runs any more."""
    with notices.problems():
        runs, started = data.read_runs(), jobs.remembered(data.settings().own.path)
        going, unborn = _under_way(runs, started), _unborn(runs, started)
        ours = jobs.of_runs(going, started)
        for run in going:
            _progress(run, ours.get(run.run_id))
        for job in unborn:
            _starting(job)
        busy = bool(going) or any(jobs.alive(job) for job in unborn)
        if st.session_state.get("evals_busy") and not busy:
            st.session_state["evals_busy"] = False
            st.rerun()
        st.session_state["evals_busy"] = busy


def _under_way(runs: list[Run], started: dict[str, jobs.Job]) -> list[Run]:
    """Return the runs said to be running, without those of ours whose process is gone."""
    running = [run for run in runs if run.state == "running"]
    ours = jobs.of_runs(running, started)
    return [run for run in running if run.run_id not in ours or jobs.alive(ours[run.run_id])]


def _unborn(runs: list[Run], started: dict[str, jobs.Job]) -> list[jobs.Job]:
    """Return the jobs whose run is not in the ledger: still loading, or ended before it began."""
    begun = {job.run_id for job in jobs.of_runs(runs, started).values()}
    unborn = [job for job in started.values() if job.run_id not in begun]
    return [job for job in unborn if jobs.alive(job) or _recent(job)]


def _recent(job: jobs.Job) -> bool:
    passed = datetime.now(UTC) - datetime.fromisoformat(job.started_at)
    return passed.total_seconds() < RECENT_SECONDS


def _starting(job: jobs.Job) -> None:
    if jobs.alive(job):
        st.status(f"Starting {job.title} …", state="running")
        return
    with st.status(f"{job.title} did not start", state="error", expanded=True):
        output = jobs.output(data.settings().own.path, job.run_id)
        st.code(output or "It ended without a word.", language=None)


def _progress(run: Run, job: jobs.Job | None) -> None:
    done, cases, spent = run.done or 0, run.cases or 1, run.seconds or 0.0
    left = f" · about {format.seconds(spent / done * (cases - done))} left" if 3 <= done < cases else ""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{run.evalset}** · {run.variant}")
            if job is not None:
                _stop(job, run.run_id)
        st.progress(min(done / cases, 1.0), text=f"{one_run.cases_of(run)}{left}")


def _stop(job: jobs.Job, run_id: str) -> None:
    with st.popover("Stop", icon=":material/stop_circle:"):
        st.write("What is done stays; the run is marked as stopped.")
        if st.button("Stop this run", key=f"stop-{run_id}", type="primary"):
            jobs.stop(job)
            st.toast("Stopping")


def _list(runs: list[Run], started: dict[str, jobs.Job]) -> None:
    if not runs:
        how = "Start one above, or run <code>answerdeck eval run demo</code> in a terminal."
        notices.note("No runs yet", how, key="no-runs")
        return
    st.header("Runs", anchor=False)
    own = dict.fromkeys(name for run in runs[:MOST_RUNS] for name in criteria(run.settings))
    names = (*IN_LIST, *list(own)[:MOST_CRITERIA])
    heads = ["Run", "State", *(f"{find_metric(name).title} " for name in names), "Cost, time "]
    ours = jobs.of_runs(runs[:MOST_RUNS], started)
    rows = [_row(run, ours, names) for run in runs[:MOST_RUNS]]
    markup.show(markup.table(heads, rows, "list compare"), key="runs")
    st.caption("Mean and 95 % interval. Scores that failed are counted beside the mean, never as 0.")


def _row(run: Run, started: dict[str, jobs.Job], names: tuple[str, ...]) -> str:
    scores = data.read_scores(run, names) if run.state != "running" else RunScores(run, {}, {})
    to = markup.address("evals", run=run.run_id)
    title = f"{markup.link(run.evalset, to)} · {escape(format.variant(run.variant))}"
    if run.settings.trial:
        title += " " + markup.chip(run.settings.trial, "#64748b", "it speaks for nothing that is in force")
    return markup.row(
        [
            markup.cell(title + one_run.when(run), "text"),
            markup.cell(one_run.state_chip(run, started) + markup.small(one_run.cases_of(run))),
            *(markup.cell(_mean(scores.summary.get(name), name), "right") for name in names),
            markup.cell(format.usd(run.cost_usd) + markup.small(format.seconds(run.seconds)), "right"),
        ],
        to,
    )


def _mean(summary: Summary | None, name: str) -> str:
    if summary is None or summary.mean is None:
        return "—"
    write = find_metric(name).write
    failed = ""
    if summary.failed:
        failed = f' <span class="quiet" title="scores that failed">+{summary.failed} ✕</span>'
    return f"{write(summary.mean)}{failed}" + markup.small(
        f"{write(summary.ci_low)} – {write(summary.ci_high)}"
    )
