"""Evals: start a run, watch it, stop it, and see what each run measured."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import boundary, data, jobs, markup, notices
from console.dashboard.data import RunScores
from console.dashboard.views import run as one_run
from evalsets.metrics.table import find_metric
from traces.records import Run

WATCH_SECONDS = 1
RECENT_SECONDS = 600  # how long a run that never began is shown
IN_LIST = ("hit@5", "groundedness", "correctness", "citation_precision", "abstention_correct")
MOST_RUNS = 25


def page() -> None:
    """Draw one run when the address names it, else the form, what runs now, and all runs."""
    with notices.problems():
        run_id = st.query_params.get("run")
        if run_id:
            one_run.page(run_id)
            return
        st.title("Evals", anchor=False)
        _broken()
        _form()
        known = data.read_runs()
        started = jobs.known(data.settings().data_dir)
        if _under_way(known, started) or _unborn(known, started):
            st.fragment(boundary.guarded(_watch, "evals"), run_every=WATCH_SECONDS)()
        _list(known, started)


def _broken() -> None:
    """Name the evalsets that cannot be used, with file and line; the others are not touched by it."""
    for name, problem in data.unreadable().items():
        st.warning(
            f"Evalset {notices.plain(name)} cannot be used: {notices.plain(problem)}", icon=":material/rule:"
        )


def _form() -> None:
    """Draw what a run is made of, and start it."""
    sets = data.evalsets()
    card = st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="small")
    with card:
        name = st.selectbox(
            "Evalset", list(sets), format_func=lambda name: f"{name} ({sets[name]} cases)", width=250
        )
        prompt = st.selectbox("Prompt", data.prompts(), width=140)
        model = st.selectbox(
            "Model",
            data.known_models(),
            accept_new_options=True,
            width=240,
            help="One of the configuration or of earlier turns, or type provider:name.",
        )
        limit = st.number_input(
            "Cases",
            min_value=1,
            value=None,
            step=10,
            width=110,
            placeholder="all",
            help="Chosen by a fixed seed.",
        )
        only = st.checkbox("Retrieval only", help="Searches without asking a model: seconds, and no cost.")
        pressed = st.button("Start run", type="primary", icon=":material/play_arrow:")
    if pressed and name:
        folder = data.settings().data_dir
        job = jobs.start(folder, name, prompt=prompt, model=model, only_retrieval=only, limit=limit)
        st.toast(f"Started {job.title}", icon=":material/science:")


def _watch() -> None:
    """Draw what runs now; drawn again each second, and the whole page once when nothing runs any more."""
    with notices.problems():
        known, started = data.read_runs(), jobs.known(data.settings().data_dir)
        going, unborn = _under_way(known, started), _unborn(known, started)
        for run in going:
            _progress(run, started.get(run.run_id))
        for job in unborn:
            _starting(job)
        busy = bool(going) or any(jobs.alive(job) for job in unborn)
        if st.session_state.get("evals_busy") and not busy:
            st.session_state["evals_busy"] = False
            st.rerun()
        st.session_state["evals_busy"] = busy


def _under_way(known: list[Run], started: dict[str, jobs.Job]) -> list[Run]:
    """Return the runs said to be running, without those of ours whose process is gone."""
    running = [run for run in known if run.state == "running"]
    return [run for run in running if run.run_id not in started or jobs.alive(started[run.run_id])]


def _unborn(known: list[Run], started: dict[str, jobs.Job]) -> list[jobs.Job]:
    """Return the jobs whose run is not in the ledger: still loading, or ended before it began."""
    ids = {run.run_id for run in known}
    return [job for job in started.values() if job.run_id not in ids and (jobs.alive(job) or _recent(job))]


def _recent(job: jobs.Job) -> bool:
    passed = datetime.now(UTC) - datetime.fromisoformat(job.started_at)
    return passed.total_seconds() < RECENT_SECONDS


def _starting(job: jobs.Job) -> None:
    if jobs.alive(job):
        st.status(f"Starting {job.title} …", state="running")
        return
    with st.status(f"{job.title} did not start", state="error", expanded=True):
        said = jobs.said(data.settings().data_dir, job.run_id)
        st.code(said or "It ended without a word.", language=None)


def _progress(run: Run, job: jobs.Job | None) -> None:
    done, cases, spent = run.done or 0, run.cases or 1, run.seconds or 0.0
    left = f" · about {format.seconds(spent / done * (cases - done))} left" if 3 <= done < cases else ""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{run.evalset}** · {run.variant}")
            if job is not None:
                _stop(job)
        st.progress(min(done / cases, 1.0), text=f"{one_run.cases_of(run)}{left}")


def _stop(job: jobs.Job) -> None:
    with st.popover("Stop", icon=":material/stop_circle:"):
        st.write("What is done stays; the run is marked as stopped.")
        if st.button("Stop this run", key=f"stop-{job.run_id}", type="primary"):
            jobs.stop(job)
            st.toast("Stopping")


def _list(known: list[Run], started: dict[str, jobs.Job]) -> None:
    if not known:
        how = "Start one above, or run <code>answerdeck eval run demo</code> in a terminal."
        notices.note("No runs yet", how, key="no-runs")
        return
    st.subheader("Runs", anchor=False)
    heads = ["Run", "State", *(f"{find_metric(name).title} " for name in IN_LIST), "Cost, time "]
    rows = [_row(run, started) for run in known[:MOST_RUNS]]
    markup.show(markup.table(heads, rows, "list compare"), key="runs")
    st.caption("Mean and 95 % interval. Scores that failed are counted beside the mean, never as 0.")


def _row(run: Run, started: dict[str, jobs.Job]) -> str:
    found = data.read_scores(run, IN_LIST) if run.state != "running" else RunScores(run, {}, {})
    to = markup.address("evals", run=run.run_id)
    title = f"{markup.link(run.evalset, to)} · {escape(format.variant(run.variant))}"
    return markup.row(
        [
            markup.cell(title + one_run.when(run), "text"),
            markup.cell(one_run.state_chip(run, started) + markup.small(one_run.cases_of(run))),
            *(markup.cell(_mean(found.summary.get(name), name), "right") for name in IN_LIST),
            markup.cell(format.usd(run.cost_usd) + markup.small(format.seconds(run.seconds)), "right"),
        ],
        to,
    )


def _mean(found: dict[str, Any] | None, name: str) -> str:
    if found is None or found["mean"] is None:
        return "—"
    write = find_metric(name).write
    failed = ""
    if found["failed"]:
        failed = f' <span class="quiet" title="scores that failed">+{found["failed"]} ✕</span>'
    return f"{write(found['mean'])}{failed}" + markup.small(
        f"{write(found['ci_low'])} – {write(found['ci_high'])}"
    )
