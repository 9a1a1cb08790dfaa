"""History: one metric of an evalset over its runs, and what was changed between them."""

from __future__ import annotations

from datetime import datetime
from html import escape
from itertools import pairwise

import streamlit as st

from console import format
from console.dashboard import charts, clock, data, markup, notices, palette
from console.dashboard.views import one_run
from evalsets.metrics.columns import Summary
from evalsets.metrics.table import find_metric, ordered
from evalsets.release import changes
from evalsets.release.changes import Changed
from evalsets.release.in_force import trial
from traces.records import Run

EVERY = "all variants"
FIRST = "groundedness"
AMBER = "#f59e0b"
LEAST_SPAN = 0.1  # of the axis of a share: less would blow up what is nothing
Means = dict[str, Summary]  # of each run
Changes = list[tuple[Run, list[Changed]]]


def page() -> None:
    """Draw the choice, the chart with its change markers, and the table of changes."""
    st.title("History", anchor=False)
    with notices.problems():
        finished = [run for run in data.read_runs() if run.state == "finished" and not trial(run)]
        if not finished:
            notices.note(
                "No finished runs yet",
                "Start one on the Evals page; each later run of the same evalset is a point here.",
                key="no-history",
            )
            return
        chosen = _chosen(finished)
        if chosen is None:
            notices.note(
                "Nothing is scored yet", "No finished run of this evalset has a score.", key="no-score"
            )
            return
        evalset, metric, runs = chosen
        means = data.read_means(evalset, metric)
        shown = [run for run in runs if run.run_id in means]
        if not shown:
            notices.note("No run has this metric", "Choose another metric or variant above.", key="no-metric")
            return
        changed = changes.over_time(shown)
        _chart(shown, means, metric, changed)
        _table(shown, means, metric, changed)


def _chosen(finished: list[Run]) -> tuple[str, str, list[Run]] | None:
    """Draw the choices; return the evalset, the metric and its runs, oldest first."""
    sets = list(dict.fromkeys(run.evalset for run in finished))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        evalset = st.selectbox("Evalset", sets, key="history_set", bind="query-params", width=190) or sets[0]
        names = ordered(set(data.metrics(evalset)))
        if not names:
            return None
        metric = st.selectbox(
            "Metric",
            names,
            index=names.index(FIRST) if FIRST in names else 0,
            key="metric",
            bind="query-params",
            format_func=lambda name: find_metric(name).title,
            width=230,
        )
        of_set = [run for run in finished if run.evalset == evalset][::-1]
        labels = [EVERY, *dict.fromkeys(run.variant for run in of_set)]
        variant = st.selectbox(
            "Variant", labels, key="variant", bind="query-params", format_func=_variant, width=300
        )
    runs = [run for run in of_set if variant in (EVERY, None, run.variant)]
    return evalset, metric or names[0], runs


def _variant(label: str) -> str:
    return label if label == EVERY else format.variant(label)


def _chart(runs: list[Run], means_by_run: Means, metric: str, changed: Changes) -> None:
    variants = list(dict.fromkeys(run.variant for run in runs))
    colours = palette.model_colours(variants)
    points = {
        _variant(name): [_point(run, means_by_run[run.run_id], metric) for run in runs if run.variant == name]
        for name in variants
    }
    marks: dict[datetime, str] = {
        run.started_at: "<br>".join(
            ["<b>Changed before this run</b>", *(escape(str(part)) for part in parts)]
        )
        for run, parts in changed
    }
    named = {_variant(name): colour for name, colour in colours.items()}
    about = find_metric(metric)
    alt = f"{about.title} over {len(runs)} runs, {len(changed)} changes between them"
    figure = charts.history(points, named, marks)
    if about.unit == "share":
        means = [means_by_run[run.run_id] for run in runs]
        ends = [end for mean in means for end in (mean.ci_low, mean.ci_high) if end is not None]
        charts.show_shares(figure, min(ends), max(ends), LEAST_SPAN)
    charts.draw(figure, "history", alt, {**named, "something changed": AMBER} if marks else named)
    better = "lower is better" if about.better == "lower" else "higher is better"
    st.caption(
        f"{about.title}: {about.what}; {better}. A point is the mean of a run, its bar the 95 % interval. "
        "Whether two runs differ beyond chance is for Compare to say: it pairs them case by case."
    )


def _point(run: Run, about: Summary, metric: str) -> charts.PlottedMean:
    write = find_metric(metric).write
    text = (
        f"<b>{write(about.mean)}</b> ({write(about.ci_low)} – {write(about.ci_high)})"
        f"<br>{escape(_variant(run.variant))}<br>{clock.plain(run.started_at, '%d %b %H:%M')}, n {about.n}"
    )
    return charts.PlottedMean(run.started_at, about.mean or 0.0, about.ci_low, about.ci_high, text)


def _table(runs: list[Run], means_by_run: Means, metric: str, changed: Changes) -> None:
    st.header("Changes", anchor=False)
    if not changed:
        st.caption("Prompt, model, index, guardrails, code and retrieval were the same in all these runs.")
        return
    before = {run.run_id: earlier for earlier, run in pairwise(runs)}
    rows = [_row(before[run.run_id], run, parts, means_by_run, metric) for run, parts in reversed(changed)]
    heads = ["Run", "What changed", "Before ", "After ", "Compare"]
    markup.show(markup.table(heads, rows), key="changes")
    st.caption("To name the change behind a drop: `answerdeck eval bisect METRIC --good RUN --bad RUN`.")


def _row(before: Run, run: Run, parts: list[Changed], means_by_run: Means, metric: str) -> str:
    write = find_metric(metric).write
    lines = "<br>".join(
        f'<b>{escape(part.title)}</b> <span class="mono">{escape(part.was)} → {escape(part.now)}</span>'
        for part in parts
    )
    to = markup.address("compare", evalset=run.evalset, baseline=before.run_id, runs=run.run_id)
    means = [means_by_run[side.run_id] for side in (before, run)]
    return markup.row(
        [
            markup.cell(escape(_variant(run.variant)) + one_run.when(run)),
            markup.cell(lines, "text"),
            *(
                markup.cell(
                    write(mean.mean) + markup.small(f"{write(mean.ci_low)} – {write(mean.ci_high)}"),
                    "right",
                )
                for mean in means
            ),
            markup.cell(markup.link("compare →", to)),
        ]
    )
