"""Gathers what a report says of a run or of a comparison, as typed parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np

from evalsets.metrics import columns, stats
from evalsets.metrics.columns import Column
from evalsets.metrics.judged import MARKED
from evalsets.metrics.table import find_metric
from evalsets.reports import losses, plain, record
from evalsets.reports.compare import COVERAGE, Comparison, Difference
from evalsets.reports.content import (
    AboutRun,
    CaseRow,
    CaseScore,
    ChangedCase,
    ComparedCase,
    ComparisonReport,
    CriterionText,
    DifferenceRow,
    MetricRow,
    ReportVersion,
    RunReport,
    Tile,
    VersionPair,
    Why,
)
from pipeline.prompts.library import Library
from traces.queries import runs
from traces.queries.runs import RunCase
from traces.queries.window import Rows
from traces.records import MADE_WITH, Part, Run, RunSettings

SHOWN = 12  # cases shown one by one
BEST = 3
GOOD = 0.999
TILES = (
    "recall@5",
    "groundedness",
    "citation_precision",
    "abstention_correct",
    "first_token_seconds",
    "cost_usd",
)
_EMBEDDER = Part("embedder", "embedder", "Embedder")  # only turns say it


def of_run(ledger: Rows, run_id: str) -> RunReport:
    """Return the report of a run (an id, its beginning, or "latest"); raises UnknownRun."""
    run = runs.run(ledger, run_id)
    cases = runs.cases_of(ledger, run.run_id)
    scored = columns.columns(runs.scores_of(ledger, run.run_id))
    settings = run.settings
    rows = tuple(_case(case, scored) for case in cases)
    metrics = tuple(_metrics(scored, settings, run.seed or 0))
    words = plain.of_run(run, metrics)
    return RunReport(
        made_at=_moment(datetime.now(UTC)),
        title=settings.title or run.evalset,
        verdict=words.verdict,
        advice=words.advice,
        means=words.means,
        next=words.next,
        run=_about(run),
        versions=tuple(_versions(ledger, run)),
        warnings=(*settings.warnings, *_state(run), *_unread(ledger)),
        tiles=tuple(_tiles(scored, run.seed or 0)),
        metrics=metrics,
        rubric=_rubric([row.name for row in metrics], settings),
        outcomes=dict(Counter(case.outcome or "no turn" for case in cases).most_common()),
        losses=tuple(losses.of_run(ledger, run.run_id)),
        worst=_worst(rows),
        best=_best(rows),
        cases=rows,
        record=record.of(ledger, run.run_id),
    )


def of_comparison(ledger: Rows, comparison: Comparison, prompts: Library | None = None) -> ComparisonReport:
    """Return the report of a comparison; with the `prompts` it shows what changed in them."""
    a, b = comparison.a, comparison.b
    words = plain.of_comparison(comparison, prompts)
    return ComparisonReport(
        made_at=_moment(datetime.now(UTC)),
        title=b.settings.title or b.evalset,
        sentence=comparison.sentence,
        names=words.names,
        verdict=words.verdict,
        advice=words.advice,
        means=words.means,
        sure=words.sure,
        next=words.next,
        prompt_diff=words.prompt_diff,
        notes=(*comparison.notes, *_unread(ledger)),
        common=comparison.common,
        a=_about(a),
        b=_about(b),
        versions=_side_by_side(_versions(ledger, a), _versions(ledger, b)),
        differences=tuple(_difference(row, b.settings) for row in comparison.differences),
        rubric=_rubric([row.metric for row in comparison.differences], b.settings),
        changed=_changed(ledger, comparison),
        cases=_both(ledger, comparison),
    )


def _about(run: Run) -> AboutRun:
    settings = run.settings
    return AboutRun(
        run_id=run.run_id,
        evalset=run.evalset,
        evalset_fingerprint=run.evalset_fingerprint,
        variant=run.variant,
        state=run.state,
        only=run.only,
        cases=run.cases,
        done=run.done,
        failed=run.failed,
        seed=run.seed,
        cost_usd=run.cost_usd,
        seconds=run.seconds,
        error=run.error,
        limit=settings.limit,
        concurrency=settings.concurrency,
        repetitions=settings.repetitions,
        source=settings.source,
        licence=settings.licence,
        started_at=_moment(run.started_at),
        finished_at=None if run.finished_at is None else _moment(run.finished_at),
    )


def _versions(ledger: Rows, run: Run) -> list[ReportVersion]:
    """Return what the run was made with; a value that changed on the way shows all it had."""
    turns = runs.turns_of(ledger, run.run_id)
    rows = [
        ReportVersion("Evalset", f"{run.evalset} · {run.evalset_fingerprint}"),
        ReportVersion("Variant", run.variant),
    ]
    for part in (*MADE_WITH[:5], _EMBEDDER, *MADE_WITH[5:]):
        values = {str(value) for turn in turns if (value := getattr(turn, part.key)) is not None}
        value = getattr(run, part.key, None)
        values = values or ({str(value)} if value else set())
        rows.append(ReportVersion(part.title, ", ".join(sorted(values)) or "—"))
    prices = runs.price_versions(ledger, run.run_id)
    rows.append(ReportVersion("Price table", ", ".join(prices) or "—"))
    retrieval = run.settings.retrieval or {}
    rows.append(ReportVersion("Retrieval", ", ".join(f"{k} {v}" for k, v in retrieval.items()) or "—"))
    load = run.settings.load
    rows.append(ReportVersion("Machine", str(load) if load else "—"))
    rows.append(ReportVersion("Measured beside", ", ".join(run.settings.beside) or "—"))
    rows.append(ReportVersion("Judges", ", ".join(run.settings.judges) or "—"))
    rows.append(ReportVersion("Seed", str(run.seed)))
    rows.append(ReportVersion("Run", run.run_id))
    rows.append(ReportVersion("Started", _moment(run.started_at)))
    return rows


def _side_by_side(a: Sequence[ReportVersion], b: Sequence[ReportVersion]) -> tuple[VersionPair, ...]:
    pairs = zip(a, b, strict=True)
    return tuple(VersionPair(left.title, left.value, right.value) for left, right in pairs)


def _state(run: Run) -> Iterable[str]:
    if run.state != "finished":
        yield f"This run is {run.state}: {run.done} of {run.cases} cases are done."
    if run.failed:
        yield f"{run.failed} of {run.cases} cases failed; they are counted apart and in no mean."


def _unread(ledger: Rows) -> Iterable[str]:
    hidden = getattr(ledger, "hidden_bytes", 0)
    if hidden:
        yield f"{hidden:,} bytes of the journal are not read yet; run `answerdeck traces drain` first."


def _tiles(scored: Mapping[str, Column], seed: int) -> Iterable[Tile]:
    for name in TILES:
        about, column = find_metric(name), scored.get(name)
        if column is None or not column.values:
            continue
        values = column.numbers
        if about.unit == "seconds":
            low, high = _quantiles(values)
            yield Tile(f"{about.title} p50", about.write(low), f"p95 {about.write(high)}")
        else:
            interval = stats.summary(values, seed, share=about.unit == "share")
            note = f"{about.write(interval.low)} to {about.write(interval.high)}"
            yield Tile(about.title, about.write(interval.mean), note)


def _quantiles(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.5, 0.95])
    return float(low), float(high)


def _metrics(scored: Mapping[str, Column], settings: RunSettings, seed: int) -> Iterable[MetricRow]:
    for name, summary in columns.summary(scored, seed).items():
        about, coverage = find_metric(name), scored[name].coverage
        threshold = settings.thresholds.get(name)
        passed = None
        if threshold is not None:
            mean = summary.mean
            good = mean is not None and (mean >= threshold if about.better == "higher" else mean <= threshold)
            passed = good and coverage is not None and coverage >= COVERAGE
        yield MetricRow(
            **asdict(summary),
            name=name,
            title=about.title,
            what=what(name, settings),
            better=about.better,
            unit=about.unit,
            headline=about.headline,
            coverage=coverage,
            threshold=threshold,
            passed=passed,
        )


def what(name: str, settings: RunSettings) -> str:
    """Return what a metric says; of a criterion its words, as they were when the run was judged."""
    criterion = settings.rubric.get(name.removeprefix(MARKED)) if name.startswith(MARKED) else None
    return find_metric(name).what if criterion is None else str(criterion["text"])


def _rubric(metrics: Iterable[str], settings: RunSettings) -> tuple[CriterionText, ...]:
    """Return the criteria among the metrics of a report, each with its words."""
    names = [name for name in metrics if name.startswith(MARKED)]
    return tuple(CriterionText(find_metric(name).title, what(name, settings)) for name in names)


def _case(case: RunCase, scored: Mapping[str, Column]) -> CaseRow:
    key, scores = case.case_id, dict[str, CaseScore]()
    for name, column in scored.items():
        if key in column.values:
            scores[name] = CaseScore(column.values[key], column.reasons.get(key))
        elif key in column.failed:
            scores[name] = CaseScore(None, column.failed[key])
    return CaseRow(
        case_id=key,
        failing=plain.failing(key, scored),
        question=case.question,
        answerability=case.answerability,
        outcome=case.outcome,
        answer=case.answer,
        reference=case.reference,
        relevant_ids=None if case.relevant_ids is None else tuple(case.relevant_ids),
        turn_id=case.turn_id,
        error_class=case.error_class,
        scores=scores,
    )


def _worst(rows: Iterable[CaseRow]) -> tuple[CaseRow, ...]:
    """Return the cases with the lowest mean over the headline shares, failed ones first."""
    ranked: list[tuple[float, CaseRow]] = []
    for row in rows:
        parts = sorted(_goodness(row.scores), key=lambda part: part[0])
        if not parts or parts[0][0] >= GOOD:
            continue
        why = tuple(
            Why(
                find_metric(name).title,
                "failed" if score.value is None else f"{score.value:.2f}",
                score.reason,
            )
            for good, name, score in parts[:3]
            if good < GOOD
        )
        ranked.append((sum(part[0] for part in parts) / len(parts), replace(row, why=why)))
    ranked.sort(key=lambda pair: pair[0])
    return tuple(row for _, row in ranked[:SHOWN])


def _best(rows: Iterable[CaseRow]) -> tuple[CaseRow, ...]:
    """Return cases on which nothing is amiss, those with an expected answer first."""
    good = [row for row in rows if not row.failing and row.answer and row.outcome == "answered"]
    whole = [row for row in good if all(part[0] >= GOOD for part in _goodness(row.scores))]
    return tuple(sorted(whole, key=lambda row: not row.reference)[:BEST])


def _goodness(scores: Mapping[str, CaseScore]) -> Iterable[tuple[float, str, CaseScore]]:
    """Yield (how good, metric, score) of the headline shares; 1 is best, failed is -1."""
    for name, score in scores.items():
        about, value = find_metric(name), score.value
        if about.headline and about.unit == "share":
            good = -1.0 if value is None else value if about.better == "higher" else 1.0 - value
            yield good, name, score


def _difference(row: Difference, settings: RunSettings) -> DifferenceRow:
    about, says = find_metric(row.metric), what(row.metric, settings)
    return DifferenceRow(**asdict(row), title=about.title, what=says, better=about.better, unit=about.unit)


def _changed(ledger: Rows, comparison: Comparison) -> tuple[ChangedCase, ...]:
    """Return the cases that moved most over the headline shares, the losses of B first."""
    sides = [
        {case.case_id: case for case in runs.cases_of(ledger, run.run_id)}
        for run in (comparison.a, comparison.b)
    ]
    moved: Counter[str] = Counter()
    metrics: dict[str, list[str]] = {}
    for difference in comparison.differences:
        if find_metric(difference.metric).unit != "share":
            continue
        for keys, step in ((difference.wins, 1), (difference.losses, -1)):
            for key in keys:
                moved[key] += step
                metrics.setdefault(key, []).append(
                    f"{'+' if step > 0 else '−'} {find_metric(difference.metric).title}"
                )
    order = sorted((key for key in moved if moved[key]), key=lambda key: (-abs(moved[key]), moved[key], key))
    chosen = sorted(order[:SHOWN], key=lambda key: (moved[key] > 0, -abs(moved[key])))
    return tuple(
        ChangedCase(
            case_id=key,
            question=sides[0][key].question,
            reference=sides[1][key].reference,
            answer_a=sides[0][key].answer,
            answer_b=sides[1][key].answer,
            better=moved[key] > 0,
            metrics=tuple(metrics[key]),
        )
        for key in chosen
    )


def _both(ledger: Rows, comparison: Comparison) -> tuple[ComparedCase, ...]:
    """Return the cases that stand in both runs, each with what was expected and answered."""
    ids = comparison.a.run_id, comparison.b.run_id
    sides = [{case.case_id: case for case in runs.cases_of(ledger, run_id)} for run_id in ids]
    scored = [columns.columns(runs.scores_of(ledger, run_id)) for run_id in ids]
    keys = sorted(sides[0].keys() & sides[1].keys())
    return tuple(plain.case_of(key, sides[0][key], sides[1][key], scored) for key in keys)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
