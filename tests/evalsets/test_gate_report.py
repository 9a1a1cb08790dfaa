"""The gate against a baseline from another machine's ledger: its report says all, or it is refused."""

from __future__ import annotations

import asyncio
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
from tests.evalsets.test_gate import FACTS, WIDE, calm, state
from traces.records import RunSettings


async def run(stage: Stage, *, contents: str | None = "aa" * 16, prefix: str = "c", **changes: Any) -> str:
    plan = runner.Plan(settings=RunSettings(contents=contents), concurrency=1)
    evalset = make_set(30, prefix)
    made = await runner.run(replace(evalset, **changes), Variant(), stage.pipeline, plan, kb="k")
    return made.run_id


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The stage of another ledger, on which a turn costs twice as much."""
    return calm(Stage(tmp_path_factory.mktemp("elsewhere"), usd=0.002))


async def written(elsewhere: Stage, **more: Any) -> Path:
    """Return the report of a run that another ledger holds."""
    run_id = await run(elsewhere, **more)
    path = elsewhere.store.data_dir / f"{run_id}.json"
    with elsewhere.store.read() as ledger:
        report.write(findings.of_run(ledger, run_id), "json", path)
    return path


@pytest.fixture(scope="module")
def baseline(elsewhere: Stage) -> Path:
    """The report of a run there that asked the cases over the same documents."""
    return asyncio.run(written(elsewhere))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("here"))


@pytest.fixture
def stage(home: Stage) -> Stage:
    return calm(home)


@pytest.fixture(scope="module")
def candidate(home: Stage) -> str:
    """A run here in which all went well."""
    return asyncio.run(run(calm(home)))


def judge(stage: Stage, candidate: str, path: Path) -> Verdict:
    stage.store.drain()
    with stage.store.read() as ledger:
        return check(ledger, FACTS, candidate, record.read(path), limits=WIDE)


async def test_scores_decide_times_and_costs_do_not(stage: Stage, candidate: str, baseline: Path) -> None:
    verdict = judge(stage, candidate, baseline)
    assert verdict.passed, verdict.reasons
    assert state(verdict, "baseline") == "passed" and state(verdict, "hit@5") == "passed"
    assert {state(verdict, name) for name in ("seconds", "first_token_seconds", "cost_usd")} == {"noted"}
    cost = next(row for row in verdict.checks if row.name == "cost_usd")
    assert "another ledger" in cost.text and cost.baseline == pytest.approx(2 * (cost.candidate or 0))
    stage.wrong = {f"c{i}" for i in range(12)}
    worse = judge(stage, await run(stage), baseline)
    assert any("worse on Hit@5" in reason and "12 of 29 cases" in reason for reason in worse.reasons)


async def test_other_documents_and_other_cases_are_refused(
    stage: Stage, candidate: str, elsewhere: Stage
) -> None:
    other = judge(stage, candidate, await written(elsewhere, contents="bb" * 16))
    assert any(
        "was made over other documents (bbbbbbbb in knowledge base k" in text for text in other.reasons
    )
    silent = judge(stage, candidate, await written(elsewhere, contents=None))
    assert any("does not say over which documents" in text for text in silent.reasons)
    fewer = judge(stage, candidate, await written(elsewhere, cases=make_set(20).cases))
    assert any("only 19 of the candidate's 30 cases" in text for text in fewer.reasons)
    with pytest.raises(NothingInCommon, match="share no case"):
        judge(stage, candidate, await written(elsewhere, prefix="d"))


def test_a_file_that_holds_no_run_is_named(baseline: Path, tmp_path: Path) -> None:
    whole, path = json.loads(baseline.read_text()), tmp_path / "broken.json"
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
