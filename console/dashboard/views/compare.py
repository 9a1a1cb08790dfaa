"""Compare: is a run better than the baseline, on what, by how much, and on which cases."""

from __future__ import annotations

from html import escape

import streamlit as st

from console import format
from console.dashboard import charts, clock, data, markup, notices, palette
from console.dashboard.views import one_run, report
from evalsets.metrics.columns import Summary
from evalsets.metrics.judged import criteria
from evalsets.metrics.table import find_metric
from evalsets.reports.compare import Comparison, Difference, names
from traces.queries.runs import RunCase
from traces.records import Run

MOST_RUNS = 6
MOST_CASES = 12  # at once; the others open on a click
ALL_CASES = 200
SHOWN = (
    "hit@5",
    "recall@5",
    "groundedness",
    "correctness",
    "citation_precision",
    "abstention_correct",
    "seconds",
    "cost_usd",
)
QUALITY = ("correctness", "groundedness")  # beside criteria; the first that all runs have is drawn
ORDER = ("worse", "better", "none", "same")
SIGNS = {"better": "✓", "worse": "✕", "same": "≈", "none": "?"}
TONES = {"better": palette.GOOD, "worse": palette.BAD, "same": palette.NEUTRAL, "none": "#f59e0b"}
LEGEND = (
    "Green is better than the baseline, red is worse, both beyond chance (95 %, corrected for the number of "
    "metrics); grey is no detectable difference. Bold is the best of a column."
)


def page() -> None:
    """Draw the choice of runs, the table, the sentences and the cases that changed."""
    st.title("Compare", anchor=False)
    with notices.problems():
        runs = [run for run in data.read_runs() if run.done]
        if len(runs) < 2:
            notices.note(
                "Two runs are needed",
                "Start one on the Evals page, then another with a different prompt or model: "
                f"{len(runs)} of them {'is' if len(runs) == 1 else 'are'} there now.",
                key="too-few",
            )
            return
        baseline, candidates = _chosen(runs)
        if not candidates:
            notices.note("Choose a run to compare with the baseline", "The choice is above.", key="choose")
            return
        compared = [_compared(baseline, run) for run in candidates]
        _table(baseline, candidates, compared)
        _sentences(compared)
        report.buttons(lambda: data.report_of_comparison(baseline.run_id, candidates[0].run_id), "comparison")
        _scatter(baseline, candidates)
        _cases(compared)


def _compared(baseline: Run, run: Run) -> Comparison:
    states = data.judged_state(baseline), data.judged_state(run)
    return data.compare(baseline.run_id, run.run_id, states)


def _names(*compared: Run) -> tuple[str, ...]:
    """Return the metrics to show: the team's own criteria first."""
    own = dict.fromkeys(name for run in compared for name in criteria(run.settings))
    return (*own, *SHOWN)


def _chosen(runs: list[Run]) -> tuple[Run, list[Run]]:
    """Draw the choices and return the baseline and the runs to hold against it; the address keeps both."""
    sets = list(dict.fromkeys(run.evalset for run in runs))
    query = st.query_params.get("baseline"), st.query_params.get_all("runs")
    _unknown([name for name in (query[0], *query[1]) if name], {run.run_id for run in runs})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        evalset = st.selectbox("Evalset", sets, key="evalset", bind="query-params", width=180)
        of_set = {run.run_id: run for run in runs if run.evalset == evalset}
        newest_first = list(of_set)
        baseline = st.selectbox(
            "Baseline",
            newest_first,
            index=newest_first.index(query[0] if query[0] in of_set else _beside(list(of_set.values()))),
            format_func=lambda run_id: _name(of_set[run_id]),
            width=330,
        )
        others = [run_id for run_id in newest_first if run_id != baseline]
        candidates = st.multiselect(
            "Compare with it",
            others,
            default=[run_id for run_id in query[1] if run_id in others][:MOST_RUNS] or others[:1],
            max_selections=MOST_RUNS,
            format_func=lambda run_id: _name(of_set[run_id]),
        )
    st.query_params["baseline"], st.query_params["runs"] = baseline or "", candidates
    return of_set[baseline or newest_first[-1]], [of_set[run_id] for run_id in candidates]


def _beside(newest_first: list[Run]) -> str:
    """Return the baseline to begin with: what was measured beside the newest run, else the oldest."""
    session = newest_first[0].settings.session
    together = [run for run in newest_first[1:] if session and run.settings.session == session]
    first = next((run for run in together if run.variant == run.settings.beside[0]), None)
    return (first or (together or newest_first)[-1]).run_id


def _unknown(run_ids: list[str], recorded: set[str]) -> None:
    """Say which runs of the address are not in the ledger."""
    for run_id in run_ids:
        if run_id not in recorded:
            st.warning(
                f"No run {notices.plain(run_id[:64])} here; others are chosen.", icon=":material/search_off:"
            )


def _name(run: Run) -> str:
    when, which = clock.short(run.started_at), format.short_id(run.run_id)[-4:]
    return f"{format.variant(run.variant)} · {when} · {which}"


def _table(baseline: Run, candidates: list[Run], compared: list[Comparison]) -> None:
    shown = _names(baseline, *candidates)
    everywhere = [data.read_scores(run, shown).summary for run in (baseline, *candidates)]
    names = [name for name in shown if any(name in summary for summary in everywhere)]
    best = {
        name: _best(name, [summary[name].mean if name in summary else None for summary in everywhere])
        for name in names
    }
    common = min(comparison.common for comparison in compared)
    rows = [
        _row(run, scored, candidate, names, best)
        for run, scored, candidate in zip((baseline, *candidates), everywhere, (None, *compared), strict=True)
    ]
    table = markup.table(["Run", *(f"{find_metric(name).title} " for name in names)], rows, "list compare")
    notes = dict.fromkeys(note for difference in compared for note in difference.notes)
    lines = "".join(f'<p class="quiet">{escape(note)}</p>' for note in notes)
    legend = f"{common} cases in common, paired case by case. {LEGEND}"
    markup.show(f'<p class="quiet">{legend}</p>{table}<div class="notes">{lines}</div>', key="comparison")


def _best(name: str, means: list[float | None]) -> float | None:
    numbers = [mean for mean in means if mean is not None]
    if len(numbers) < 2 or len(set(numbers)) == 1:
        return None
    return max(numbers) if find_metric(name).better == "higher" else min(numbers)


def _row(
    run: Run,
    summary: dict[str, Summary],
    comparison: Comparison | None,
    names: list[str],
    best: dict[str, float | None],
) -> str:
    differences = (
        {difference.metric: difference for difference in comparison.differences} if comparison else {}
    )
    cells = [
        _cell(name, summary.get(name), differences.get(name), comparison is None, best[name])
        for name in names
    ]
    link = markup.link(format.variant(run.variant), markup.address("evals", run=run.run_id), "name")
    return markup.row([markup.cell(link + one_run.when(run), "run"), *cells])


def _cell(
    name: str,
    summary: Summary | None,
    difference: Difference | None,
    is_baseline: bool,
    best: float | None,
) -> str:
    if summary is None or summary.mean is None:
        return '<td class="right">—</td>'
    about = find_metric(name)
    value = about.write(summary.mean)
    if summary.mean == best:
        value = f"<b>{value}</b>"
    failed = f" · {summary.failed} failed" if summary.failed else ""
    mark = '<span class="quiet">baseline</span>' if is_baseline else _chip(difference)
    interval = f"{about.write(summary.ci_low)} – {about.write(summary.ci_high)}"
    under = markup.small(interval) + markup.small(f"n {summary.n}{failed}")
    return markup.cell(f"{value}<div>{mark}</div>{under}", "right")


def _chip(difference: Difference | None) -> str:
    """Return the change as arrow, sign and number; green or red only beyond chance."""
    if difference is None or difference.difference is None:
        return ""
    about = find_metric(difference.metric)
    arrow = "▲" if difference.difference > 0 else "▼" if difference.difference < 0 else "="
    written = about.write(difference.difference, signed=True)
    if about.unit != "share" and difference.mean_a:
        written = f"{difference.difference / difference.mean_a:+.0%}"
    if difference.p_corrected is None:
        return markup.chip(f"{arrow} {written}", TONES[difference.verdict], difference.sentence)
    interval = (
        f"{about.write(difference.ci_low, signed=True)} to {about.write(difference.ci_high, signed=True)}"
    )
    p = "p < 0.001" if difference.p_corrected < 0.001 else f"p = {difference.p_corrected:.3f}"
    return markup.chip(
        f"{arrow} {written}",
        TONES[difference.verdict],
        f"95 % interval {interval}, {p} (corrected), {difference.test}",
    )


def _sentences(compared: list[Comparison]) -> None:
    for place, comparison in enumerate(compared):
        lines = "".join(
            map(_line, sorted(comparison.differences, key=lambda difference: ORDER.index(difference.verdict)))
        )
        b = f'{escape(format.variant(comparison.b.variant))} <span class="quiet">against</span>'
        a = f'{escape(format.variant(comparison.a.variant))} <span class="quiet">(baseline)</span>'
        html = f'<div class="card"><h2>{b} {a}</h2><ul class="verdicts">{lines}</ul></div>'
        markup.show(html, key=f"sentences-{place}")


def _line(difference: Difference) -> str:
    """Return the sentence of a metric with its sign, and how many cases speak for it."""
    wins, losses = len(difference.wins), len(difference.losses)
    counts = ((wins, "win", "wins"), (losses, "loss", "losses"), (difference.ties, "tie", "ties"))
    cases = f"{difference.n} cases: " + ", ".join(
        f"{n} {single if n == 1 else plural}" for n, single, plural in counts
    )
    if difference.failed:
        cases += f", {difference.failed} not scored in both"
    sentence = escape(difference.sentence)
    if difference.verdict in ("same", "none"):  # the others begin with a name
        sentence = sentence[:1].upper() + sentence[1:]
    return (
        f'<li style="--c:{TONES[difference.verdict]}"><span class="sign">{SIGNS[difference.verdict]}</span>'
        f'<span>{sentence}. <span class="quiet">{cases}.</span></span></li>'
    )


def _scatter(baseline: Run, candidates: list[Run]) -> None:
    compared = [baseline, *candidates]
    shown = _names(*compared)
    summaries = [data.read_scores(run, shown).summary for run in compared]
    own = [name for name in shown if name not in SHOWN]
    metric = next(
        (name for name in (*own, *QUALITY) if all(_mean(summary, name) is not None for summary in summaries)),
        None,
    )
    costs = [_mean(summary, "cost_usd") for summary in summaries]
    if metric is None or None in costs:
        return
    labels = names(*compared) if len(compared) == 2 else [format.variant(run.variant) for run in compared]
    points = [
        charts.PlottedRun(summary[metric].mean or 0.0, summary[metric].ci_low, summary[metric].ci_high,
                      cost or 0.0, label, palette.MODELS[place - 1] if place else palette.NEUTRAL)
        for place, (summary, cost, label) in enumerate(zip(summaries, costs, labels, strict=True))
    ]  # fmt: skip
    title = find_metric(metric).title
    with st.container(border=True):
        st.markdown("**Quality against cost**", help="Up and to the left is better. Bars are 95 % intervals.")
        figure = charts.quality_cost(points, title.lower())
        charts.draw(figure, "quality-cost", f"{title} of each run against its cost per case.")


def _mean(summary: dict[str, Summary], name: str) -> float | None:
    return summary[name].mean if name in summary else None


def _cases(compared: list[Comparison]) -> None:
    """List the cases on which a run and the baseline differ, losses first, both answers side by side."""
    st.header("Cases that changed", anchor=False)
    with st.container(horizontal=True, gap="small"):
        at = 0
        if len(compared) > 1:
            at = st.selectbox(
                "Run",
                range(len(compared)),
                format_func=lambda place: format.variant(compared[place].b.variant),
                width=300,
                key="changed_run",
                bind="query-params",
            )
        comparison = compared[at]
        changed = {
            difference.metric: difference
            for difference in comparison.differences
            if difference.wins or difference.losses
        }
        if not changed:
            st.caption("No case changed on any metric.")
            return
        name = st.selectbox(
            "By",
            list(changed),
            key="changed_by",
            bind="query-params",
            format_func=lambda name: (
                f"{find_metric(name).title} "
                f"({len(changed[name].losses)} worse, {len(changed[name].wins)} better)"
            ),
            width=300,
        )
    _changes(comparison, changed[name])


def _changes(comparison: Comparison, change: Difference) -> None:
    """List the cases that changed on one metric, losses first."""
    name = change.metric
    columns = [data.read_scores(run, SHOWN).columns[name] for run in (comparison.a, comparison.b)]
    a, b = columns[0].values, columns[1].values
    order = sorted(
        (*change.losses, *change.wins), key=lambda case: (case in change.wins, -abs(b[case] - a[case]), case)
    )
    cases = data.read_cases(comparison.a.run_id), data.read_cases(comparison.b.run_id)
    before, after = names(comparison.a, comparison.b)
    sides = (f"{before}, baseline", after)
    rows = [
        _changed(
            case, name, sides, [(column.values[case], column.reasons.get(case)) for column in columns], cases
        )
        for case in order[:ALL_CASES]
    ]
    rest = "".join(rows[MOST_CASES:])
    if rest:
        rest = f'<details class="rest"><summary>{len(rows) - MOST_CASES} more</summary>{rest}</details>'
    markup.show("".join(rows[:MOST_CASES]) + rest, key="changed")


def _changed(
    case: str,
    name: str,
    sides: tuple[str, str],
    scored: list[tuple[float, str | None]],
    cases: tuple[dict[str, RunCase], dict[str, RunCase]],
) -> str:
    about, by = find_metric(name), scored[1][0] - scored[0][0]
    won = by > 0 if about.better == "higher" else by < 0
    chip = markup.chip(
        f"{'▲' if by > 0 else '▼'} {about.write(by, signed=True)}", palette.GOOD if won else palette.BAD
    )
    first_case = cases[0][case]
    shown = "".join(
        f"<div><h3>{escape(side)} · {about.title} {about.write(value)}</h3>{_answer(rows[case])}"
        f"{_why(reason)}</div>"
        for side, (value, reason), rows in zip(sides, scored, cases, strict=True)
    )
    reference = f"<h3>Reference</h3><p>{escape(first_case.reference)}</p>" if first_case.reference else ""
    return (
        f'<details class="source"><summary><span class="mono quiet">{escape(case[:20])}</span>'
        f'<span class="title">{escape(first_case.question)}</span>{chip}</summary>'
        f'<div class="body plain"><div class="two even">{shown}</div>{reference}</div></details>'
    )


def _why(reason: str | None) -> str:
    return f'<p class="quiet">{escape(reason)}</p>' if reason else ""


def _answer(case: RunCase) -> str:
    if case.turn_id is None:
        return f'<p class="quiet">{escape(case.reason or "No turn.")}</p>'
    opens = markup.link("open the turn", markup.address("turns", turn=case.turn_id))
    return (
        f"<p>{markup.outcome_chip(case.outcome or '', case.error_class)} {opens}</p>"
        f'<p style="white-space:pre-wrap">{escape(case.answer or "—")}</p>'
    )
