"""What each prompt version and model did on live traffic, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from traces.queries.measured import MEASURED, SCORED, MeasuredSums, groups
from traces.queries.window import Rows, Window, ends
from traces.records import ERRORS


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSide(MeasuredSums):
    """A prompt version with a model on live turns."""

    prompt: str
    model: str


def sides(ledger: Rows, window: Window) -> list[LiveSide]:
    """How did each pair of prompt version and model do? The busiest first.

    Counts with their totals, means with deviation and number, so that intervals can be computed.
    Turns that never reached a prompt (refused, nothing found) are not in it.
    """
    if window.long:
        where = "prompt is not null and model is not null"
        whole = groups(ledger, window.hours, LiveSide, ("prompt", "model"), where)
        return sorted(whole, key=lambda side: (-side.turns, side.prompt, side.model))
    rows = ledger.rows(
        SCORED
        + "select turns.prompt, turns.model,"
        + MEASURED
        + """
        and turns.prompt is not null and turns.model is not null
        group by turns.prompt, turns.model
        order by count(*) desc, turns.prompt, turns.model
        """,
        errors=list(ERRORS),
        **window.bound,
        **ends(ledger, window.since, window.until),
    )
    return [LiveSide(**row) for row in rows]
