"""How often the guards refuse, and how often people object to it."""

from __future__ import annotations

from dataclasses import dataclass

from traces.queries.window import Rows
from traces.records import PRODUCTION


@dataclass(frozen=True, slots=True)
class Overrides:
    """How many real turns there are, how many a guard refused, and how many of those people contested."""

    turns: int
    refused: int
    contested: int
    override_rate: float | None  # None where nothing was refused


def overrides(ledger: Rows) -> Overrides:
    """How many real turns did a guard refuse, and how many of those did people contest (a thumb down)?"""
    (row,) = ledger.rows(
        """
        select count(*) as turns,
               count(*) filter (where refusal is not null) as refused,
               count(*) filter (where refusal is not null and turn_id in (
                   select turn_id from scores where name = 'feedback' and value < 0)) as contested
        from turns where door = any($doors)
        """,
        doors=list(PRODUCTION),
    )
    return Overrides(**row, override_rate=row["contested"] / row["refused"] if row["refused"] else None)
