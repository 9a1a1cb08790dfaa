"""Makes the row of a score from a measurement of an eval turn."""

from __future__ import annotations

from datetime import UTC, datetime

from evalsets.metrics.metric import SCORER, Measured
from traces.ids import uuid7
from traces.records import Score


def score_of(
    measured: Measured,
    turn_id: str,
    run_id: str,
    case_id: str,
    *,
    scorer: str = SCORER,
    repetition: int = 1,
    tags: str | None = None,
) -> Score:
    """Return what was measured of a run's case as a score; `scorer` is who measured."""
    return Score(
        score_id=uuid7(),
        turn_id=turn_id,
        name=measured.name,
        value=measured.value,
        source="eval",
        created_at=datetime.now(UTC),
        scorer=scorer,
        reason=measured.reason,
        failed=measured.failed,
        tags=tags,
        run_id=run_id,
        case_id=case_id,
        repetition=repetition,
    )
