"""Repeating, capping, retrying, remembering and estimating runs; telling dead ones apart."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evalsets.metrics import columns
from evalsets.reports import findings, report
from evalsets.reports.compare import compare_runs
from evalsets.runs import runner
from evalsets.runs.answer_cache import remember
from evalsets.runs.estimate import estimate
from evalsets.runs.runner import Variant
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.models.prices import Prices
from tests.evalsets.fakes import Stage, make_set
from tests.pipeline.turns import make_pipeline
from traces import processes
from traces.queries import runs
from traces.records import Case, Run, RunSettings, Turn


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.absent = {"c7"}
    return made


class Counted:
    """A paid model that counts how often it is asked."""

    name = "openai:gpt-4o-mini"

    def __init__(self) -> None:
        self.asked = 0

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        self.asked += 1
        yield Text(f"Open Settings. [1] ({self.asked})")
        yield Stop("stop", Tokens(1000, 20), self.name)


async def test_repetitions_are_averaged_before_they_are_compared(stage: Stage) -> None:
    def every_second_wrong(turn: Turn) -> None:
        seen[turn.case_id] += 1
        stage.wrong = {"c1"} if turn.case_id == "c1" and seen["c1"] == 2 else set()

    seen: Counter[str | None] = Counter()
    stage.before = every_second_wrong
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(repetitions=2, run_id="r"))
    assert len(stage.turns) == 16
    hit = found.metrics["hit@5"]
    assert (hit.mean, hit.n) == (pytest.approx(6.5 / 7), 7)
    assert hit.spread == pytest.approx(0.7071 / 7, abs=1e-4)
    assert found.metrics["recall@5"].n == 7
    stage.before = lambda _: None
    stage.wrong = set()
    await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="plain"))
    stage.store.drain()
    with stage.store.read() as ledger:
        stored = columns.columns(runs.scores_of(ledger, "r"))
        assert stored["hit@5"].values["c1"] == 0.5
        for text in (
            report.markdown(findings.of_run(ledger, "r")),
            report.html(findings.of_run(ledger, "r")),
        ):
            assert "Between repetitions" in text and "± 0.101" in text
            assert "Each case was asked 2 times" in text
        assert "Between repetitions" not in report.markdown(findings.of_run(ledger, "plain"))
        assert columns.summary(stored)["hit@5"] == hit
        assert len(runs.cases_of(ledger, "r")) == 8
        (differing,) = [
            one for one in compare_runs(ledger, "r", "plain").differences if one.metric == "hit@5"
        ]
        assert differing.n == 7
        assert differing.mean_a == pytest.approx(6.5 / 7)


async def test_a_case_of_which_one_repetition_failed_has_failed(stage: Stage) -> None:
    def second_fails(turn: Turn) -> None:
        seen[turn.case_id] += 1
        stage.broken = {"c2": RuntimeError("boom")} if seen["c2"] == 2 else {}

    seen: Counter[str | None] = Counter()
    stage.before = second_fails
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(repetitions=3))
    assert (found.failed, found.metrics["groundedness"].failed) == (1, 1)
    assert found.metrics["groundedness"].n == 6


async def test_failed_cases_are_asked_again(stage: Stage) -> None:
    def once(turn: Turn) -> None:
        seen[turn.case_id] += 1
        stage.broken = {"c2": RuntimeError("boom")} if seen["c2"] == 1 else {}

    seen: Counter[str | None] = Counter()
    stage.before = once
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(retries=1))
    assert (seen["c2"], found.failed, found.metrics["groundedness"].n) == (2, 0, 7)


async def test_the_cap_stops_a_run_which_goes_on_with_a_larger_one(stage: Stage, tmp_path: Path) -> None:
    found = await runner.run(
        make_set(), Variant(), stage.pipeline, runner.Plan(budget_usd=0.003, run_id="r", concurrency=1)
    )
    assert (found.state, found.error) == ("stopped", "the cap of $0.003 is reached")
    assert len(stage.turns) == 3
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(budget_usd=1, run_id="r"))
    assert (found.state, len(stage.turns)) == ("finished", 8)
    assert found.cost_usd == pytest.approx(0.008)
    unpriced = Stage(tmp_path, usd=None)
    found = await runner.run(make_set(), Variant(), unpriced.pipeline, runner.Plan(budget_usd=1))
    assert found.state == "stopped"
    assert "no known price" in (found.error or "")


async def test_answers_are_remembered_each_repetition_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    model = Counted()
    pipeline = await make_pipeline(model)
    remember(pipeline, tmp_path)
    cases = tuple(
        Case("", f"c{n}", text, relevant_ids=["wifi"], answerability="answerable")
        for n, text in enumerate(["How do I connect to a hidden network?", "How do I turn on bounce keys?"])
    )
    evalset = make_set().some(0)
    evalset = type(evalset)("two", "f", cases)
    variant = Variant(model=model.name)
    before = await estimate(evalset, variant, pipeline, Prices(), kb=None, repetitions=2)
    assert (before.calls, model.asked) == (4, 0)
    assert before.usd is not None and before.usd > 0
    first = await runner.run(evalset, variant, pipeline, runner.Plan(repetitions=2))
    assert (model.asked, first.calls_from_cache) == (4, 0)
    assert (first.cost_usd or 0.0) > 0
    again = await runner.run(evalset, variant, pipeline, runner.Plan(repetitions=2))
    assert (model.asked, again.calls, again.calls_from_cache, again.cost_usd) == (4, 4, 4, 0.0)
    assert again.metrics["groundedness"] == first.metrics["groundedness"]
    assert "seconds" not in again.metrics  # the model's time was not measured
    await runner.run(
        evalset, Variant(prompt="answer@v1", model=model.name), pipeline, runner.Plan(repetitions=3)
    )
    assert model.asked == 6  # only the third repetition was new
    await pipeline.close()


def test_a_run_whose_process_is_gone_has_stopped(stage: Stage) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.DEVNULL)
    theirs = replace(processes.mine(), pid=child.pid, born=processes.born(child.pid))
    for run_id, process in (
        ("mine", processes.mine()),
        ("theirs", theirs),
        ("far", replace(theirs, host="elsewhere")),
    ):
        stage.journal.write(
            Run(
                run_id, "small", "f", "v", "running", datetime.now(UTC), settings=RunSettings(process=process)
            )
        )
    child.kill()
    child.wait()
    with stage.store.read() as ledger:
        states = {row.run_id: row.state for row in runs.runs(ledger)}
        assert states == {"mine": "running", "theirs": "stopped", "far": "running"}
        assert "can go on" in (runs.run(ledger, "theirs").error or "")
