"""Comparisons are paired, corrected and say one plain sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evalsets.metrics.columns import Column
from evalsets.reports import compare
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set


def _column(values: list[float], failed: int = 0) -> Column:
    return Column(
        values={f"c{i:03d}": float(value) for i, value in enumerate(values)},
        failed={f"c{len(values) + i:03d}": "judge" for i in range(failed)},
    )


def _one(a: Column, b: Column, name: str = "recall@5") -> compare.Difference:
    everything = a.values.keys() | a.failed.keys() | b.values.keys()
    return compare.pair({name: a}, {name: b}, set(everything))[0]


def test_a_clear_gain_is_said_with_its_interval() -> None:
    random = np.random.default_rng(1)
    a = random.uniform(0.3, 0.6, 80)
    found = _one(_column(list(a)), _column(list(a + random.normal(0.1, 0.05, 80))))
    assert found.verdict == "better"
    assert found.sentence.startswith("B is better on Recall@5 by 0.0")
    assert len(found.wins) > 70
    assert found.ci_low is not None and 0.08 < found.ci_low < 0.1


def test_lower_is_better_for_seconds() -> None:
    random = np.random.default_rng(2)
    a = random.uniform(1.0, 2.0, 60)
    found = _one(_column(list(a)), _column(list(a * 0.5)), "seconds")
    assert found.verdict == "better"
    assert found.difference is not None and found.difference < 0
    assert len(found.wins) == 60
    assert " ms to " in found.sentence


def test_equal_columns_show_no_difference() -> None:
    found = _one(_column([0.0, 1.0, 0.5]), _column([0.0, 1.0, 0.5]))
    assert found.verdict == "same"
    assert found.sentence == "no detectable difference on Recall@5: the same on all 3 cases"
    assert found.ties == 3
    assert found.detectable is None


def test_too_few_cases_say_how_many_more_are_needed() -> None:
    random = np.random.default_rng(3)
    a, b = random.uniform(0, 1, 20), random.uniform(0, 1, 20)
    found = _one(_column(list(a)), _column(list(b)))
    assert found.verdict == "same"
    assert found.more_cases is not None and found.more_cases > 100
    assert (
        found.sentence
        == f"no detectable difference on Recall@5; {found.more_cases:,} more cases would show 0.030"
    )


def test_failures_are_counted_and_said() -> None:
    found = _one(_column([1.0] * 20, failed=5), _column([1.0] * 25))
    assert (found.n, found.failed, found.coverage) == (20, 5, 0.8)
    assert "only 20 of 25 cases could be scored in both" in found.sentence
    nothing = _one(_column([], failed=3), _column([1.0] * 3))
    assert nothing.verdict == "none"


def test_many_metrics_are_corrected() -> None:
    random = np.random.default_rng(4)
    a = {f"m{i}": _column(list(random.uniform(0, 1, 30))) for i in range(20)}
    b = {f"m{i}": _column(list(random.uniform(0, 1, 30))) for i in range(20)}
    found = compare.pair(a, b, {f"c{i:03d}" for i in range(30)})
    assert all(one.p_corrected >= one.p for one in found if one.p is not None and one.p_corrected is not None)
    assert all(one.verdict == "same" for one in found)


async def test_two_identical_runs(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for run_id in ("a", "b"):
        await runner.run(
            make_set(), Variant(only="retrieval"), stage.pipeline, runner.Plan(run_id=f"run-{run_id}")
        )
    with stage.store.read() as ledger:
        found = compare.compare_runs(ledger, "run-a", "run-b")
    assert found.common == 8
    assert found.sentence.startswith("No detectable difference on any of")
    assert found.to_dict()["metrics"]["recall@5"]["verdict"] == "same"


async def test_different_case_sets_are_compared_on_what_they_share(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await runner.run(make_set(8), Variant(), stage.pipeline, runner.Plan(run_id="run-a"))
    await runner.run(make_set(6), Variant(), stage.pipeline, runner.Plan(run_id="run-b"))
    await runner.run(make_set(3, prefix="z"), Variant(), stage.pipeline, runner.Plan(run_id="run-c"))
    with stage.store.read() as ledger:
        found = compare.compare_runs(ledger, "run-a", "run-b")
        assert found.common == 5  # c5 is unanswerable in the smaller set, so not the same case
        assert any("The evalsets differ" in note for note in found.notes)
        assert any("the 5 cases both have; run run-a has 8, run run-b" in note for note in found.notes)
        with pytest.raises(compare.NothingInCommon, match="share no case"):
            compare.compare_runs(ledger, "run-a", "run-c")
