"""Health: what the chat depends on, the drain, the disk, and a drill started from here with its report."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from console import format
from console.dashboard import boundary, clock, data, jobs, markup, notices, palette, readiness
from console.dashboard.jobs import Job
from pipeline import build
from traces.ids import uuid7

DRILLS = "console/drills"  # below the data folder
WATCH_SECONDS = 3
TIGHT = 0.9  # of the disk
STATES = {"ok": palette.GOOD, "closed": palette.GOOD, "half_open": "#f59e0b", "degraded": "#f59e0b",
          "starting": "#6366f1", "isolated": "#64748b"}  # fmt: skip


def page() -> None:
    """Draw how things stand, drawn again every few seconds, then the drills."""
    st.title("Health", anchor=False)
    st.fragment(boundary.guarded(_now, "health"), run_every=WATCH_SECONDS)()
    with notices.problems():
        data.check_ledger()
    with notices.problems():
        _drills()


def _now() -> None:
    with notices.problems():
        settings = data.settings()
        report = readiness.report(settings.server.port)
        _chat(report, settings.server.port)
        _store()


def _chat(report: dict[str, Any], port: int) -> None:
    if not report:
        notices.note(
            "The chat does not answer",
            f"Nothing listens on port {port}; start it with <code>answerdeck up</code>.",
            key="no-chat",
        )
        return
    parts = [
        (dependency["name"], dependency["state"], dependency.get("detail") or "")
        for dependency in report.get("dependencies", [])
    ]
    parts += [(f"breaker {breaker['name']}", breaker["state"], "") for breaker in report.get("breakers", [])]
    rows = [
        markup.row(
            [
                markup.cell(f"<b>{escape(name)}</b>"),
                markup.cell(markup.chip(state, STATES.get(state, palette.BAD))),
                markup.cell(escape(detail or "—"), "text quiet"),
            ],
            markup.address("breakers") if name.startswith("breaker") else None,
        )
        for name, state, detail in parts
    ]
    facts = [
        ("Chat", str(report.get("state", "—"))),
        ("Turns under way", str(report.get("running_turns", "—"))),
        ("Turns waiting", str(report.get("waiting_turns", "—"))),
    ]
    table = markup.table(["Part", "State", "What is wrong"], rows)
    markup.show(f"{markup.facts(facts)}<p></p>{table}", key="parts")


def _store() -> None:
    settings = data.settings()
    try:
        health = build.store(settings).health()
    except OSError as error:
        raise data.Problem(
            f"The data folder cannot be read: {error}.", "Check ANSWERDECK_DATA_DIR."
        ) from error
    folder = Path(settings.data_dir)
    disk = shutil.disk_usage(folder if folder.exists() else ".")
    used = 1 - disk.free / disk.total
    drained = format.ago(health.drained_at, datetime.now(UTC)) if health.drained_at else "—"
    markup.show(
        markup.facts(
            [
                ("Last drained", drained),
                ("Oldest line waits", format.seconds(health.lag_seconds)),
                ("Damaged lines", format.count(health.damaged_lines)),
                ("Disk used", f"{used:.0%}"),
                ("Disk free", f"{disk.free / 1e9:,.1f} GB"),
            ]
        ),
        key="drain",
    )
    if health.trouble:
        st.warning(
            f"The journal cannot be drained: {notices.plain(health.trouble)}", icon=":material/hourglass_top:"
        )
    if health.quarantined:
        names = ", ".join(health.quarantined)
        st.warning(f"Damaged stores are kept aside: {notices.plain(names)}", icon=":material/inventory_2:")
    if used > TIGHT:
        st.warning(
            f"The disk is {used:.0%} full; free some, or prune with `answerdeck traces prune`.",
            icon=":material/hard_drive:",
        )


def _drills() -> None:
    """Draw the button that starts a drill, and the reports of those before."""
    st.header("Drills", anchor=False)
    st.caption(
        "A drill makes failures in a shadow conversation on this machine: a minute or two, no real turn."
    )
    folder = data.settings().data_dir
    drills = jobs.remembered(folder, DRILLS)
    running = [job for job in drills.values() if jobs.alive(job)]
    if st.button("Start a drill", type="primary", icon=":material/emergency:", disabled=bool(running)):
        start(folder)
        st.rerun()
    if running:
        st.fragment(boundary.guarded(_watch, "health"), run_every=WATCH_SECONDS)()
    ended = [job for job in drills.values() if job not in running]
    for job in ended[:5]:
        _report(job)


def start(folder: Path) -> Job:
    """Start a drill in a process of its own; its report is kept beside its log."""
    key = uuid7()
    place = (folder / DRILLS).absolute()
    command = [*jobs.COMMAND[:-2], "drill", "--out", str(place / f"{key}.md")]
    return jobs.launch(folder, DRILLS, key, command, "drill")


def _watch() -> None:
    folder = data.settings().data_dir
    running = [job for job in jobs.remembered(folder, DRILLS).values() if jobs.alive(job)]
    if not running:
        st.rerun()
    lines = jobs.output(folder, running[0].run_id, DRILLS).splitlines()
    st.status(lines[-1] if lines else "Starting …", state="running")


def _report(job: Job) -> None:
    folder = data.settings().data_dir
    when = clock.plain(datetime.fromisoformat(job.started_at))
    path = folder / DRILLS / f"{job.run_id}.md"
    with st.expander(f"Drill of {when}", icon=":material/fact_check:"):
        if not path.exists():
            st.error("It ended without a report. Its last words:")
            st.code(jobs.output(folder, job.run_id, DRILLS) or "none", language=None)
            return
        text = path.read_text("utf-8")
        st.markdown(text)
        st.download_button(
            "Report", data=text, file_name=f"drill-{job.run_id[:13]}.md", on_click="ignore",
            icon=":material/download:", key=f"drill-{job.run_id}",
        )  # fmt: skip
