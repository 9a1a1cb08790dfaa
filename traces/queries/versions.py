"""What prompt versions did on live traffic: one row a version, for side-by-side numbers and canaries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from traces.queries.hours import first_hour
from traces.queries.measured import MEASURED, SCORED, MeasuredSums, groups
from traces.queries.window import Rows, Window, ends
from traces.records import ERRORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Live(MeasuredSums):
    """What a prompt version did on live traffic."""

    prompt: str  # label


def live(
    ledger: Rows, name: str, since: datetime, until: datetime, workspace: str | None = None
) -> list[Live]:
    """How did each version of a prompt do on the turns that people asked, by label?

    Counts with their totals, means with deviation and number, so that intervals can be computed.
    Turns that never reached a prompt (refused, nothing found) are not in it, nor, of more than twelve
    hours, those of the rest of the hour in which they begin. With a workspace, of its turns alone.
    """
    window = Window(since, until)
    if window.long and workspace is None:
        whole = replace(window.hours, since=first_hour(since))
        where = "starts_with(prompt, $name)"
        lives = groups(ledger, whole, Live, ("prompt",), where, name=f"{name}@v")
        return sorted(lives, key=lambda live: live.prompt)
    rows = ledger.rows(
        SCORED
        + "select turns.prompt,"
        + MEASURED
        + """
        and starts_with(turns.prompt, $name)
        and coalesce($workspace, turns.workspace, 'default') = coalesce(turns.workspace, 'default')
        group by turns.prompt order by turns.prompt
        """,
        errors=list(ERRORS),
        name=f"{name}@v",
        workspace=workspace,
        **window.bound,
        **ends(ledger, since, until),
    )
    return [Live(**row) for row in rows]
