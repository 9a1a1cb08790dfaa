"""The gate against a baseline from another machine's ledger: its report says all, or it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalsets.release.gate import check
from evalsets.release.verdict import Verdict
from evalsets.reports import findings, record, report
from evalsets.reports.compare import NothingInCommon
from evalsets.reports.record import NotAReport
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set
from tests.evalsets.test_gate import FACTS, WIDE, state
from traces.records import RunSettings


async def run(stage: Stage, *, contents: str | None = "aa" * 16, prefix: str = "c", **changes: Any) -> str:
    plan = runner.Plan(settings=RunSettings(contents=contents), concurrency=1)
    evalset = make_set(30, prefix)
    made = await runner.run(replace(evalset, **changes), Variant(), stage.pipeline, plan, kb="k")
    return made.run_id


async def written(folder: Path, **more: Any) -> Path:
    """Return the report of a run that another ledger holds."""
    elsewhere = Stage(folder / "elsewhere", usd=0.002)
    elsewhere.absent = {"c29"}
    run_id = await run(elsewhere, **more)
    elsewhere.store.drain()
    path = folder / "baseline.json"
    with elsewhere.store.read() as ledger:
        report.write(findings.of_run(ledger, run_id), "json", path)
    return path


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path / "here")
    stage.absent = {"c29"}
    return stage


def judge(stage: Stage, candidate: str, path: Path) -> Verdict:
    stage.store.drain()
    with stage.store.read() as ledger:
        return check(ledger, FACTS, candidate, record.read(path), limits=WIDE)


async def test_scores_decide_times_and_costs_do_not(stage: Stage, tmp_path: Path) -> None:
    path = await written(tmp_path)
    verdict = judge(stage, await run(stage), path)
    assert verdict.passed, verdict.reasons
    assert state(verdict, "baseline") == "passed" and state(verdict, "hit@5") == "passed"
    assert {state(verdict, name) for name in ("seconds", "first_token_seconds", "cost_usd")} == {"noted"}
    cost = next(row for row in verdict.checks if row.name == "cost_usd")
    assert "another ledger" in cost.text and cost.baseline == pytest.approx(2 * (cost.candidate or 0))
    stage.wrong = {f"c{i}" for i in range(12)}
    worse = judge(stage, await run(stage), path)
    assert any("worse on Hit@5" in reason and "12 of 29 cases" in reason for reason in worse.reasons)


async def test_other_documents_and_other_cases_are_refused(stage: Stage, tmp_path: Path) -> None:
    mine = await run(stage)
    other = judge(stage, mine, await written(tmp_path, contents="bb" * 16))
    assert any(
        "was made over other documents (bbbbbbbb in knowledge base k" in text for text in other.reasons
    )
    silent = judge(stage, mine, await written(tmp_path, contents=None))
    assert any("does not say over which documents" in text for text in silent.reasons)
    path = await written(tmp_path, cases=make_set(20).cases)
    assert any("only 19 of the candidate's 30 cases" in text for text in judge(stage, mine, path).reasons)
    with pytest.raises(NothingInCommon, match="share no case"):
        judge(stage, mine, await written(tmp_path, prefix="d"))


async def test_a_file_that_holds_no_run_is_named(tmp_path: Path) -> None:
    path = await written(tmp_path)
    whole = json.loads(path.read_text())
    for broken, says in (
        ({**whole, "kind": "comparison", "a": {}, "b": {}, "differences": []}, "report of a comparison"),
        ({key: value for key, value in whole.items() if key != "record"}, "written by another version"),
        (
            {**whole, "record": {**whole["record"], "columns": {"hit@5": {"values": {"c0": "x"}}}}},
            "changed after",
        ),
        ({**whole, "record": {**whole["record"], "run": {}}}, "changed after"),
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(NotAReport, match=says):
            record.read(path)
