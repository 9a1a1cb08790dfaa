"""Each case counts at the last stage that the best of its relevant pages reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsets.reports import findings, losses, report
from evalsets.reports.losses import Loss
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set
from traces.queries.relevant import RankedPassage
from traces.queries.runs import RunCase


def row(page: str, rank: int, fused: int | None = None, n: int | None = None, cited: bool = False):
    return RankedPassage("c", page, f"{page}#0", rank, fused or rank, n, cited)


OTHER = row("b", 1, n=1, cited=True)


@pytest.mark.parametrize(
    ("rows", "outcome", "stage"),
    [
        (None, "failed", "ended"),
        ([], "refused", "ended"),
        ([OTHER], "answered", "search"),
        ([OTHER, row("a", 9, 8)], "answered", "ranking"),
        ([OTHER, row("a", 9, 2)], "answered", "rerank"),
        ([OTHER, row("a", 3)], "answered", "budget"),
        ([OTHER, row("a", 3)], "no_context", "silent"),
        ([OTHER, row("a", 3, n=3)], "no_context", "silent"),
        ([OTHER, row("a", 3, n=3)], "answered", "unused"),
        ([OTHER, row("a", 12), row("a", 3, n=3, cited=True)], "answered", "used"),
    ],
)
def test_a_case_counts_where_its_page_was_lost(
    rows: list[RankedPassage] | None, outcome: str, stage: Loss
) -> None:
    case = RunCase("c", "Why?", relevant_ids=["a"], outcome=outcome)
    candidates = {"other": [OTHER]} | ({} if rows is None else {"c": rows})
    stages = losses.table([case], candidates, 5, chunks=False)
    assert [(entry.name, entry.examples) for entry in stages if entry.cases] == [(stage, ("c",))]


@pytest.mark.parametrize(("rank", "stage"), [(5, "used"), (6, "ranking")])
def test_without_prompts_the_first_places_count(rank: int, stage: Loss) -> None:
    case = RunCase("c", "Why?", relevant_ids=["a"], outcome="answered")
    stages = losses.table([case], {"c": [row("b", 1), row("a", rank)]}, 5, chunks=False)
    assert [entry.name for entry in stages if entry.cases] == [stage]


def test_chunks_are_told_by_their_own_ids() -> None:
    case = RunCase("c", "Why?", relevant_ids=["a#0"], outcome="answered")
    stages = losses.table([case], {"c": [row("a", 1, n=1, cited=True)]}, 5, chunks=True)
    assert [entry.name for entry in stages if entry.cases] == ["used"]


async def test_the_report_has_the_table(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.wrong = {"c1", "c4"}
    done = await runner.run(make_set(8), Variant(), stage.pipeline)
    with stage.store.read() as ledger:
        written = findings.of_run(ledger, done.run_id)
    by_name = {entry.name: entry for entry in written.losses}
    assert by_name["search"].examples == ("c1", "c4")
    assert sum(entry.share for entry in written.losses) == pytest.approx(1.0)
    assert "Where the right pages were lost" in report.markdown(written)
    assert "Not among the candidates" in report.html(written)
