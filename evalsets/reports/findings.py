"""Gathers what a report says of a run or of a comparison, as one plain dict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from evalsets.metrics import columns, stats
from evalsets.metrics.columns import Column
from evalsets.metrics.judged import MARKED
from evalsets.metrics.table import find_metric
from evalsets.reports import losses, plain, record
from evalsets.reports.compare import COVERAGE, Comparison
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
_RUN = (
    "run_id",
    "evalset",
    "evalset_fingerprint",
    "variant",
    "state",
    "only",
    "cases",
    "done",
    "failed",
    "seed",
    "cost_usd",
    "seconds",
    "error",
)
_EMBEDDER = Part("embedder", "embedder", "Embedder")  # only turns say it


def of_run(ledger: Rows, run_id: str) -> dict[str, Any]:
    """Return the report of a run: {kind, run, versions, tiles, metrics, outcomes, worst, cases, ...}."""
    run = runs.run(ledger, run_id)
    cases = runs.cases_of(ledger, run.run_id)
    scored = columns.columns(runs.scores_of(ledger, run.run_id))
    settings = run.settings
    rows = [_case(case, scored) for case in cases]
    metrics = list(_metrics(scored, settings, run.seed or 0))
    return {
        "kind": "run",
        "made_at": _moment(datetime.now(UTC)),
        "title": settings.title or run.evalset,
        **plain.of_run(run, metrics),
        "run": _about(run),
        "versions": _versions(ledger, run),
        "warnings": [*settings.warnings, *_state(run), *_unread(ledger)],
        "tiles": list(_tiles(scored, run.seed or 0)),
        "metrics": metrics,
        "rubric": _rubric(metrics, settings),
        "outcomes": dict(Counter(case.outcome or "no turn" for case in cases).most_common()),
        "losses": [stage.to_dict() for stage in losses.of_run(ledger, run.run_id)],
        "worst": _worst(rows),
        "best": _best(rows),
        "cases": rows,
        "record": record.of(ledger, run.run_id).stored(),
    }


def of_comparison(ledger: Rows, comparison: Comparison, prompts: Library | None = None) -> dict[str, Any]:
    """Return the report of a comparison: {kind, verdict, advice, a, b, versions, differences, changed, ...}.

    With the `prompts` it shows what changed in them.
    """
    a, b = comparison.a, comparison.b
    rows = comparison.to_dict()["metrics"].values()
    differences = [_difference(row, b.settings) for row in rows]
    return {
        "kind": "comparison",
        "made_at": _moment(datetime.now(UTC)),
        "title": b.settings.title or b.evalset,
        "sentence": comparison.sentence,
        **plain.of_comparison(comparison, prompts),
        "notes": [*comparison.notes, *_unread(ledger)],
        "common": comparison.common,
        "a": _about(a),
        "b": _about(b),
        "versions": _side_by_side(_versions(ledger, a), _versions(ledger, b)),
        "differences": differences,
        "rubric": _rubric(differences, b.settings),
        "changed": _changed(ledger, comparison),
        "cases": _both(ledger, comparison),
    }


def _about(run: Run) -> dict[str, Any]:
    about = {key: getattr(run, key) for key in _RUN}
    keys = ("limit", "concurrency", "repetitions", "source", "licence")
    about |= {key: getattr(run.settings, key) for key in keys}
    return about | {"started_at": _moment(run.started_at), "finished_at": _moment(run.finished_at)}


def _versions(ledger: Rows, run: Run) -> list[dict[str, str]]:
    """Return what the run was made with; a value that changed on the way shows all it had."""
    turns = runs.turns_of(ledger, run.run_id)
    rows = [
        {"title": "Evalset", "value": f"{run.evalset} · {run.evalset_fingerprint}"},
        {"title": "Variant", "value": run.variant},
    ]
    for part in (*MADE_WITH[:5], _EMBEDDER, *MADE_WITH[5:]):
        values = {str(value) for turn in turns if (value := getattr(turn, part.key)) is not None}
        value = getattr(run, part.key, None)
        values = values or ({str(value)} if value else set())
        rows.append({"title": part.title, "value": ", ".join(sorted(values)) or "—"})
    prices = runs.price_versions(ledger, run.run_id)
    rows.append({"title": "Price table", "value": ", ".join(prices) or "—"})
    retrieval = run.settings.retrieval or {}
    rows.append({"title": "Retrieval", "value": ", ".join(f"{k} {v}" for k, v in retrieval.items()) or "—"})
    load = run.settings.load
    rows.append({"title": "Machine", "value": str(load) if load else "—"})
    rows.append({"title": "Measured beside", "value": ", ".join(run.settings.beside) or "—"})
    rows.append({"title": "Judges", "value": ", ".join(run.settings.judges) or "—"})
    rows.append({"title": "Seed", "value": str(run.seed)})
    rows.append({"title": "Run", "value": run.run_id})
    rows.append({"title": "Started", "value": _moment(run.started_at) or "—"})
    return rows


def _side_by_side(a: list[dict[str, str]], b: list[dict[str, str]]) -> list[dict[str, str]]:
    return [
        {"title": left["title"], "a": left["value"], "b": right["value"]}
        for left, right in zip(a, b, strict=True)
    ]


def _state(run: Run) -> Iterable[str]:
    if run.state != "finished":
        yield f"This run is {run.state}: {run.done} of {run.cases} cases are done."
    if run.failed:
        yield f"{run.failed} of {run.cases} cases failed; they are counted apart and in no mean."


def _unread(ledger: Rows) -> Iterable[str]:
    hidden = getattr(ledger, "hidden_bytes", 0)
    if hidden:
        yield f"{hidden:,} bytes of the journal are not read yet; run `answerdeck traces drain` first."


def _tiles(scored: Mapping[str, Column], seed: int) -> Iterable[dict[str, str]]:
    for name in TILES:
        about, column = find_metric(name), scored.get(name)
        if column is None or not column.values:
            continue
        values = column.numbers
        if about.unit == "seconds":
            low, high = _quantiles(values)
            yield {
                "title": f"{about.title} p50",
                "value": about.write(low),
                "note": f"p95 {about.write(high)}",
            }
        else:
            interval = stats.summary(values, seed, share=about.unit == "share")
            note = f"{about.write(interval.low)} to {about.write(interval.high)}"
            yield {"title": about.title, "value": about.write(interval.mean), "note": note}


def _quantiles(values: list[float]) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(values, [0.5, 0.95])
    return float(low), float(high)


def _metrics(scored: Mapping[str, Column], settings: RunSettings, seed: int) -> Iterable[dict[str, Any]]:
    for name, row in columns.summary(scored, seed).items():
        about, coverage = find_metric(name), scored[name].coverage
        threshold = settings.thresholds.get(name)
        passed = None
        if threshold is not None:
            good = row["mean"] is not None and (
                row["mean"] >= threshold if about.better == "higher" else row["mean"] <= threshold
            )
            passed = good and coverage is not None and coverage >= COVERAGE
        yield {
            "name": name,
            "title": about.title,
            "what": what(name, settings),
            "better": about.better,
            "unit": about.unit,
            "headline": about.headline,
            **row,
            "coverage": coverage,
            "threshold": threshold,
            "passed": passed,
        }


def what(name: str, settings: RunSettings) -> str:
    """Return what a metric says; of a criterion its words, as they were when the run was judged."""
    criterion = settings.rubric.get(name.removeprefix(MARKED)) if name.startswith(MARKED) else None
    return find_metric(name).what if criterion is None else str(criterion["text"])


def _rubric(rows: Iterable[Mapping[str, Any]], settings: RunSettings) -> list[dict[str, str]]:
    """Return the criteria among the metrics of a report, each with its words."""
    names = [row.get("name") or row["metric"] for row in rows]
    return [
        {"title": find_metric(name).title, "text": what(name, settings)}
        for name in names
        if name.startswith(MARKED)
    ]


def _case(case: RunCase, scored: Mapping[str, Column]) -> dict[str, Any]:
    key = case.case_id
    keys = "question answerability outcome answer reference relevant_ids turn_id error_class".split()  # noqa: SIM905
    scores: dict[str, Any] = {}
    for name, column in scored.items():
        if key in column.values:
            scores[name] = {"value": column.values[key], "reason": column.reasons.get(key)}
        elif key in column.failed:
            scores[name] = {"value": None, "failed": True, "reason": column.failed[key]}
    failing = plain.failing(key, scored)
    return {
        "case_id": key,
        "failing": failing,
        **{name: getattr(case, name) for name in keys},
        "scores": scores,
    }


def _worst(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cases with the lowest mean over the headline shares, failed ones first."""
    ranked: list[tuple[float, dict[str, Any]]] = []
    for row in rows:
        parts = sorted(_goodness(row["scores"]), key=lambda part: part[0])
        if not parts or parts[0][0] >= GOOD:
            continue
        why = [
            {
                "title": find_metric(name).title,
                "value": "failed" if value is None else f"{value:.2f}",
                "reason": reason,
            }
            for good, name, value, reason in parts[:3]
            if good < GOOD
        ]
        ranked.append((sum(part[0] for part in parts) / len(parts), {**row, "why": why}))
    ranked.sort(key=lambda pair: pair[0])
    return [row for _, row in ranked[:SHOWN]]


def _best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return cases on which nothing is amiss, those with an expected answer first."""
    good = [row for row in rows if not row["failing"] and row["answer"] and row["outcome"] == "answered"]
    whole = [row for row in good if all(part[0] >= GOOD for part in _goodness(row["scores"]))]
    return sorted(whole, key=lambda row: not row["reference"])[:BEST]


def _goodness(scores: Mapping[str, Any]) -> Iterable[tuple[float, str, float | None, str | None]]:
    """Yield (how good, metric, value, reason) of the headline shares; 1 is best, failed is -1."""
    for name, score in scores.items():
        about, value = find_metric(name), score["value"]
        if about.headline and about.unit == "share":
            good = -1.0 if value is None else value if about.better == "higher" else 1.0 - value
            yield good, name, value, score["reason"]


def _difference(row: dict[str, Any], settings: RunSettings) -> dict[str, Any]:
    about, says = find_metric(row["metric"]), what(row["metric"], settings)
    return {**row, "title": about.title, "what": says, "better": about.better, "unit": about.unit}


def _changed(ledger: Rows, comparison: Comparison) -> list[dict[str, Any]]:
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
    return [
        {
            "case_id": key,
            "question": sides[0][key].question,
            "reference": sides[1][key].reference,
            "answer_a": sides[0][key].answer,
            "answer_b": sides[1][key].answer,
            "better": moved[key] > 0,
            "metrics": metrics[key],
        }
        for key in chosen
    ]


def _both(ledger: Rows, comparison: Comparison) -> list[dict[str, Any]]:
    """Return the cases that stand in both runs, each with what was expected and answered."""
    ids = comparison.a.run_id, comparison.b.run_id
    sides = [{case.case_id: case for case in runs.cases_of(ledger, run_id)} for run_id in ids]
    scored = [columns.columns(runs.scores_of(ledger, run_id)) for run_id in ids]
    keys = sorted(sides[0].keys() & sides[1].keys())
    return [plain.case_of(key, sides[0][key], sides[1][key], scored) for key in keys]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
