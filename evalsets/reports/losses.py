"""Where the answerable cases of a run lost their relevant page, stage by stage, from what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from traces.queries import relevant, runs
from traces.queries.relevant import RankedPassage
from traces.queries.runs import RunCase
from traces.queries.window import Rows

Loss = Literal["ended", "search", "ranking", "rerank", "budget", "silent", "unused", "used"]
EXAMPLES = 5  # cases named for each stage
PROMPT = 5  # passages a prompt takes when the run does not say
TITLES: dict[Loss, tuple[str, str]] = {
    "ended": ("No turn", "refused or failed before it searched"),
    "search": ("Not among the candidates", "not indexed, or neither search ranks it high enough"),
    "ranking": ("Ranked too low", "a candidate, but below what a prompt takes before and after reranking"),
    "rerank": ("Dropped by the reranker", "the searches had it among the first, the reranker put it lower"),
    "budget": ("Cut from the prompt", "ranked high enough; a copy, or no room within the token budget"),
    "silent": ("In the prompt, not answered", "the model said that the documents do not have it"),
    "unused": ("In the prompt, not used", "the answer cites other passages"),
    "used": ("Used", "cited, or in a run of retrieval alone among the first"),
}


@dataclass(frozen=True, slots=True)
class LossStage:
    """How many cases lost their relevant page at a stage, with the first of them."""

    name: Loss
    title: str
    what: str
    cases: int
    share: float
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.name,
            "title": self.title,
            "what": self.what,
            "cases": self.cases,
            "share": self.share,
            "examples": list(self.examples),
        }


def of_run(ledger: Rows, run_id: str) -> list[LossStage]:
    """Return the stages of a run in order, those without a case too; [] when no case names a page."""
    run = runs.run(ledger, run_id)
    cases = [case for case in runs.cases_of(ledger, run.run_id) if case.relevant_ids]
    candidates = relevant.candidates_of(ledger, run.run_id)
    if not any(candidates.values()):  # another chatbot's: it shows no passages
        return []
    takes = int((run.settings.retrieval or {}).get("passages", PROMPT))
    return table(cases, candidates, takes, chunks=bool(run.settings.chunks))


def table(
    cases: Sequence[RunCase], candidates: Mapping[str, Sequence[RankedPassage]], takes: int, *, chunks: bool
) -> list[LossStage]:
    """Sort the cases by the furthest that one of their relevant pages came; a prompt takes so many."""
    prompted = any(row.n is not None for rows in candidates.values() for row in rows)
    lost: dict[Loss, list[str]] = {name: [] for name in TITLES}
    for case in cases:
        labels = frozenset(case.relevant_ids or ())
        rows = candidates.get(case.case_id)
        mine = [row for row in rows or () if (row.chunk_id if chunks else row.document_id) in labels]
        lost[_stage(case, rows, mine, takes, prompted=prompted)].append(case.case_id)
    return [
        LossStage(name, *TITLES[name], len(ids), len(ids) / len(cases), tuple(ids[:EXAMPLES]))
        for name, ids in lost.items()
        if cases
    ]


def _stage(
    case: RunCase,
    rows: Sequence[RankedPassage] | None,
    mine: Sequence[RankedPassage],
    takes: int,
    *,
    prompted: bool,
) -> Loss:
    """Return the last stage that the best of a case's relevant passages reached."""
    if not mine:
        return "search" if rows else "ended"
    best = min(mine, key=lambda row: (not row.cited, row.n is None, row.rank))
    if best.cited or (not prompted and best.rank <= takes):
        return "used"
    if best.n is not None:
        return "silent" if case.outcome == "no_context" else "unused"
    if best.rank <= takes:
        return "silent" if case.outcome == "no_context" else "budget"
    first = min((row.fused_rank for row in mine if row.fused_rank is not None), default=best.rank)
    return "rerank" if first <= takes else "ranking"
