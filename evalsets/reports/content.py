"""What a report of a run or of a comparison consists of; `to_dict` is the JSON report, its form kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from evalsets.metrics.columns import Summary
from evalsets.metrics.metric import Better
from evalsets.reports.compare import Difference
from evalsets.reports.losses import LossStage
from evalsets.reports.record import Record


@runtime_checkable
class _Storable(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ReportVersion:
    """One thing that a run was made with."""

    title: str
    value: str


@dataclass(frozen=True, slots=True)
class VersionPair:
    """One thing that two runs were made with."""

    title: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure shown large."""

    title: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class CriterionText:
    """A criterion of the team, in its words."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class AboutRun:
    """What is said of a run itself."""

    run_id: str
    evalset: str
    evalset_fingerprint: str
    variant: str
    state: str
    only: str | None
    cases: int | None
    done: int | None
    failed: int | None
    seed: int | None
    cost_usd: float | None
    seconds: float | None
    error: str | None
    limit: int | None
    concurrency: int | None
    repetitions: int
    source: str | None
    licence: str | None
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow(Summary):
    """One metric of a run, held against its threshold."""

    name: str
    title: str
    what: str
    better: Better
    unit: str
    headline: bool
    coverage: float | None
    threshold: float | None
    passed: bool | None  # None without a threshold

    def to_dict(self) -> dict[str, Any]:
        about = ("name", "title", "what", "better", "unit", "headline")
        held = ("coverage", "threshold", "passed")
        return {
            **{key: getattr(self, key) for key in about},
            **Summary.to_dict(self),
            **{key: getattr(self, key) for key in held},
        }


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What one case got on a metric; without a value its scoring failed."""

    value: float | None
    reason: str | None

    @property
    def failed(self) -> bool:
        return self.value is None

    def to_dict(self) -> dict[str, Any]:
        failed = {"failed": True} if self.failed else {}
        return {"value": self.value, **failed, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Why:
    """A score that puts a case among the lowest."""

    title: str
    value: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case of a run with its answer and its scores by metric."""

    case_id: str
    failing: tuple[str, ...]  # titles of the yes/no metrics that it failed
    question: str
    answerability: str | None
    outcome: str | None
    answer: str | None
    reference: str | None
    relevant_ids: tuple[str, ...] | None
    turn_id: str | None
    error_class: str | None
    scores: Mapping[str, CaseScore]
    why: tuple[Why, ...] = ()  # of the lowest cases

    def to_dict(self) -> dict[str, Any]:
        return _fields(self, leave=() if self.why else ("why",))


@dataclass(frozen=True, slots=True)
class RunReport:
    """What the report of a run says."""

    kind: ClassVar[str] = "run"
    made_at: str
    title: str
    verdict: str
    advice: str
    means: tuple[str, ...]
    next: tuple[str, ...]
    run: AboutRun
    versions: tuple[ReportVersion, ...]
    warnings: tuple[str, ...]
    tiles: tuple[Tile, ...]
    metrics: tuple[MetricRow, ...]
    rubric: tuple[CriterionText, ...]
    outcomes: Mapping[str, int]
    losses: tuple[LossStage, ...]
    worst: tuple[CaseRow, ...]
    best: tuple[CaseRow, ...]
    cases: tuple[CaseRow, ...]
    record: Record

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON report."""
        return {"kind": self.kind, **_fields(self)}


@dataclass(frozen=True, slots=True)
class Names:
    """What sentences call the two runs of a comparison."""

    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow(Difference):
    """One metric of a comparison, with what it says."""

    title: str
    what: str
    better: Better
    unit: str


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """A case that moved most between two runs."""

    case_id: str
    question: str
    reference: str | None
    answer_a: str | None
    answer_b: str | None
    better: bool  # in B
    metrics: tuple[str, ...]  # "+ Recall@5"


@dataclass(frozen=True, slots=True)
class ComparedCase:
    """A case that stands in both runs, and which yes/no metrics it failed in each."""

    case_id: str
    question: str
    reference: str | None
    answer_a: str | None
    answer_b: str | None
    failing_a: tuple[str, ...]
    failing_b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What the report of a comparison says."""

    kind: ClassVar[str] = "comparison"
    made_at: str
    title: str
    sentence: str
    names: Names
    verdict: str
    advice: str
    means: tuple[str, ...]
    sure: str
    next: tuple[str, ...]
    prompt_diff: str | None
    notes: tuple[str, ...]
    common: int
    a: AboutRun
    b: AboutRun
    versions: tuple[VersionPair, ...]
    differences: tuple[DifferenceRow, ...]
    rubric: tuple[CriterionText, ...]
    changed: tuple[ChangedCase, ...]
    cases: tuple[ComparedCase, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON report."""
        return {"kind": self.kind, **_fields(self)}


Report = RunReport | ComparisonReport


def _fields(row: Any, leave: Iterable[str] = ()) -> dict[str, Any]:
    names = [field.name for field in fields(row) if field.name not in leave]
    return {name: _stored(getattr(row, name)) for name in names}


def _stored(value: Any) -> Any:
    """Return a part of a report as JSON holds it."""
    if isinstance(value, _Storable):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _stored(item) for key, item in value.items()}
    return [_stored(item) for item in value] if isinstance(value, tuple | list) else value
