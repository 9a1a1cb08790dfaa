"""Says in plain words what a run or a comparison means: verdict, advice, money, seconds, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalsets.metrics.columns import Column
from evalsets.metrics.table import find_metric
from evalsets.reports.compare import COVERAGE, Comparison, Difference, names
from evalsets.reports.content import ComparedCase, MetricRow, Names
from evalsets.runs.asker import Variant
from evalsets.runs.work import too_many_failed
from pipeline.errors import AnswerdeckError
from pipeline.prompts.library import Library
from traces.queries.runs import RunCase
from traces.records import Run

FULL = {"completed": 1.0, "hit@5": 1.0, "abstention_correct": 1.0, "must_contain": 1.0, "refusal": 1.0}
NONE = {"over_refusal": 0.0}
TURNS = 1_000  # that a price is told for
LOSS = 0.1  # of a score, that matters; the gate's own limit is in the configuration
NAMED = 3  # metrics in a verdict


@dataclass(frozen=True, slots=True)
class RunWords:
    """What one run means."""

    verdict: str
    advice: str
    means: tuple[str, ...]
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparisonWords:
    """What a comparison means."""

    names: Names
    verdict: str
    advice: str
    means: tuple[str, ...]
    sure: str
    next: tuple[str, ...]
    prompt_diff: str | None


def failing(case_id: str, scored: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the titles of the yes/no metrics that say this case failed."""
    result: list[str] = []
    for name, good in (*FULL.items(), *NONE.items()):
        column = scored.get(name)
        if column is None:
            continue
        value = column.values.get(case_id)
        if case_id in column.failed or (value is not None and value != good):
            result.append(find_metric(name).title)
    return tuple(result)


def of_comparison(comparison: Comparison, prompts: Library | None = None) -> ComparisonWords:
    """Return what a comparison means; with the `prompts` also what changed in them."""
    a, b = names(comparison.a, comparison.b)
    rows = {row.metric: row for row in comparison.differences}
    return ComparisonWords(
        names=Names(a, b),
        verdict=_verdict(comparison, a, b),
        advice=_advice(comparison, a, b),
        means=tuple(_means(rows, a, b)),
        sure=_sure(comparison),
        next=tuple(_next(comparison, a, b)),
        prompt_diff=_prompt_diff(comparison, prompts),
    )


def of_run(run: Run, metrics: Sequence[MetricRow]) -> RunWords:
    """Return what one run means; `metrics` as the report lists them."""
    rows = {row.name: row for row in metrics}
    missed = [row.title for row in metrics if row.passed is False]
    thresholds = sum(row.threshold is not None for row in metrics)
    weakest = sorted(
        (mean if row.better == "higher" else 1 - mean, place, row)
        for place, row in enumerate(metrics)
        if row.headline and row.unit == "share" and (mean := row.mean) is not None
    )
    verdict = f"{run.variant} went through {run.done} of {run.cases} cases, {run.failed or 0} failed"
    if weakest:
        verdict += f"; weakest: {', '.join(_mean(row) for _, _, row in weakest[:2])}"
    return RunWords(
        verdict=f"{verdict}.",
        advice=_run_advice(run, missed, thresholds),
        means=tuple(_costs(rows)),
        next=tuple(_run_next(run, missed, thresholds)),
    )


def _mean(row: MetricRow) -> str:
    return f"{row.title} {find_metric(row.name).write(row.mean)}"


def _run_advice(run: Run, missed: Sequence[str], thresholds: int) -> str:
    if run.state != "finished" or too_many_failed(run.failed, run.cases):
        return "Decide nothing by this run: too much of it is missing."
    if missed:
        return f"Not ready: {_listed(missed)} {'misses its' if len(missed) == 1 else 'miss their'} threshold."
    if thresholds:
        return f"Ready by its own measure: all {thresholds} thresholds are met."
    return "No threshold says what is good enough, so this run only describes."


def _run_next(run: Run, missed: Sequence[str], thresholds: int) -> Iterator[str]:
    if run.state != "finished" or run.failed:
        aim = " with the same --target or --template" if Variant(model=run.model).outside else ""
        yield f"Ask the failed cases again: answerdeck eval run {run.evalset} --run {run.run_id}{aim}"
    if missed:
        yield "Read the lowest-scoring cases below: do the passages hold the answer?"
    if not thresholds:
        yield f"Write [thresholds] into {run.evalset}.toml, such as groundedness = 0.9."
    if run.prompt is not None:
        yield f"Try a change beside it: answerdeck eval run {run.evalset} --prompt {run.prompt} --prompt …"


def _costs(rows: Mapping[str, MetricRow]) -> Iterator[str]:
    cost, seconds = rows.get("cost_usd"), rows.get("seconds")
    if cost is not None and cost.mean is not None:
        yield f"{TURNS:,} such turns cost {_usd(cost.mean * TURNS)}."
    if seconds is not None and seconds.mean is not None:
        yield f"A turn takes {find_metric('seconds').write(seconds.mean)} on average."


def _verdict(comparison: Comparison, a: str, b: str) -> str:
    parts = {
        verdict: [row.by for row in comparison.differences if row.verdict == verdict]
        for verdict in ("worse", "better")
    }
    clauses = [f"{verdict} than {a} on {_few(rows)}" for verdict, rows in parts.items() if rows]
    if clauses:
        return f"{b} is {', and '.join(clauses)}."
    return f"No difference between {b} and {a} is beyond chance on {comparison.common} cases."


def _advice(comparison: Comparison, a: str, b: str) -> str:
    for name, run in ((a, comparison.a), (b, comparison.b)):
        if run.state != "finished" or too_many_failed(run.failed, run.cases):
            return f"Decide nothing yet: the run of {name} is {run.state}, {run.failed or 0} cases failed."
    worse = [find_metric(row.metric).title for row in comparison.differences if row.verdict == "worse"]
    quality = [row for row in comparison.differences if find_metric(row.metric).unit == "share"]
    if any(row.verdict == "worse" for row in quality):
        return f"Keep {a}: {b} loses quality."
    if any(row.verdict == "better" for row in quality):
        price = f", if {_listed(worse)} may be worse" if worse else ""
        return f"Take {b}{price}."
    if worse:
        return f"Keep {a}: {b} is no better, and worse on {_listed(worse)}."
    if any(row.verdict == "better" for row in comparison.differences):
        unseen = [find_metric(row.metric).title for row in quality if (row.detectable or 0.0) > LOSS]
        if unseen:
            return (
                f"Keep {a} for now: {b} is cheaper or faster, but {comparison.common} cases cannot show"
                f" a loss of {LOSS:g} on {_listed(unseen)}."
            )
        return f"Take {b}: as good as far as these cases show, and cheaper or faster."
    return f"Keep {a}: nothing speaks for a change."


def _means(rows: Mapping[str, Difference], a: str, b: str) -> Iterator[str]:
    cost = rows.get("cost_usd")
    if cost is not None and cost.mean_a is not None and cost.mean_b is not None:
        if cost.mean_a == cost.mean_b:
            yield f"{TURNS:,} turns cost {_usd(cost.mean_b * TURNS)} with either."
        else:
            more = (cost.mean_b - cost.mean_a) * TURNS
            yield (
                f"{TURNS:,} turns cost {_usd(cost.mean_b * TURNS)} with {b} and {_usd(cost.mean_a * TURNS)}"
                f" with {a}: {_usd(abs(more))} {'more' if more > 0 else 'less'}."
            )
    for name, what in (("first_token_seconds", "first word after"), ("seconds", "whole answer after")):
        result = rows.get(name)
        if result is None or result.mean_a is None or result.mean_b is None:
            continue
        write = find_metric(name).write
        sure = "" if result.verdict in ("better", "worse") else " (no proven difference)"
        times = f"{write(result.mean_b)} with {b}, {write(result.mean_a)} with {a}"
        yield f"Half of the turns have the {what} {times}{sure}."


def _sure(comparison: Comparison) -> str:
    shown = [
        f"{find_metric(row.metric).title} {find_metric(row.metric).write(row.detectable)}"
        for row in comparison.differences
        if row.detectable and find_metric(row.metric).unit == "share"
    ]
    text = (
        f"Both answered the same {comparison.common} questions; a difference is called one only when chance"
        " makes it in fewer than 5 of 100 comparisons, all metrics together."
    )
    return f"{text} These cases show 4 times in 5: {', '.join(shown[:4])}." if shown else text


def _next(comparison: Comparison, a: str, b: str) -> Iterator[str]:
    thin = [row for row in comparison.differences if row.verdict == "same" and row.more_cases]
    thin = [row for row in thin if find_metric(row.metric).unit == "share"]
    if any(row.verdict == "worse" for row in comparison.differences):
        yield f"Read the cases below in which {b} lost, and mend what they share."
    elif _advice(comparison, a, b).startswith(f"Take {b}") and comparison.a.prompt != comparison.b.prompt:
        yield f"Promote it: answerdeck prompts promote {comparison.b.prompt} --run-evals"
    if thin:
        most = max(row.more_cases or 0 for row in thin)
        title = find_metric(max(thin, key=lambda row: row.more_cases or 0).metric).title
        yield f"Add about {most:,} cases if a smaller difference on {title} would matter."
    if any(row.coverage < COVERAGE for row in comparison.differences):
        yield "Ask the failed cases again before you decide: eval run … --run ID."


def _prompt_diff(comparison: Comparison, prompts: Library | None) -> str | None:
    """Return what changed between the two prompts; None when it is the same, or its files have changed."""
    a, b = comparison.a, comparison.b
    if prompts is None or not a.prompt or not b.prompt or a.prompt == b.prompt:
        return None
    try:
        texts = [prompts.get(label) for label in (a.prompt, b.prompt)]
    except AnswerdeckError:
        return None
    used = (a.prompt_fingerprint, b.prompt_fingerprint)
    if any(text.fingerprint != was for text, was in zip(texts, used, strict=True) if was):
        return None
    before, after = (text.text.splitlines() for text in texts)
    return "\n".join(difflib.unified_diff(before, after, a.prompt, b.prompt, lineterm="", n=1)) or None


def case_of(case_id: str, a: RunCase, b: RunCase, sides: Sequence[Mapping[str, Column]]) -> ComparedCase:
    """Return what a reader needs of one case: question, expected answer, both answers, what failed."""
    return ComparedCase(
        case_id=case_id,
        question=b.question,
        reference=b.reference,
        answer_a=a.answer,
        answer_b=b.answer,
        failing_a=failing(case_id, sides[0]),
        failing_b=failing(case_id, sides[1]),
    )


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.01 or value == 0 else f"${value:.2g}"


def _few(parts: Sequence[str]) -> str:
    """Return the first of them, and how many more there are."""
    if len(parts) <= NAMED:
        return _listed(parts)
    return f"{', '.join(parts[:NAMED])} and {len(parts) - NAMED} more"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
