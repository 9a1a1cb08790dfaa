"""The likely cause of an incident: the deployment or ingestion before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

BEFORE = timedelta(hours=24)
AFTER = timedelta(minutes=15)  # when an incident began is known about so well


def likely(changes: Sequence[Mapping[str, Any]], began: datetime) -> str | None:
    """Return what was changed shortly before an incident, in words; None when nothing was."""
    near = [row for row in changes if began - BEFORE <= row["at"] <= began + AFTER]
    if not near:
        return None
    newest = max(row["at"] for row in near)
    together = [row for row in near if newest - row["at"] <= AFTER]
    what = ", ".join(f"{row['part']} {row['was']} → {row['now']}" for row in together)
    return f"{what}, first seen {newest:%d %b %H:%M} UTC, {_distance(began - newest)}"


def _distance(passed: timedelta) -> str:
    minutes = round(passed.total_seconds() / 60)
    if abs(minutes) <= 5:
        return "as it began"
    if minutes < 0:
        return f"{-minutes} minutes after it began"
    return f"{minutes} minutes before it" if minutes < 120 else f"{minutes / 60:.0f} hours before it"
