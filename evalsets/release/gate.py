"""Says whether a candidate may go where the baseline is: on these runs, in this pipeline, now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evalsets.judges.calibration import distrust
from evalsets.metrics.columns import Column
from evalsets.metrics.table import find_metric
from evalsets.release import in_force, sight
from evalsets.release.in_force import Facts
from evalsets.release.sight import Loss
from evalsets.release.verdict import Check, State, Verdict, VerdictSide
from evalsets.reports import record
from evalsets.reports.compare import COVERAGE, Comparison, Difference, compare, untimed
from evalsets.reports.plain import failing
from evalsets.reports.record import Record
from traces.queries import runs
from traces.queries.runs import RunCase
from traces.queries.window import Rows
from traces.records import Run

if TYPE_CHECKING:
    from pipeline.settings import Settings

GUARD = "guard"  # the tag of a case that stands for a fault that must not come back
SHOWN = 8  # case ids in a sentence


@dataclass(frozen=True, slots=True)
class GateLimits:
    """How much worse than the baseline a candidate may be.

    `slower` and `dearer` are shares of the baseline; `loss` is the loss of a score, 0 to 1, that the
    cases must be able to show, and `blind` what happens when they cannot.
    """

    slower: float = 0.5
    dearer: float = 0.1
    loss: float = 0.1
    blind: Literal["refuse", "note"] = "refuse"
    judge_floor: float = 0.4  # agreement with people under which a judge's metric decides nothing
    data_dir: Path | None = None  # where judges' agreements are on record; None asks for none


def limits_of(settings: Settings) -> GateLimits:
    """Return the limits that the settings name."""
    gate = settings.gate
    return GateLimits(
        gate.slower, gate.dearer, gate.loss, gate.blind, settings.evals.judge_floor, settings.data_dir
    )


def check(
    ledger: Rows,
    facts: Facts,
    candidate: str,
    baseline: str | Record,
    *,
    thresholds: Mapping[str, float] | None = None,
    limits: GateLimits = GateLimits(),
) -> Verdict:
    """Hold a candidate's run against a baseline's, and both against what answers now.

    `baseline` is a run, or the record that a report of another ledger holds. `thresholds` are those of
    the evalset as it stands; by default as they stood in the run. Raises UnknownRun, and
    NothingInCommon when the runs share no case.
    """
    first = record.of(ledger, baseline) if isinstance(baseline, str) else baseline
    second = record.of(ledger, candidate)
    comparison = compare(first, second)
    run, scored, before = second.run, second.columns, first.columns
    scores = runs.scores_of(ledger, run.run_id)
    least = run.settings.thresholds if thresholds is None else thresholds
    losses = sight.losses(comparison.differences, before, scored, limits.loss)
    checks = [
        _same(ledger, facts, run),
        _whole(comparison),
        *_elsewhere(first, run),
        _sight(losses, comparison, limits),
        *_metrics(comparison, scored, least, limits, losses),
        *_clocked(comparison),
        *_missing(scored, before, least, run),
        _guarded(runs.cases_of(ledger, run.run_id), scored, before),
    ]
    if limits.data_dir is not None:
        used = {(score.name, score.scorer) for score in scores if score.value is not None and score.scorer}
        reasons = distrust(limits.data_dir, sorted(used), limits.judge_floor)
        checks = [_unheard(check, reasons, least) for check in checks]
    return Verdict(
        run.evalset, VerdictSide.of(run), VerdictSide.of(comparison.a), comparison.sentence, tuple(checks)
    )


def _unheard(check: Check, reasons: Mapping[str, str], thresholds: Mapping[str, float]) -> Check:
    """Take the say from a judge that is not trusted; a threshold that needs it cannot be passed."""
    if check.name not in reasons:
        return check
    state: State = "failed" if check.name in thresholds else "noted"
    text = f"{find_metric(check.name).title} may not decide: {reasons[check.name]}"
    return replace(check, state=state, text=text)


def _same(ledger: Rows, facts: Facts, run: Run) -> Check:
    """Check that the run was made with exactly what answers now."""
    wrong = facts.differs(run) + in_force.mixed(ledger, run)
    turns = runs.turns_of(ledger, run.run_id)
    answered = [turn.model for turn in turns if turn.model is not None]
    others = sum(model != run.model for model in answered)
    if answered and others / len(answered) > 1 - COVERAGE:
        wrong.append(f"{others} of {len(answered)} answers came from another model than {run.model}")
    if wrong:
        return Check(
            "fingerprints", "failed", f"the run does not speak for what answers now: {'; '.join(wrong)}"
        )
    return Check("fingerprints", "passed", "made with exactly what answers now")


def _whole(comparison: Comparison) -> Check:
    """Check that both runs are finished and went over the same cases."""
    sides = (("candidate", comparison.b), ("baseline", comparison.a))
    wrong = [f"the {name}'s run is {run.state}" for name, run in sides if run.state != "finished"]
    for name, run in sides:
        if comparison.common < (run.cases or 0):
            wrong.append(
                f"only {comparison.common} of the {name}'s {run.cases} cases are the same in both runs"
            )
    for name, run in sides:
        wrong += sight.broken(name, run)
    if comparison.a.run_id == comparison.b.run_id:
        wrong.append("candidate and baseline are the same run")
    if wrong:
        return Check("cases", "failed", "; ".join(wrong))
    return Check("cases", "passed", f"{comparison.common} cases in both runs")


def _elsewhere(baseline: Record, run: Run) -> Iterator[Check]:
    """Check that a baseline of another ledger was made over the same documents, by what they hold."""
    if baseline.file is None:
        return
    before, now = baseline.run.settings.contents, run.settings.contents
    where = f"the baseline's report {baseline.file.name}"
    if before is None or before != now:
        place = "does not say over which documents it was made" if before is None else (
            f"was made over other documents ({before[:8]} in knowledge base {baseline.run.kb},"
            f" here {(now or 'unknown')[:8]} in {run.kb})"
        )  # fmt: skip
        again = "make it anew over these documents"
        yield Check("baseline", "failed", f"{where} {place}, so a difference may be theirs: {again}")
    else:
        yield Check("baseline", "passed", f"{where} was made over the same documents ({before[:8]})")


def _sight(losses: Mapping[str, Loss], comparison: Comparison, limits: GateLimits) -> Check:
    """Check that the cases could show the loss that matters, whatever they show."""
    unseen = sight.unseen(losses, comparison.common, limits.loss)
    if unseen is None:
        return Check("sight", "passed", f"a loss of {limits.loss:g} would show 4 times in 5")
    return Check("sight", "failed" if limits.blind == "refuse" else "noted", unseen.text, more=unseen.more)


def _metrics(
    comparison: Comparison,
    scored: Mapping[str, Column],
    thresholds: Mapping[str, float],
    limits: GateLimits,
    losses: Mapping[str, Loss],
) -> Iterator[Check]:
    apart = untimed(comparison.a, comparison.b)
    for difference in comparison.differences:
        column, threshold = scored[difference.metric], thresholds.get(difference.metric)
        state, text = _judged(difference, column, threshold, limits)
        loss = losses.get(difference.metric)
        if state == "passed" and loss is not None:
            state, text = _lost(difference, loss, limits)
        elif apart and find_metric(difference.metric).unit == "seconds" and threshold is None:
            state, text = "noted", f"{find_metric(difference.metric).title}: {apart}"
        elif state == "passed" and difference.verdict == "none" and difference.n:
            state, text = "noted", difference.sentence
        yield Check(
            difference.metric,
            state,
            text,
            difference.mean_a,
            difference.mean_b,
            difference.ci_low,
            difference.ci_high,
            threshold,
            column.coverage,
            difference.losses if state == "failed" else (),
        )


def _clocked(comparison: Comparison) -> Iterator[Check]:
    """Say that times were not looked at, where no case has them in both runs."""
    if comparison.b.only is None and all(
        find_metric(row.metric).unit != "seconds" for row in comparison.differences
    ):
        yield Check(
            "times", "noted", "times were not compared: answers came from the eval cache (--no-cache)"
        )


def _lost(difference: Difference, loss: Loss, limits: GateLimits) -> tuple[State, str]:
    """Judge a metric by the exact test that few cases allow, and say what it cannot see."""
    if loss.shown(limits.loss):
        return "failed", (
            f"{find_metric(difference.metric).title} fell by {loss.mean:.3f} on average, worse on"
            f" {len(difference.losses)} of {difference.n} cases (p {loss.p:.3f}, one side)"
        )
    if loss.blind:
        return "noted", (
            f"{difference.sentence}; cannot tell a loss of {limits.loss:g}:"
            f" at least {loss.needed} cases could"
        )
    return "passed", difference.sentence


def _judged(
    difference: Difference, column: Column, threshold: float | None, limits: GateLimits
) -> tuple[State, str]:
    about, mean = find_metric(difference.metric), _mean(column)
    coverage = min(difference.coverage, column.coverage or 0.0)
    if coverage < COVERAGE:
        why = next(iter(column.failed.values()), "they failed in the baseline")
        return "failed", (
            f"{about.title}: only {coverage:.0%} of the cases could be scored,"
            f" {COVERAGE:.0%} are needed ({why})"
        )
    if _below(difference.metric, mean, threshold):
        worse = "below" if about.better == "higher" else "above"
        return "failed", (
            f"{about.title} is {about.write(mean)}, {worse} the evalset's threshold"
            f" of {about.write(threshold)}"
        )
    if difference.verdict == "worse" and about.unit == "share":
        return "failed", f"{difference.sentence} on {len(difference.losses)} of {difference.n} cases"
    if difference.verdict == "worse":
        most = limits.slower if about.unit == "seconds" else limits.dearer
        more = (difference.difference or 0.0) / difference.mean_a if difference.mean_a else float("inf")
        if more > most:
            return "failed", f"{difference.sentence}: {more:+.0%}, and {most:.0%} is allowed"
        return "noted", f"{difference.sentence}: {more:+.0%} of {most:.0%} allowed"
    return "passed", difference.sentence


def _missing(
    scored: Mapping[str, Column],
    before: Mapping[str, Column],
    thresholds: Mapping[str, float],
    run: Run,
) -> Iterator[Check]:
    """Look at the thresholds of metrics that were not compared, and at metrics only the baseline has."""
    for name, threshold in thresholds.items():
        if find_metric(name).headline and name in scored and name in before:
            continue  # compared above
        about = find_metric(name)
        mean = _mean(scored[name]) if name in scored else None
        if mean is None:
            state: State = "noted" if run.only == "retrieval" else "failed"
            yield Check(
                name, state, f"{about.title} has a threshold and was not measured", threshold=threshold
            )
        elif _below(name, mean, threshold) or (scored[name].coverage or 0.0) < COVERAGE:
            text = f"{about.title} is {about.write(mean)}, its threshold {about.write(threshold)}"
            yield Check(name, "failed", text, None, mean, threshold=threshold)
        else:
            yield Check(
                name, "passed", f"{about.title} is {about.write(mean)}", None, mean, threshold=threshold
            )
    for name, column in before.items():
        if (
            column.coverage is not None
            and find_metric(name).headline
            and name not in scored
            and name not in thresholds
        ):
            yield Check(name, "failed", f"{find_metric(name).title} was measured for the baseline only")


def _guarded(cases: Iterable[RunCase], scored: Mapping[str, Column], before: Mapping[str, Column]) -> Check:
    """Check the cases that guard against old faults: none may fail that did not fail before."""
    guarded = [case.case_id for case in cases if GUARD in (case.tags or ())]
    failed = {key: failing(key, scored) for key in guarded}
    new = [key for key in guarded if failed[key] and not failing(key, before)]
    if new:
        named = ", ".join(f"{key} ({', '.join(failed[key])})" for key in new[:SHOWN])
        return Check(
            GUARD, "failed", f"{_count(new, 'guarded case')} newly failing: {named}", cases=tuple(new)
        )
    still = [key for key in guarded if failed[key]]
    if still:
        text = f"{_count(still, 'guarded case')} failing before and now: {', '.join(still[:SHOWN])}"
        return Check(GUARD, "noted", text, cases=tuple(still))
    return Check(GUARD, "passed", f"{_count(guarded, 'guarded case')}, none failing")


def _below(name: str, mean: float | None, threshold: float | None) -> bool:
    if threshold is None or mean is None:
        return False
    return mean < threshold if find_metric(name).better == "higher" else mean > threshold


def _mean(column: Column) -> float | None:
    return sum(column.numbers) / len(column.values) if column.values else None


def _count(items: Iterable[str], name: str) -> str:
    number = len(list(items))
    return f"{number} {name}{'' if number == 1 else 's'}"
