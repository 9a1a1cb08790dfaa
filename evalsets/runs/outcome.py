"""What came of one run of an evalset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from evalsets.metrics.columns import Summary
from traces.records import Load


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run as it ended, with the summary of each of its metrics."""

    run_id: str
    evalset: str
    variant: str
    metrics: Mapping[str, Summary]
    cost_usd: float | None
    seconds: float | None
    state: str
    evalset_fingerprint: str
    cases: int | None
    failed: int | None
    calls: int  # of a model
    calls_from_cache: int
    error: str | None
    warnings: tuple[str, ...]
    lost: str | None  # the reason that most failed cases give
    session: str | None
    load: Load | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {
            "metrics": {name: summary.to_dict() for name, summary in self.metrics.items()},
            "warnings": list(self.warnings),
            "load": None if self.load is None else asdict(self.load),
        }
