"""A report's table is derived again: from the scores on record, and from a new run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsets.reports import compare, findings, record, report, reproduce
from evalsets.reports.record import NotAReport
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set
from traces.queries.runs import UnknownRun


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path / "data")
    stage.wrong = {"c1", "c4"}
    await runner.run(make_set(15), Variant(), stage.pipeline, runner.Plan(run_id="run-a", seed=3))
    return stage


def told(stage: Stage, tmp_path: Path, *runs: str) -> dict[str, Any]:
    """Return the report of a run, or of two, as it comes back from its file."""
    path = tmp_path / "report.json"
    with stage.store.read() as ledger:
        found = (
            findings.of_comparison(ledger, compare.compare_runs(ledger, *runs))
            if len(runs) == 2
            else findings.of_run(ledger, runs[0])
        )
    report.write(found, "json", path)
    return record.load(path)


async def test_the_ledger_gives_the_same_table(stage: Stage, tmp_path: Path) -> None:
    written = told(stage, tmp_path, "run-a")
    with stage.store.read() as ledger:
        found = reproduce.derive_from_ledger(ledger, written)
    assert found.same and found.rows == len(written["metrics"]) > 5
    assert found.sentence == f"The same table: {found.rows} metrics, every value."


async def test_an_altered_report_is_told_value_by_value(stage: Stage, tmp_path: Path) -> None:
    written = told(stage, tmp_path, "run-a")
    hit = next(row for row in written["metrics"] if row["name"] == "hit@5")
    was, hit["mean"] = hit["mean"], 0.99
    written["run"]["seed"] = 4
    written["metrics"].append({"name": "faithfulness", "mean": 1.0})
    with stage.store.read() as ledger:
        found = reproduce.derive_from_ledger(ledger, written)
    assert found.differs == (
        "seed was 4, is 3",
        f"hit@5: mean was 0.99, is {was}",
        "faithfulness: in the report, not among the scores now",
    )
    assert found.sentence.startswith("Not the same table: 3 differences")


async def test_a_comparison_is_derived_again(stage: Stage, tmp_path: Path) -> None:
    stage.wrong = {f"c{i}" for i in range(12)}
    await runner.run(make_set(15), Variant(prompt="answer@v2"), stage.pipeline, runner.Plan(run_id="run-b"))
    written = told(stage, tmp_path, "run-a", "run-b")
    with stage.store.read() as ledger:
        assert reproduce.derive_from_ledger(ledger, written).same
        written["differences"][0]["p"] = 0.5
        assert len(reproduce.derive_from_ledger(ledger, written).differs) == 1


async def test_a_new_run_is_held_against_it(stage: Stage, tmp_path: Path) -> None:
    written = told(stage, tmp_path, "run-a")
    await runner.run(make_set(15), Variant(), stage.pipeline, runner.Plan(run_id="run-b", seed=3))
    stage.wrong = {"c1"}
    await runner.run(make_set(16), Variant(), stage.pipeline, runner.Plan(run_id="run-c", seed=3))
    with stage.store.read() as ledger:
        same = reproduce.derive_from_run(ledger, written, "run-b")
        other = reproduce.derive_from_run(ledger, written, "run-c")
    assert same.same and not same.moved
    assert "first_token_seconds" in same.notes[0] and "cost_usd" in same.notes[0]
    assert any(text.startswith("hit@5: mean was") for text in other.differs)
    assert [text.partition(":")[0] for text in other.moved] == ["Evalset"]


async def test_what_is_no_report_and_no_run_is_said(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"kind": "run"}))
    with pytest.raises(NotAReport, match="no report of a run"):
        record.load(tmp_path / "x.json")
    with pytest.raises(NotAReport, match="there is no file"):
        record.load(tmp_path / "missing.json")
    with pytest.raises(NotAReport, match="Is a directory"):
        record.load(tmp_path)
    written = told(stage, tmp_path, "run-a")
    written["run"]["run_id"] = "gone"
    with stage.store.read() as ledger, pytest.raises(UnknownRun):
        reproduce.derive_from_ledger(ledger, written)
