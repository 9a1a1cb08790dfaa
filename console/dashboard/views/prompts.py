"""Prompts: the versions and what they scored, what differs, a new one, and what lets one into force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import streamlit as st

from console import format
from console.dashboard import (
    boundary,
    chosen,
    clock,
    data,
    disk,
    markup,
    notices,
    palette,
    releases,
    side_by_side,
)
from console.dashboard.releases import ReleaseVersion
from console.dashboard.views import canary, one_run
from evalsets.metrics.columns import Summary
from evalsets.metrics.table import find_metric
from evalsets.release import onward
from evalsets.release.verdict import Check, Evidence, Verdict
from pipeline.configuration import gated
from pipeline.prompts.force import Change
from pipeline.prompts.library import PromptError

SCORED = ("correctness", "groundedness", "citation_precision", "abstention_correct")
WATCH_SECONDS = 2
STATES = {"in force": palette.GOOD, "released": palette.NEUTRAL, "candidate": "#6366f1"}
MARKS = {"passed": "✓", "failed": "✕", "noted": "!"}
TONES = {"passed": palette.GOOD, "failed": palette.BAD, "noted": "#f59e0b"}


def page() -> None:
    """Draw the versions of a prompt, then what can be done with one of them."""
    st.title("Prompts", anchor=False)
    with notices.problems():
        names = releases.force().names
        name = st.segmented_control(
            "Prompt", names, default=names[0], required=True, key="prompt", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        versions = releases.read(name or names[0])
        if not versions:
            notices.note("No versions", "The prompts folder holds none of this prompt.", key="no-versions")
            return
        _versions(versions)
        version, other = _chosen(versions)
        titles = ["Promote", "Canary", "What differs", "New version", "Audit log"]
        promote, trial, differs, new, log = st.tabs(titles, key="prompt_tab", bind="query-params")
        with trial:
            canary.draw(version)
        with differs:
            _differs(version, other)
        with new:
            _new(version)
        with log:
            _log()
        with promote:  # last, for it asks the gate, which takes seconds
            _promote(version)


def _versions(versions: list[ReleaseVersion]) -> None:
    heads = [
        "Version",
        "State",
        *(f"{find_metric(name).title} " for name in SCORED),
        "Live turns ",
        "Thumbs up ",
    ]
    rows = [_row(version) for version in versions]
    markup.show(markup.table(heads, rows), key="versions")
    sets = notices.plain(", ".join(Path(name).stem for name in data.settings().gate.evalsets))
    st.caption(
        f"Scores are of the newest whole run of {sets} with exactly this text, with 95 % intervals; "
        f"live numbers are of the last {releases.LIVE_DAYS} days."
    )


def _row(version: ReleaseVersion) -> str:
    prompt, run, live = version.prompt, version.run, version.live
    summary = data.read_scores(run).summary if run else {}
    about = markup.small(f'<span class="mono">{prompt.fingerprint}</span> · {escape(prompt.purpose)}')
    up = "—"
    if live is not None and live.rated:
        up = format.share(1 - live.down / live.rated) + markup.small(f"of {live.rated}")
    return markup.row(
        [
            markup.cell(f"<b>{escape(prompt.label)}</b>{about}", "text"),
            markup.cell(markup.chip(version.state, STATES.get(version.state, "#f59e0b"))),
            *(markup.cell(_mean(summary.get(name), name), "right") for name in SCORED),
            markup.cell(format.count(live.turns if live else 0), "right"),
            markup.cell(up, "right"),
        ],
        markup.address("evals", run=run.run_id) if run else None,
    )


def _mean(summary: Summary | None, name: str) -> str:
    if summary is None or summary.mean is None:
        return "—"
    write = find_metric(name).write
    return write(summary.mean) + markup.small(f"{write(summary.ci_low)} – {write(summary.ci_high)}")


def _chosen(versions: list[ReleaseVersion]) -> tuple[ReleaseVersion, ReleaseVersion]:
    """Draw the choice of a version and of the one to hold it against."""
    labels = [version.prompt.label for version in versions]
    in_force = next((version.prompt.label for version in versions if version.state == "in force"), labels[-1])
    chosen.settle("version")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        version = st.selectbox("Version", labels, key="version", bind="query-params", width=170)
        other = st.selectbox(
            "Against", labels, index=labels.index(in_force), key="against", bind="query-params", width=170
        )
    by_label = {version.prompt.label: version for version in versions}
    return by_label[version or labels[0]], by_label[other or in_force]


def _promote(version: ReleaseVersion) -> None:
    label = version.prompt.label
    if version.state == "in force":
        st.markdown(f"**{label} is in force.** The chat answers with it.")
        _rollback(version.prompt.name)
        return
    if releases.under_way(label):
        st.fragment(boundary.guarded(_watch, "prompts"), run_every=WATCH_SECONDS)(label)
        return
    decision = releases.decision(version.prompt)
    reasons = decision.reasons
    lines = "".join(_held(reason) for reason in reasons)
    title = f"{label} may take the place of {decision.in_force}" if not reasons else f"{label} is held back"
    reasons_html = f'<ul class="verdicts">{lines or _fine()}</ul>'
    markup.show(f'<div class="card"><h2>{escape(title)}</h2>{reasons_html}</div>', key="gate")
    _on(label, decision.evalsets)
    with st.container(horizontal=True, gap="small"):
        why = "\n".join(reasons) or None
        pressed = st.button(
            "Promote", type="primary", icon=":material/rocket_launch:", disabled=bool(reasons), help=why
        )
        if decision.missing and st.button("Run the evals", icon=":material/science:"):
            releases.run_evals(label)
            st.rerun()
        if reasons:
            _override(label)
        _rollback(version.prompt.name)
    if pressed:
        notices.done(releases.promote(label), f"{label} is in force")
    for evidence in decision.evalsets:
        if evidence.verdict:
            _checks(evidence.verdict)


def _on(label: str, proofs: Sequence[Evidence]) -> None:
    """Say what can be done where only cases lack, or what decides and how another set would."""
    way = onward.way(
        label, proofs, add="Evals → Evalsets → Import an evalset", override="“Override” below",
        policy="ANSWERDECK_GATE__BLIND=note in .env",
    )  # fmt: skip
    if way is not None:
        st.info(notices.plain(way), icon=":material/signpost:")
    decides = f"What decides: {', '.join(proof.evalset for proof in proofs)}."
    held = any(proof.reasons for proof in proofs)
    chosen = bool(gated.read(data.settings().own.path))
    other = " Another evalset is to decide? Open it under Evals → Evalsets and put it into the gate."
    st.caption(notices.plain(decides) + (other if held and not chosen else ""))


def _held(reason: str) -> str:
    return f'<li style="--c:{palette.BAD}"><span class="sign">✕</span><span>{escape(reason)}</span></li>'


def _fine() -> str:
    text = "Its evalsets passed on exactly this prompt, model, index, guardrails and code."
    return f'<li style="--c:{palette.GOOD}"><span class="sign">✓</span><span>{text}</span></li>'


def _override(label: str) -> None:
    with st.popover("Override", icon=":material/gavel:"):
        st.write("Promote against the gate. Your name and the reason stay in the audit log.")
        reason = st.text_area("Reason", key=f"reason-{label}", max_chars=500)
        if st.button("Override the gate", key=f"override-{label}", disabled=not (reason or "").strip()):
            notices.done(releases.promote(label, reason), f"{label} is in force, against the gate")


def _rollback(name: str) -> None:
    before = releases.force().previous(name)
    if before is None:
        return
    with st.popover(f"Go back to {before}", icon=":material/undo:"):
        st.write(f"{before} answers from the next turn on.")
        if st.button("Go back", key=f"rollback-{name}", type="primary"):
            notices.done(releases.rollback(name), f"{before} is in force")


def _watch(label: str) -> None:
    """Draw how far the evals of a version are; the whole page again when they are through."""
    with notices.problems():
        if not releases.under_way(label):
            st.rerun()
        with st.container(border=True):
            st.markdown(f"**Running the evals for {label}**")
            for run in [run for run in data.read_runs()[:6] if run.state == "running"]:
                done, cases = run.done or 0, run.cases or 1
                st.progress(min(done / cases, 1.0), text=f"{run.variant}: {one_run.cases_of(run)}")


def _checks(verdict: Verdict) -> None:
    """Draw what the gate looked at, with the way to the comparison behind it."""
    rows = [_check(check) for check in verdict.checks]
    to = markup.address("compare", evalset=verdict.evalset, baseline=verdict.baseline.run_id,
                        runs=verdict.candidate.run_id)  # fmt: skip
    head = f'<h2>{escape(verdict.evalset)} <span class="quiet">{escape(verdict.sentence)}</span></h2>'
    heads = ["Check", "Holds", "Baseline ", "Candidate ", "What it says"]
    link = f"<p>{markup.link('the cases behind it →', to)}</p>"
    markup.show(f"{head}{markup.table(heads, rows)}{link}", key=f"checks-{verdict.evalset}")


def _check(check: Check) -> str:
    about, state = find_metric(check.name), check.state
    return markup.row(
        [
            markup.cell(f"<b>{escape(about.title)}</b>"),
            markup.cell(markup.chip(f"{MARKS[state]} {state}", TONES[state])),
            markup.cell(about.write(check.baseline), "right"),
            markup.cell(about.write(check.candidate), "right"),
            markup.cell(escape(check.text), "text"),
        ]
    )


def _differs(version: ReleaseVersion, other: ReleaseVersion) -> None:
    a, b = other.prompt, version.prompt
    if a.text == b.text:
        st.caption(f"{b.label} is the same as {a.label}.")
        return
    html = side_by_side.table(a.label, a.text.splitlines(), b.label, b.text.splitlines())
    markup.show(html, key="diff")


def _new(version: ReleaseVersion) -> None:
    source = version.prompt
    placeholders = ", ".join(f"{{{{{name}}}}}" for name in source.placeholders)
    st.caption(
        f"Starts from {source.label}. Keep the head and each of {placeholders}; "
        "the text is checked, then saved as a new version."
    )
    text = st.text_area("Text", source.text, height=420, key=f"text-{source.label}-{source.fingerprint}")
    if st.button("Save as a new version", icon=":material/save:", disabled=text == source.text):
        try:
            label = releases.save(source.name, source, text)
        except (PromptError, OSError) as error:
            st.error(notices.plain(disk.why(error)))
            return
        chosen.later("version", label)
        st.toast(
            f"Saved {label}; “Run the evals” under Promote holds it against what is in force",
            icon=":material/check:",
        )
        st.rerun()


def _log() -> None:
    changes = releases.changes()
    if not changes:
        st.caption("Nothing was promoted yet; the versions of the configuration are in force.")
        return
    heads = [clock.head("When"), "Who", "What", "Change", "Reason"]
    markup.show(markup.table(heads, [_entry(change) for change in changes]), key="log")
    st.caption("Append-only; each entry is sealed with the one before it.")


def _entry(change: Change) -> str:
    colour = {"promote": palette.GOOD, "override": "#f59e0b", "rollback": palette.BAD}.get(
        change.action, "#6366f1"
    )
    share = f" {change.share:.0%}" if change.share is not None else ""
    return markup.row(
        [
            markup.cell(clock.moment(datetime.fromisoformat(change.at))),
            markup.cell(escape(change.actor)),
            markup.cell(markup.chip(change.action + share, colour)),
            markup.cell(f"{escape(change.before)} → <b>{escape(change.after)}</b>"
                        + markup.small(f'<span class="mono">{escape(change.fingerprint)}</span>')),
            markup.cell(escape(change.reason or "—"), "text"),
        ]
    )  # fmt: skip
