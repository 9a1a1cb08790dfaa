"""Names the change behind a drop: the changes between two runs are tried one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from evalsets.metrics import stats
from evalsets.metrics.table import find_metric
from evalsets.release import changes
from evalsets.release.changes import Changed
from evalsets.reports.compare import ALPHA, Difference, compare_runs
from evalsets.runs.asker import Variant
from pipeline.errors import AnswerdeckError
from traces.queries import runs
from traces.queries.window import Rows
from traces.records import Run

CONTROL = "as the good run, now"
TOGETHER = "all of them together"


class Unlike(AnswerdeckError):
    """Two runs cannot be bisected: they did not ask the same, or there is nothing to look for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run is made with to try one change; retrieval None is what is configured."""

    title: str
    variant: Variant
    retrieval: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class BisectStep:
    """A trial that was run, and how it did against the control (the control: against the good run)."""

    title: str
    run_id: str
    difference: Difference
    to_blame: bool


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a bisection found."""

    metric: str
    drop: Difference  # the bad run against the good one
    fixed: tuple[str, ...]  # changes that cannot be switched back: index, guardrails, code, an edited file
    steps: tuple[BisectStep, ...]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return asdict(self)


Ask = Callable[[Trial], str]  # runs the evalset of the good run and returns the run's id
Reading = Callable[[], AbstractContextManager[Rows]]


def find_cause(read: Reading, good_id: str, bad_id: str, metric: str, ask: Ask) -> Bisection:
    """Return the change that made `metric` worse from the good run to the bad one.

    The good run is first made again as a control: what makes that worse is nothing that can be
    switched. Each change then runs alone and is compared with the control, case by case, corrected for
    how many are tried. Raises UnknownRun and Unlike.
    """
    with read() as ledger:
        good, bad = runs.run(ledger, good_id), runs.run(ledger, bad_id)
        drop = _difference(ledger, good, bad.run_id, metric)
    _check(good, bad, drop)
    differing = changes.between(good, bad)
    fixed = tuple(str(change) for change in differing if change.key not in ("prompt", "model", "retrieval"))
    control = ask(Trial(CONTROL, _variant(good), _retrieval(good)))
    with read() as ledger:
        again = runs.run(ledger, control)
        first = _difference(ledger, good, control, metric)
    step = BisectStep(CONTROL, control, first, first.verdict == "worse")
    if step.to_blame:
        moved = [str(moved_part) for moved_part in changes.between(good, again)]
        return Bisection(metric, drop, fixed, (step,), _unswitched(first, moved))
    trials = list(_trials(good, bad, differing))
    steps = _tried(read, trials, again, metric, ask)
    if len(trials) > 1 and not any(tried.to_blame for tried in steps):
        both = Trial(TOGETHER, _variant(bad), _retrieval(bad))
        steps += _tried(read, [both], again, metric, ask)
    return Bisection(metric, drop, fixed, (step, *steps), _sentence(metric, drop, fixed, steps))


def _check(good: Run, bad: Run, drop: Difference) -> None:
    for key, title in (("evalset_fingerprint", "evalset"), ("only", "kind of run"), ("cases", "cases")):
        was, now = getattr(good, key), getattr(bad, key)
        if was != now:
            raise Unlike(f"the runs did not ask the same: {title} {was} and {now}")
    if drop.verdict != "worse":
        raise Unlike(f"there is no drop to explain: {drop.sentence}")


def _difference(ledger: Rows, good: Run, other: str, metric: str) -> Difference:
    differences = compare_runs(ledger, good.run_id, other, metrics=[metric]).differences
    if not differences:
        raise Unlike(f"both runs must have been scored on {metric!r}")
    return differences[0]


def _variant(run: Run) -> Variant:
    return Variant(only=run.only) if run.only else Variant(run.prompt, run.model)


def _retrieval(run: Run) -> Mapping[str, Any] | None:
    return run.settings.retrieval


def _trials(good: Run, bad: Run, differing: Sequence[Changed]) -> Iterator[Trial]:
    """Yield the good run's variant with one change of the bad one at a time."""
    before, after = _retrieval(good), _retrieval(bad)
    for change in differing:
        if change.key == "prompt":
            yield Trial(str(change), Variant(bad.prompt, good.model), before)
        elif change.key == "model":
            yield Trial(str(change), Variant(good.prompt, bad.model), before)
        elif change.key == "retrieval" and before and after:
            yield Trial(str(change), _variant(good), {**before, change.title: after[change.title]})


def _tried(read: Reading, trials: Sequence[Trial], control: Run, metric: str, ask: Ask) -> list[BisectStep]:
    trial_runs = [(trial, ask(trial)) for trial in trials]
    with read() as ledger:
        measured = [
            (trial, run_id, _difference(ledger, control, run_id, metric)) for trial, run_id in trial_runs
        ]
    corrected = stats.holm([1.0 if candidate.p is None else candidate.p for _, _, candidate in measured])
    return [
        BisectStep(trial.title, run_id, candidate, candidate.verdict == "worse" and p < ALPHA)
        for (trial, run_id, candidate), p in zip(measured, corrected, strict=True)
    ]


def _by(difference: Difference) -> str:
    """Return "0.041 to 0.139 (95 %)", how much worse."""
    low, high = sorted(abs(end or 0.0) for end in (difference.ci_low, difference.ci_high))
    write = find_metric(difference.metric).write
    return f"{write(low)} to {write(high)} (95 %)"


def _unswitched(first: Difference, moved: list[str]) -> str:
    title = find_metric(first.metric).title
    if not moved:
        return (
            f"Made again with everything the same, the good run is worse on {title} by {_by(first)}: "
            "the metric is not steady, and no change explains it."
        )
    return (
        f"The cause is not the prompt, model or retrieval: the good run made again is worse on {title} by "
        f"{_by(first)}. Changed since, and not to be switched from here: {'; '.join(moved)}."
    )


def _sentence(metric: str, drop: Difference, fixed: Sequence[str], steps: Sequence[BisectStep]) -> str:
    title = find_metric(metric).title
    blamed = sorted(
        (step for step in steps if step.to_blame), key=lambda tried: -abs(tried.difference.difference or 0)
    )
    if blamed and blamed[0].title == TOGETHER:
        return f"No change alone makes {title} worse; together they do, by {_by(blamed[0].difference)}."
    if blamed:
        causes = "; ".join(f"{step.title} by {_by(step.difference)}" for step in blamed)
        return f"{title} is worse by {_by(drop)}. Behind it: {causes}."
    left = f" What cannot be switched from here: {'; '.join(fixed)}." if fixed else ""
    return f"{title} is worse by {_by(drop)}, but nothing that can be switched makes it so.{left}"
