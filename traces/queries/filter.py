"""Which turns a list shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from traces.records import ERRORS, PRODUCTION


@dataclass(frozen=True, slots=True)
class Filter:
    """Which turns to list; None means any."""

    since: datetime
    until: datetime
    doors: tuple[str, ...] = PRODUCTION
    outcome: str | None = None
    model: str | None = None
    prompt: str | None = None
    user_id: str | None = None
    rating: str | None = None  # up | down | none
    min_seconds: float | None = None
    errors: bool = False  # failed, cut or degraded only
    missed: bool = False  # retrieval found nothing above the floor
    unpriced: bool = False
    run_id: str | None = None
    text: str | None = None  # words of the question or the answer: see traces/words.py
    ids: tuple[str, ...] | None = None  # the turns with these words, when an index knows them

    @property
    def plain(self) -> bool:
        """Whether nothing but time and door, and perhaps words, choose."""
        return self == Filter(self.since, self.until, self.doors, text=self.text, ids=self.ids)

    @property
    def bound(self) -> dict[str, Any]:
        """The values that a query of a list binds: only those it asks for."""
        names = ("outcome", "model", "prompt", "user_id", "min_seconds", "run_id")
        values = {name: value for name in names if (value := getattr(self, name)) is not None}
        values |= {"ids": list(self.ids)} if self.ids is not None else {}
        values |= {"error_outcomes": list(ERRORS)} if self.errors else {}
        return {"since": self.since, "until": self.until, "doors": list(self.doors), **values}
