"""What the gate says: checks, the verdict that they make, and the evidence of an evalset for a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from traces.records import Run

State = Literal["passed", "failed", "noted"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the gate looked at."""

    name: str  # a metric, or what else was checked
    state: State
    text: str
    baseline: float | None = None
    candidate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    threshold: float | None = None
    coverage: float | None = None
    cases: tuple[str, ...] = ()  # the ones to look at
    more: int = 0  # so many more cases could tell what these cannot


@dataclass(frozen=True, slots=True)
class VerdictSide:
    """One of the two runs, as a verdict names it."""

    run_id: str
    variant: str
    prompt: str | None
    model: str | None

    @classmethod
    def of(cls, run: Run) -> VerdictSide:
        """Return a run's side."""
        return cls(run.run_id, run.variant, run.prompt, run.model)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an evalset lets a candidate pass, with every check behind it."""

    evalset: str
    candidate: VerdictSide
    baseline: VerdictSide
    sentence: str
    checks: tuple[Check, ...]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Verdict:
        """Return the verdict whose JSON this is."""
        checks = (Check(**{**check, "cases": tuple(check["cases"])}) for check in body["checks"])
        sides = VerdictSide(**body["candidate"]), VerdictSide(**body["baseline"])
        return cls(body["evalset"], *sides, body["sentence"], tuple(checks))

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass, a sentence each."""
        return [check.text for check in self.checks if check.state == "failed"]

    @property
    def more(self) -> int:
        """How many more cases could tell, where nothing else held the candidate back; else 0."""
        held = [check for check in self.checks if check.state == "failed"]
        return max((check.more for check in held), default=0) if all(check.more for check in held) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the verdict."""
        about = {"passed": self.passed, "reasons": self.reasons, "more": self.more}
        return {**about, **asdict(self), "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the runs of one evalset say of a candidate; without a verdict something is `missing`."""

    evalset: str
    baseline: str  # the version in force when this was read
    cases: int
    missing: tuple[str, ...]  # versions that were not run on what answers now
    verdict: Verdict | None
    reasons: tuple[str, ...]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Evidence:
        """Return the evidence whose JSON this is."""
        verdict = Verdict.read(body["verdict"]) if body["verdict"] else None
        missing, reasons = tuple(body["missing"]), tuple(body["reasons"])
        return cls(body["evalset"], body["baseline"], body["cases"], missing, verdict, reasons)

    @property
    def more(self) -> int:
        """How many more cases could tell, where nothing else held the candidate back; else 0."""
        verdict = self.verdict
        return verdict.more if verdict and len(self.reasons) == len(verdict.reasons) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "evalset": self.evalset,
            "baseline": self.baseline,
            "cases": self.cases,
            "more": self.more,
            "missing": list(self.missing),
            "passed": not self.reasons,
            "reasons": list(self.reasons),
            "verdict": self.verdict.to_dict() if self.verdict else None,
        }
