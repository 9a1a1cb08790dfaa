"""What the turns of a run did with the passages their cases name as relevant."""

from __future__ import annotations

from dataclasses import dataclass

from traces.queries.runs import SCORES
from traces.queries.window import Rows


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A candidate of a turn: its ranks (1-based), its number in the prompt, and whether it was cited."""

    case_id: str
    document_id: str
    chunk_id: str
    rank: int
    fused_rank: int | None
    n: int | None
    cited: bool


def candidates_of(ledger: Rows, run_id: str) -> dict[str, list[RankedPassage]]:
    """Return the candidates of a run's turns by case, best first; a case whose turn has none has []."""
    rows = ledger.rows(
        SCORES  # noqa: S608 - two constants
        + """
        select in_force.case_id, passages.document_id, passages.chunk_id, passages.rank,
               passages.fused_rank, passages.n, passages.cited
        from in_force
        left join passages on passages.turn_id = in_force.turn_id
        where in_force.name = 'completed' and in_force.repetition = 1 and in_force.turn_id is not null
        order by in_force.case_id, passages.rank
        """,
        run_id=run_id,
    )
    by_case: dict[str, list[RankedPassage]] = {}
    for row in rows:
        candidates = by_case.setdefault(row["case_id"], [])
        if row["rank"] is not None:
            candidates.append(RankedPassage(**row))
    return by_case
