"""The eight facts of the Overview: what each is called, how it is written, and what it honestly means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from console import format
from traces.records import ERRORS


@dataclass(frozen=True, slots=True)
class FactTile:
    """One fact: its column in facts and series, and whether growing is good (normal) or bad (inverse)."""

    title: str
    column: str
    write: Callable[[Any], str]
    change: Callable[[Any, Any], str | None]
    growing: Literal["normal", "inverse", "off"]
    definition: str

    def delta(self, now: Any, before: Any) -> tuple[str | int | None, Literal["normal", "inverse", "off"]]:
        """Return the change and its colour; one that rounds to nothing is grey."""
        change = self.change(now, before)
        if change is None:
            return None, "off"
        if change[0] in "+-" and not float(change.split()[0].rstrip("%").replace(",", "")):
            return 0, "off"
        return change, self.growing


TILES = (
    FactTile("Turns", "turns", format.count, format.change, "off", "Questions asked, whatever their end."),
    FactTile(
        "First token p50",
        "first_token_p50",
        format.seconds,
        format.change,
        "inverse",
        "Half of the turns showed their first piece of answer sooner than this, counted from the moment "
        "the question was accepted. Turns that never showed one are not in it.",
    ),
    FactTile(
        "First token p95",
        "first_token_p95",
        format.seconds,
        format.change,
        "inverse",
        "95 of 100 turns showed their first piece of answer sooner than this.",
    ),
    FactTile(
        "Latency p95",
        "latency_p95",
        format.seconds,
        format.change,
        "inverse",
        "95 of 100 turns were whole sooner than this: guards, retrieval, model and checks together.",
    ),
    FactTile(
        "Retrieval hit rate",
        "hit_rate",
        format.share,
        format.points,
        "normal",
        "Share of the turns that searched the documents in which at least one passage scored above the "
        "floor. It says that something similar was found, not that it was right: evals measure that.",
    ),
    FactTile(
        "Error rate",
        "error_rate",
        format.share,
        format.points,
        "inverse",
        f"Share of turns that ended {', '.join(ERRORS)}: no answer, half an answer, or the fallback's. "
        "Refusals and honest 'not in the documents' are not errors.",
    ),
    FactTile(
        "Cost per conversation",
        "cost_per_conversation",
        format.usd,
        format.change,
        "inverse",
        "Mean over the conversations of this range whose every model call has a known price. "
        "Unpriced turns are counted apart, never as $0.",
    ),
    FactTile(
        "Thumbs-up share",
        "up_share",
        format.share,
        format.points,
        "normal",
        "Share of users' ratings that are thumbs-up; the last word of each user on a turn counts. "
        "Most turns are never rated.",
    ),
)
