"""Evals: start a run, watch it, stop it, and read what each run measured."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from console import data, empty, format, jobs, markup, palette, texts
from console.data import RunScores
from evalsets.measures import measure

WATCH_SECONDS = 1
STATES = {"running": "#6366f1", "finished": palette.GOOD, "stopped": "#f59e0b", "failed": palette.BAD}
MARKS = {"running": "◌", "finished": "✓", "stopped": "■", "failed": "✕"}
IN_LIST = ("hit@5", "recall@5", "groundedness", "citation_precision", "abstention_correct")
WEAKEST = 20


def page() -> None:
    """Draw one run when the address names it, else the form, what runs now, and all runs."""
    with empty.problems():
        run_id = st.query_params.get("run")
        if run_id:
            _run(run_id)
            return
        st.title("Evals", anchor=False)
        _form()
        known = data.read_runs()
        _watch(known)
        _list(known)


def _form() -> None:
    with st.container(border=True, key="start-run"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            sets = data.evalsets()
            name = st.selectbox(
                "Evalset", list(sets), format_func=lambda name: f"{name} ({sets[name]} cases)", width=260
            )
            prompt = st.selectbox("Prompt", data.prompts(), width=160)
            model = st.selectbox(
                "Model",
                data.known_models(),
                accept_new_options=True,
                width=240,
                help="Any model of the configuration, or provider:name.",
            )
            limit = st.number_input(
                "Cases",
                min_value=0,
                value=0,
                step=10,
                width=120,
                help="0 runs all; fewer are chosen by a fixed seed.",
            )
            only = st.checkbox(
                "Retrieval only", help="Searches without asking a model: seconds, and no cost."
            )
            started = st.button("Start run", type="primary", icon=":material/play_arrow:")
    if started and name:
        job = jobs.start(
            data.settings().data_dir,
            name,
            prompt=prompt,
            model=model,
            only_retrieval=only,
            limit=limit or None,
        )
        st.toast(f"Started {job.title}", icon=":material/science:")


def _watch(known: list[dict[str, Any]]) -> None:
    """Show what runs now, again each second until nothing does."""
    started = jobs.known(data.settings().data_dir)
    busy = _busy(known, started)
    if busy or _unborn(known, started):
        st.fragment(_progress, run_every=WATCH_SECONDS)()


def _progress() -> None:
    with empty.problems():
        known, started = data.read_runs(), jobs.known(data.settings().data_dir)
        busy, unborn = _busy(known, started), _unborn(known, started)
        if not busy and not any(jobs.alive(job) for job in unborn):
            if unborn and not st.session_state.get("told"):
                st.session_state["told"] = True
                st.rerun()
            elif not unborn:
                st.rerun()
        for run in busy:
            _bar(run, started.get(run["run_id"]))
        for job in unborn:
            _waiting(job)


def _busy(known: list[dict[str, Any]], started: dict[str, jobs.Job]) -> list[dict[str, Any]]:
    """Return the runs under way: said to be running, and not by a process of ours that is gone."""
    return [
        run
        for run in known
        if run["state"] == "running" and (run["run_id"] not in started or jobs.alive(started[run["run_id"]]))
    ]


def _unborn(known: list[dict[str, Any]], started: dict[str, jobs.Job]) -> list[jobs.Job]:
    """Return the jobs whose run is not in the ledger: still loading, or failed before they began."""
    ids = {run["run_id"] for run in known}
    return [job for job in started.values() if job.run_id not in ids and _young(job)]


def _young(job: jobs.Job) -> bool:
    return (
        jobs.alive(job) or (datetime.now(UTC) - datetime.fromisoformat(job.started_at)).total_seconds() < 600
    )


def _waiting(job: jobs.Job) -> None:
    if jobs.alive(job):
        st.status(f"Starting {job.title} …", state="running")
        return
    said = jobs.said(data.settings().data_dir, job.run_id)
    with st.status(f"{job.title} did not start", state="error", expanded=True):
        st.code(said or "It ended without a word.", language=None)


def _bar(run: dict[str, Any], job: jobs.Job | None) -> None:
    done, cases = run["done"] or 0, run["cases"] or 1
    spent = run["seconds"] or 0.0
    left = f" · about {format.seconds(spent / done * (cases - done))} left" if done >= 3 else ""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{run['evalset']}** · {run['variant']}")
            if job is not None:
                _stop(job)
        failed = f" · {run['failed']} failed" if run["failed"] else ""
        st.progress(min(done / cases, 1.0), text=f"{done} of {cases} cases{failed}{left}")


def _stop(job: jobs.Job) -> None:
    with st.popover("Stop", icon=":material/stop_circle:"):
        st.write("What is done stays; the run is marked as stopped.")
        if st.button("Stop this run", key=f"stop-{job.run_id}", type="primary"):
            jobs.stop(job)
            st.toast("Stopping")


def _list(known: list[dict[str, Any]]) -> None:
    if not known:
        empty.note(
            "No runs yet",
            "Start one above, or run <code>answerdeck eval run demo</code> in a terminal.",
            key="no-runs",
        )
        return
    st.subheader("Runs", anchor=False)
    started = jobs.known(data.settings().data_dir)
    heads = ["Run", "State", *(f"{measure(name).title} " for name in IN_LIST), "Cost ", "Time "]
    rows = [_row(run, started) for run in known[:25]]
    markup.show(texts.table(heads, rows), key="runs")
    st.caption("Mean with its 95 % interval. Failed scores are counted beside a metric, never as 0.")


def _row(run: dict[str, Any], started: dict[str, jobs.Job]) -> str:
    where = escape(markup.address("evals", run=run["run_id"]))
    found = data.read_scores(run) if run["state"] != "running" else RunScores(run, {}, {})
    cells = "".join(f'<td class="right">{_mean(found.summary.get(name), name)}</td>' for name in IN_LIST)
    return (
        f'<tr data-open="{where}"><td class="text"><a href="{where}" data-open="{where}">{escape(run["evalset"])}</a>'
        f" · {escape(run['variant'])}<small>{format.moment(run['started_at'])} UTC · "
        f'<span class="mono">{format.short_id(run["run_id"])}</span></small></td>'
        f"<td>{state_chip(run, started)}<small>{_cases(run)}</small></td>{cells}"
        f'<td class="right">{format.usd(run["cost_usd"])}</td>'
        f'<td class="right">{format.seconds(run["seconds"])}</td></tr>'
    )


def state_chip(run: dict[str, Any], started: dict[str, jobs.Job]) -> str:
    """Return the state of a run; one whose process is gone was interrupted, whatever it says."""
    job = started.get(run["run_id"])
    if run["state"] == "running" and job is not None and not jobs.alive(job):
        return markup.chip("✕ interrupted", palette.BAD, "its process is gone; start it again to go on")
    return markup.chip(f"{MARKS[run['state']]} {run['state']}", STATES[run["state"]], run["error"] or "")


def _cases(run: dict[str, Any]) -> str:
    failed = f", {run['failed']} failed" if run["failed"] else ""
    return f"{run['done'] or 0} of {run['cases'] or 0} cases{failed}"


def _mean(found: dict[str, Any] | None, name: str) -> str:
    if found is None or found["mean"] is None:
        return "—"
    write = measure(name).write
    failed = (
        f' <span class="quiet" title="scores that failed">+{found["failed"]}✕</span>'
        if found["failed"]
        else ""
    )
    return (
        f"{write(found['mean'])}{failed}<small>{write(found['ci_low'])} to {write(found['ci_high'])}</small>"
    )


def _run(run_id: str) -> None:
    """Draw one run: what it was made with, every metric, and its weakest cases."""
    known = {run["run_id"]: run for run in data.read_runs()}
    back = markup.link("← All runs", markup.address("evals"), "back")
    if run_id not in known:
        markup.show(back, key="back")
        empty.note(
            "No such run",
            f'<span class="mono">{escape(run_id[:64])}</span> is not in the ledger.',
            key="no-run",
        )
        return
    run = known[run_id]
    found = data.read_scores(run)
    others = [other for other in known.values() if other["evalset"] == run["evalset"] and other is not run]
    compare = ""
    if others:
        against = max(
            (o for o in others if o["started_at"] < run["started_at"]), key=_began, default=others[0]
        )
        to = markup.address("compare", evalset=run["evalset"], baseline=against["run_id"], runs=run_id)
        compare = f"<p>{markup.link('Compare with an earlier run →', to)}</p>"
    turns = markup.link("its turns →", markup.address("turns", via="eval", run=run_id, last="30d"))
    markup.show(
        f'<p>{back}</p><div class="head"><h1>{escape(run["evalset"])} · {escape(run["variant"])}</h1>'
        f'<div class="chips">{state_chip(run, jobs.known(data.settings().data_dir))}</div></div>'
        f'<div class="around"><span>{format.moment(run["started_at"])} UTC</span><span>{_cases(run)}</span>'
        f'<span class="mono">{escape(run_id)}</span><span>{turns}</span></div>{compare}'
        f"<h2>Metrics</h2>{_metrics(found)}",
        key=f"run-{run_id}",
    )
    weakest, made = st.tabs(["Weakest cases", "Made with"])
    with weakest:
        _weakest(found)
    with made:
        markup.show(markup.pairs(_made_with(run)), key="made-with")


def _began(run: dict[str, Any]) -> datetime:
    return run["started_at"]


def _metrics(found: RunScores) -> str:
    rows: list[str] = []
    for name, summary in found.summary.items():
        about = measure(name)
        low = about.write(summary["ci_low"])
        interval = "—" if summary["mean"] is None else f"{low} to {about.write(summary['ci_high'])}"
        failed = markup.chip(str(summary["failed"]), palette.BAD) if summary["failed"] else "0"
        rows.append(
            f'<tr><td><b>{escape(about.title)}</b></td><td class="right"><b>{about.write(summary["mean"])}</b></td>'
            f'<td class="right quiet">{interval}</td><td class="right">{summary["n"]}</td><td class="right">{failed}</td>'
            f'<td class="right quiet">{summary["not_applicable"]}</td>'
            f'<td class="text quiet">{escape(about.what)}{"; lower is better" if about.better == "lower" else ""}</td></tr>'
        )
    if not rows:
        return '<p class="quiet">Nothing is scored yet.</p>'
    return texts.table(
        ["Metric", "Mean ", "95 % interval ", "Cases ", "Failed ", "Not applicable ", "What it says"], rows
    )


def _weakest(found: RunScores) -> None:
    names = [name for name in found.summary if measure(name).unit == "share" and name != "completed"]
    if not names:
        return
    name = st.selectbox("By", names, format_func=lambda name: measure(name).title, width=240)
    column, cases = found.columns[name], data.read_cases(found.run["run_id"])
    low_first = measure(name).better == "higher"
    failed = [(case_id, None, reason) for case_id, reason in column.failed.items()]
    scored = sorted(column.values.items(), key=lambda item: item[1] if low_first else -item[1])
    shown = [*failed, *((case_id, value, column.reasons.get(case_id)) for case_id, value in scored)][:WEAKEST]
    rows = [_weak(cases.get(case_id, {}), case_id, name, value, reason) for case_id, value, reason in shown]
    markup.show(
        texts.table(["Case", "Question", f"{measure(name).title} ", "Why", "Outcome"], rows), key="weakest"
    )


def _weak(case: dict[str, Any], case_id: str, name: str, value: float | None, reason: str | None) -> str:
    turn = case.get("turn_id")
    opens = f' data-open="{escape(markup.address("turns", turn=turn))}"' if turn else ""
    outcome = markup.outcome_chip(case["outcome"], case["error_class"]) if case.get("outcome") else "—"
    score = markup.chip("failed", palette.BAD) if value is None else measure(name).write(value)
    return (
        f'<tr{opens}><td class="mono">{escape(case_id[:24])}</td>'
        f'<td class="text"><span class="clip">{escape(case.get("question") or "—")}</span></td>'
        f'<td class="right">{score}</td><td class="text quiet"><span class="clip">{escape(reason or "—")}</span></td>'
        f"<td>{outcome}</td></tr>"
    )


def _made_with(run: dict[str, Any]) -> list[tuple[str, Any]]:
    prompt = " · ".join(part for part in (run["prompt"], run["prompt_fingerprint"]) if part)
    return [
        ("Evalset and fingerprint", f"{run['evalset']} · {run['evalset_fingerprint']}"),
        ("Prompt and fingerprint", prompt or None),
        ("Model", run["model"]),
        ("Knowledge base", run["kb"]),
        ("Index version", run["index_version"]),
        ("Guardrails", run["guardrails"]),
        ("Code", run["code_version"]),
        ("Seed", run["seed"]),
        ("Cost", format.usd(run["cost_usd"])),
        ("Took", format.seconds(run["seconds"])),
        ("Error", run["error"]),
    ]
