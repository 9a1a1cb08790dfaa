"""The gate lets pass what is not worse, and says why it stops the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalsets.release import gate_report
from evalsets.release.gate import Limits, Verdict, check
from evalsets.release.in_force import Facts
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import FakePipeline, make_set
from traces.ids import uuid7
from traces.records import MADE_WITH, Run, RunSettings, Score

FACTS = Facts("answer@v1", "0123abcd", "extractive", "k", "v3", "gg", "cc", "condense@v1", "959ce9fa")
WIDE = Limits(loss=0.3)  # what 30 cases can show
THRESHOLDS = {"hit@5": 0.9}


@pytest.fixture
def pipeline(tmp_path: Path) -> FakePipeline:
    made = FakePipeline(tmp_path)
    made.outcomes["c29"] = "no_context"
    return made


async def run(pipeline: FakePipeline, tagged: set[str] | None = None, **columns: Any) -> str:
    made = make_set(30, thresholds=THRESHOLDS, **columns)
    cases = [replace(case, tags=["guard"]) if case.case_id in (tagged or ()) else case for case in made.cases]
    together = runner.Plan(settings=RunSettings(session="s"))
    found = await runner.run(replace(made, cases=tuple(cases)), Variant(), pipeline, together, kb="k")
    return found["run_id"]


def judge(
    pipeline: FakePipeline, candidate: str, baseline: str, facts: Facts = FACTS, **more: Any
) -> Verdict:
    more = {"limits": WIDE, **more}
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        return check(ledger, facts, candidate, baseline, **more)


def state(verdict: Verdict, name: str) -> str:
    return next(one.state for one in verdict.checks if one.name == name)


async def test_an_equal_candidate_passes(pipeline: FakePipeline) -> None:
    verdict = judge(pipeline, await run(pipeline), await run(pipeline))
    assert verdict.passed
    assert verdict.reasons == []
    assert state(verdict, "recall@5") == "passed"
    assert {one.state for one in verdict.checks} == {"passed"}


async def test_a_worse_candidate_is_stopped_with_its_cases(pipeline: FakePipeline) -> None:
    before = await run(pipeline)
    pipeline.wrong = {f"c{i}" for i in range(12)}
    verdict = judge(pipeline, await run(pipeline), before, thresholds={})
    assert not verdict.passed
    assert any("worse on Hit@5" in reason and "12 of 29 cases" in reason for reason in verdict.reasons)
    hit = next(one for one in verdict.checks if one.name == "hit@5")
    assert set(hit.cases) == pipeline.wrong
    assert hit.baseline == 1.0
    assert hit.candidate == pytest.approx(17 / 29)


async def test_a_missed_threshold_stops_it_even_when_nothing_changed(pipeline: FakePipeline) -> None:
    pipeline.wrong = {f"c{i}" for i in range(5)}
    verdict = judge(pipeline, await run(pipeline), await run(pipeline))
    assert verdict.reasons == ["Hit@5 is 0.828, below the evalset's threshold of 0.900"]
    missing = judge(pipeline, await run(pipeline), await run(pipeline), thresholds={"must_contain": 1.0})
    assert missing.reasons == ["Must contain has a threshold and was not measured"]


async def test_too_many_failures_stop_it(pipeline: FakePipeline) -> None:
    before = await run(pipeline)
    for i in range(3):
        pipeline.outcomes[f"c{i}"] = "failed"
    verdict = judge(pipeline, await run(pipeline), before)
    assert any("Groundedness: only 90% of the cases could be scored" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(FACTS, prompt_fingerprint="ffff0000"), "prompt file 0123abcd in the run, ffff0000 now"),
        (replace(FACTS, index_version="v4"), "index v3 in the run, v4 now"),
        (replace(FACTS, guardrails="hh"), "guardrails gg in the run, hh now"),
        (replace(FACTS, code_version="dd"), "code cc in the run, dd now"),
        (replace(FACTS, model="openai:x"), "model extractive in the run, openai:x now"),
    ],
)
async def test_a_run_on_something_else_does_not_count(
    pipeline: FakePipeline, facts: Facts, said: str
) -> None:
    verdict = judge(pipeline, await run(pipeline), await run(pipeline), facts)
    assert len(verdict.reasons) == 1
    assert said in verdict.reasons[0]


async def test_a_guarded_case_may_not_fail_newly(pipeline: FakePipeline) -> None:
    before = await run(pipeline, {"c3", "c4"})
    pipeline.wrong = {"c3"}
    after = await run(pipeline, {"c3", "c4"})
    verdict = judge(pipeline, after, before)
    assert verdict.reasons == ["1 guarded case newly failing: c3 (Hit@5)"]
    assert judge(pipeline, before, after).passed
    known = judge(pipeline, await run(pipeline, {"c3", "c4"}), after)
    assert known.passed
    assert state(known, "guard") == "noted"


async def test_time_and_cost_have_room(pipeline: FakePipeline) -> None:
    before = await run(pipeline)
    pipeline.cost = 0.00105
    verdict = judge(pipeline, await run(pipeline), before)
    assert verdict.passed
    assert state(verdict, "cost_usd") == "noted"
    verdict = judge(pipeline, await run(pipeline), before, limits=replace(WIDE, dearer=0.01))
    assert "+5%, and 1% is allowed" in verdict.reasons[0]


async def test_an_unfinished_run_and_the_same_run_are_refused(pipeline: FakePipeline) -> None:
    whole = await run(pipeline)
    assert "the same run" in judge(pipeline, whole, whole).reasons[0]
    some = await runner.run(make_set(30), Variant(), pipeline, runner.Plan(limit=20), kb="k")
    assert "only 20 of the baseline's 30 cases" in judge(pipeline, some["run_id"], whole).reasons[0]


async def test_it_is_told_to_people_and_build_servers(pipeline: FakePipeline) -> None:
    before = await run(pipeline, {"c3"})
    pipeline.wrong = {"c3"}
    verdict = judge(pipeline, await run(pipeline, {"c3"}), before)
    text = gate_report.markdown(verdict)
    assert text.startswith("## Gate not passed: answer@v1 · extractive on small")
    assert "- 1 guarded case newly failing: c3" in text
    assert "| ❌ | guard |" in text
    suite = ElementTree.fromstring(gate_report.junit(verdict).partition("?>")[2])
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(len(verdict.checks)))
    assert [test.get("name") for test in suite if test.find("failure") is not None] == ["guard"]


async def test_a_judge_nobody_checked_decides_nothing(pipeline: FakePipeline, tmp_path: Path) -> None:
    ids = await run(pipeline), await run(pipeline)
    for run_id, value in zip(ids, (0.2, 0.9), strict=True):
        for i in range(29):
            score = Score(
                uuid7(), "t", "faithfulness", value, "eval", datetime.now(UTC),
                scorer="ragas-0.4.3/openai:x@1", run_id=run_id, case_id=f"c{i}",
            )  # fmt: skip
            pipeline.journal.write(score)
    asked = replace(WIDE, data_dir=tmp_path)
    assert state(judge(pipeline, *ids), "faithfulness") == "failed"
    verdict = judge(pipeline, *ids, limits=asked)
    assert verdict.passed
    told = next(one.text for one in verdict.checks if one.name == "faithfulness")
    assert "may not decide" in told
    verdict = judge(pipeline, *ids, limits=asked, thresholds={"faithfulness": 0.1})
    assert state(verdict, "faithfulness") == "failed"


def test_a_run_under_other_retrieval_settings_does_not_speak_for_these() -> None:
    facts = replace(FACTS, retrieval={"candidates": 20, "passages": 5})
    parts = {part.key: getattr(facts, part.key) for part in MADE_WITH}

    def run(candidates: int) -> Run:
        settings = RunSettings(retrieval={"candidates": candidates, "passages": 5})
        return Run("r", "demo", "f", "v", "finished", datetime.now(UTC), settings=settings, **parts)

    assert facts.differs(run(20)) == []
    other = facts.differs(run(1))
    assert other == ["retrieval.candidates 1 in the run, 20 now"]
