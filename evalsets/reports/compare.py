"""Says whether one run is better than another: paired by case, one plain sentence a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evalsets.metrics import stats, times
from evalsets.metrics.columns import Column
from evalsets.metrics.metric import Metric
from evalsets.metrics.table import METRICS, find_metric, is_judged, ordered
from evalsets.reports import record
from evalsets.reports.record import Record
from pipeline.errors import AnswerdeckError
from traces.queries.window import Rows
from traces.records import MADE_WITH, Run

ALPHA = 0.05
COVERAGE = 0.95  # under it a metric carries a warning and may not pass a gate
WORTHWHILE = 0.03  # the difference of a share that the sentence promises to show
RELATIVE = 0.1  # and of a time or a cost, as a share of A's mean
Verdict = Literal["better", "worse", "same", "none"]
EMBEDDED = "the embedded model reads no prompt, so a difference of times is the machine's"
APART = "times were not measured side by side, so they decide nothing"
ELSEWHERE = "the baseline's costs come from another ledger, so they decide nothing"
SILENT = ("index_version", "guardrails", "code_version")  # what a variant does not name


class NothingInCommon(AnswerdeckError):
    """Two runs share no case, so nothing can be paired."""


@dataclass(frozen=True, slots=True)
class Difference:
    """B against A on one metric, over the cases both have a value for."""

    metric: str
    verdict: Verdict  # of B; "same" is no detectable difference, "none" is nothing that may be compared
    sentence: str
    n: int
    failed: int  # cases meant to be scored that lack a value in A or B
    coverage: float
    mean_a: float | None = None  # of times the median: a few slow turns do not decide
    mean_b: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_corrected: float | None = None  # Holm over the metrics of the comparison
    test: str | None = None
    wins: tuple[str, ...] = ()  # cases on which B is better
    losses: tuple[str, ...] = ()
    ties: int = 0
    detectable: float | None = None  # smallest difference that these cases show 4 times in 5
    target: float | None = None
    more_cases: int | None = None  # how many more would show the target

    @property
    def by(self) -> str:
        """On what the two differ and by how much, beyond chance: "Recall@5 by 0.041 to 0.139"."""
        about = find_metric(self.metric)
        low, high = sorted(abs(end or 0.0) for end in (self.ci_low, self.ci_high))
        return f"{about.title} by {about.write(low)} to {about.write(high)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A, metric by metric."""

    a: Run
    b: Run
    common: int
    notes: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        parts = [
            f"{verdict} on " + _listed([row.by for row in self.differences if row.verdict == verdict])
            for verdict in ("better", "worse")
            if any(row.verdict == verdict for row in self.differences)
        ]
        if parts:
            return f"{names(self.a, self.b)[1]} is {', and '.join(parts)}."
        compared = sum(row.verdict == "same" for row in self.differences)
        return f"No detectable difference on any of {compared} metrics."

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the comparison."""
        keys = ("run_id", "evalset", "evalset_fingerprint", "variant")
        return {
            "a": {key: getattr(self.a, key) for key in keys},
            "b": {key: getattr(self.b, key) for key in keys},
            "common": self.common,
            "sentence": self.sentence,
            "notes": list(self.notes),
            "metrics": {row.metric: asdict(row) for row in self.differences},
        }


def compare_runs(
    ledger: Rows, a: str, b: str, *, metrics: Sequence[str] | None = None, seed: int = 0
) -> Comparison:
    """Compare run `b` with run `a` (ids, their beginnings, or "latest").

    `metrics` are those to look at; by default the headline ones that both runs have. Only cases that
    stand the same in both runs are paired. Raises UnknownRun, and NothingInCommon when there are none.
    """
    return compare(record.of(ledger, a), record.of(ledger, b), metrics=metrics, seed=seed)


def compare(a: Record, b: Record, *, metrics: Sequence[str] | None = None, seed: int = 0) -> Comparison:
    """Compare record `b` with record `a`, as `compare_runs` does."""
    common = {key for key in a.cases.keys() & b.cases.keys() if a.cases[key] == b.cases[key]}
    if not common:
        raise NothingInCommon(
            f"run {a.run.run_id} of {a.run.evalset} and run {b.run.run_id} of {b.run.evalset} share no case"
        )
    chosen = ordered(a.columns.keys() & b.columns.keys())
    if metrics is None:
        chosen = [name for name in chosen if name not in METRICS or METRICS[name].headline]
    else:
        chosen = [name for name in chosen if name in metrics]
    differences = pair(
        {name: a.columns[name] for name in chosen},
        {name: b.columns[name] for name in chosen},
        common,
        seed,
        undecided=_undecided(a, b, chosen),
        name=names(a.run, b.run)[1],
    )
    notes = _notes(a, b, common)
    return Comparison(a.run, b.run, len(common), tuple(notes), tuple(differences))


def names(a: Run, b: Run) -> tuple[str, str]:
    """Return how a reader tells two runs apart: by prompt, by model, or by both; else by their ids."""
    by_prompt, by_model = a.prompt != b.prompt, a.model != b.model
    by_search = a.settings.trial != b.settings.trial
    if by_search and not (by_prompt or by_model):
        as_it_is = "retrieval as configured"
        return a.settings.trial or as_it_is, b.settings.trial or as_it_is
    if a.only or b.only or not (by_prompt or by_model):
        return f"run {a.run_id[-6:]}", f"run {b.run_id[-6:]}"
    if (by_prompt and by_model) or by_search:
        return a.variant, b.variant
    key = "prompt" if by_prompt else "model"
    return str(getattr(a, key)), str(getattr(b, key))


def _undecided(a: Record, b: Record, metrics: Sequence[str]) -> dict[str, str]:
    """Say of metrics why they cannot be compared: times and money of another session, another judge."""
    reasons: dict[str, str] = {}
    why = untimed(a.run, b.run)
    for name in metrics:
        unit = find_metric(name).unit
        if why and unit == "seconds":
            reasons[name] = why
        elif a.file is not None and unit == "usd":
            reasons[name] = ELSEWHERE
        elif name in a.judges and name in b.judges and a.judges[name] != b.judges[name]:
            reasons[name] = _other_judge(name, a, b)
    return reasons


def untimed(a: Run, b: Run) -> str | None:
    """Say why the times of two runs may not be compared; None when they may."""
    if a.model == b.model == "extractive" and a.prompt != b.prompt:
        return EMBEDDED
    sessions = {a.settings.session, b.settings.session}
    return None if None not in sessions and len(sessions) == 1 else APART


def _other_judge(metric: str, a: Record, b: Record) -> str:
    was, now = a.judges[metric], b.judges[metric]
    if is_judged(metric) and was.partition("/")[2] == now.partition("/")[2]:
        return "what the judge was asked changed between the two runs; judge both anew"
    before, after = names(a.run, b.run)
    return f"judged by {was} for {before} and by {now} for {after}"


def pair(
    a: Mapping[str, Column],
    b: Mapping[str, Column],
    common: set[str],
    seed: int = 0,
    *,
    undecided: Mapping[str, str] | None = None,
    name: str = "B",
) -> list[Difference]:
    """Compare columns of the same names over the common cases, corrected for how many are looked at.

    `undecided` says of metrics why they are shown and not judged; `name` is what sentences call b.
    """
    silent = undecided or {}
    matched: list[_Matched] = []
    for metric in a:
        meant = (a[metric].values.keys() | a[metric].failed.keys()) & (
            b[metric].values.keys() | b[metric].failed.keys()
        )
        meant &= common
        keys = sorted(a[metric].values.keys() & b[metric].values.keys() & common)
        if not meant:
            continue
        rows = [(a[metric].values[key], b[metric].values[key]) for key in keys]
        about = find_metric(metric)
        compared = times.paired if about.unit == "seconds" else stats.paired
        paired = compared(*zip(*rows, strict=True), seed=seed) if rows else None
        matched.append(_Matched(about, name, rows, keys, len(meant) - len(keys), paired))
    tested = [row for row in matched if row.paired is not None and row.about.name not in silent]
    holm = stats.holm([row.paired.p if row.paired else 1.0 for row in tested])
    corrected = {row.about.name: p for row, p in zip(tested, holm, strict=True)}
    return [
        _shown(row.about, row.failed, row.paired, silent[row.about.name])
        if row.paired is not None and row.about.name in silent
        else _difference(row, row.paired, corrected.get(row.about.name))
        for row in matched
    ]


@dataclass(frozen=True, slots=True)
class _Matched:
    """One metric over the cases that both runs have."""

    about: Metric
    name: str  # what sentences call b
    rows: list[tuple[float, float]]  # the values in a and in b
    keys: list[str]
    failed: int
    paired: stats.Paired | None


def _shown(about: Metric, failed: int, paired: stats.Paired, why: str) -> Difference:
    """Return a difference that is shown and not judged."""
    n = paired.n
    return Difference(
        about.name,
        "none",
        f"no verdict on {about.title}: {why}",
        n,
        failed,
        n / (n + failed),
        mean_a=paired.mean_a,
        mean_b=paired.mean_b,
        difference=paired.difference,
        test=paired.test,
        ties=n,
    )


def _difference(matched: _Matched, paired: stats.Paired | None, corrected: float | None) -> Difference:
    about, failed = matched.about, matched.failed
    if paired is None or corrected is None:
        sentence = f"nothing to compare on {about.title}: all {failed} cases failed in one of the runs"
        return Difference(about.name, "none", sentence, 0, failed, 0.0)
    sign = 1 if about.better == "higher" else -1
    moved = stats.subtract([row[0] for row in matched.rows], [row[1] for row in matched.rows]) * sign
    ahead = [key for key, by in zip(matched.keys, moved, strict=True) if by > 0]
    behind = [key for key, by in zip(matched.keys, moved, strict=True) if by < 0]
    target = WORTHWHILE if about.unit == "share" else abs(paired.mean_a) * RELATIVE
    needed = stats.cases_needed(paired.sd, target)
    more = None if needed is None else max(needed - paired.n, 0)
    verdict: Verdict = "same"
    if corrected < ALPHA and (paired.low > 0 or paired.high < 0):
        verdict = "better" if paired.difference * sign > 0 else "worse"
    return Difference(
        metric=about.name,
        verdict=verdict,
        sentence=_sentence(matched, verdict, paired, target, more),
        n=paired.n,
        failed=failed,
        coverage=paired.n / (paired.n + failed),
        mean_a=paired.mean_a,
        mean_b=paired.mean_b,
        difference=paired.difference,
        ci_low=paired.low,
        ci_high=paired.high,
        p=paired.p,
        p_corrected=corrected,
        test=paired.test,
        wins=tuple(ahead),
        losses=tuple(behind),
        ties=paired.n - len(ahead) - len(behind),
        detectable=paired.detectable,
        target=target,
        more_cases=more,
    )


def _sentence(
    matched: _Matched, verdict: Verdict, paired: stats.Paired, target: float, more: int | None
) -> str:
    about, failed = matched.about, matched.failed
    if verdict == "same":
        text = f"no detectable difference on {about.title}"
        if paired.sd == 0.0:
            text += (
                f": the same on all {paired.n} cases" if paired.difference == 0.0 else f" ({paired.n} cases)"
            )
        elif more:
            text += f"; {more:,} more cases would show {about.write(target)}"
        elif more == 0:
            text += f"; one of {about.write(target)} would have shown"
    else:
        low, high = sorted((abs(paired.low), abs(paired.high)))
        text = f"{matched.name} is {verdict} on {about.title} by {about.write(low)} to {about.write(high)}"
    if failed and paired.n / (paired.n + failed) < COVERAGE:
        text += f" (only {paired.n} of {paired.n + failed} cases could be scored in both)"
    return text


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _notes(before: Record, after: Record, common: set[str]) -> list[str]:
    a, b, notes = before.run, after.run, list[str]()
    was, now = names(a, b)
    if a.run_id == b.run_id:
        notes.append("Both are the same run.")
    if a.evalset_fingerprint != b.evalset_fingerprint:
        notes.append(
            f"The evalsets differ ({a.evalset} {a.evalset_fingerprint}, {b.evalset} {b.evalset_fingerprint})."
        )
    if a.model == b.model == "extractive" and a.prompt != b.prompt:
        notes.append(
            f"The embedded model reads no prompt: it answers alike under {a.prompt} and {b.prompt}."
            " To compare prompts, run both with a provider's model."
        )
    elif a.run_id != b.run_id and untimed(a, b) and not a.only:
        notes.append(
            "Times were measured apart and decide nothing; variants that are run together go side by side."
        )
    if len(common) < max(len(before.cases), len(after.cases)):
        notes.append(
            f"Compared on the {len(common)} cases both have;"
            f" {was} has {len(before.cases)}, {now} has {len(after.cases)}."
        )
    for name, run in ((was, a), (now, b)):
        if run.state != "finished":
            notes.append(f"The run of {name} is {run.state}: {run.done} of {run.cases} cases are done.")
    searched = [run.settings.retrieval for run in (a, b)]
    if None not in searched and searched[0] != searched[1]:
        notes.append("The retrieval settings differ: see what was run.")
    return [*notes, *_changed(a, b)]


def _changed(a: Run, b: Run) -> Iterator[str]:
    """Name what changed between the runs beside the variant."""
    for part in MADE_WITH:
        was, now = getattr(a, part.key), getattr(b, part.key)
        if part.key in SILENT and None not in (was, now) and was != now:
            yield f"Not only the variant changed: {part.name} {was} before, {now} now."
