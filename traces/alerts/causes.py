"""The likely cause of an incident: the deployment or ingestion before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from traces.queries.watch import Swap

BEFORE = timedelta(hours=24)
AFTER = timedelta(minutes=15)  # when an incident began is known about so well


def likely(changes: Sequence[Swap], began: datetime) -> str | None:
    """Return what was changed shortly before an incident, in words; None when nothing was."""
    near = [swap for swap in changes if began - BEFORE <= swap.at <= began + AFTER]
    if not near:
        return None
    newest = max(swap.at for swap in near)
    together = [swap for swap in near if newest - swap.at <= AFTER]
    what = ", ".join(f"{swap.part} {swap.was} → {swap.now}" for swap in together)
    return f"{what}, first seen {newest:%d %b %H:%M} UTC, {_distance(began - newest)}"


def _distance(passed: timedelta) -> str:
    minutes = round(passed.total_seconds() / 60)
    if abs(minutes) <= 5:
        return "as it began"
    if minutes < 0:
        return f"{-minutes} minutes after it began"
    return f"{minutes} minutes before it" if minutes < 120 else f"{minutes / 60:.0f} hours before it"
