"""What a judge is given and what it returns; `to_dict` and `read` are the lines between two processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from traces.records import Bill


@dataclass(frozen=True, slots=True)
class JudgeJob:
    """Which judge, and how much of it at a time."""

    judge: str
    address: str = ""
    concurrency: int = 64  # samples at a time
    calls: int = 48  # model calls at a time
    seconds: float = 60.0  # of one call
    budget_usd: float | None = None
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """A sample to score on a metric; `place` is its number among those of one judgement."""

    place: int
    metric: str
    sample: Mapping[str, str | list[str]]

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> JudgeTask:
        """Return the task of a line."""
        return cls(line["id"], line["metric"], line["sample"])

    def to_dict(self) -> dict[str, Any]:
        """Return the line."""
        return {"id": self.place, "metric": self.metric, "sample": self.sample}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge made of a task; without a value it failed, or was `stopped` by the spending cap."""

    place: int
    metric: str
    value: float | None = None
    reason: str | None = None
    bill: Bill = field(default_factory=Bill)
    stopped: bool = False

    @property
    def failed(self) -> bool:
        return self.value is None

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Opinion:
        """Return the opinion of a line."""
        if "stopped" in line:
            return cls(line["id"], line["metric"], stopped=True)
        bill = Bill(**{key.name: line[key.name] for key in fields(Bill)})
        return cls(line["id"], line["metric"], line["value"], line["reason"], bill)

    def to_dict(self) -> dict[str, Any]:
        """Return the line."""
        about = {"id": self.place, "metric": self.metric}
        if self.stopped:
            return {**about, "stopped": "budget"}
        own = {"value": self.value, "reason": self.reason, "failed": self.failed}
        return {**about, **own, **asdict(self.bill)}
