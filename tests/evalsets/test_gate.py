"""The gate lets pass what is not worse, and says why it stops the rest."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalsets.release import gate_report
from evalsets.release.gate import GateLimits, check
from evalsets.release.in_force import Facts
from evalsets.release.verdict import Verdict
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from pipeline.prompts.library import Library
from tests.evalsets.fakes import MODEL, Stage, make_set
from traces.ids import uuid7
from traces.records import MADE_WITH, Run, RunSettings, Score

ANSWER, CONDENSE = Library().get("answer@v1"), Library().get("condense@v1")
FACTS = Facts(
    "answer@v1", ANSWER.fingerprint, MODEL, "k", "v3", "gg", "cc", "condense@v1", CONDENSE.fingerprint
)
WIDE = GateLimits(loss=0.3)  # what 30 cases can show
THRESHOLDS = {"hit@5": 0.9}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The stage of all tests here: their runs lie in one ledger, as a team's do."""
    return Stage(tmp_path_factory.mktemp("home"))


@pytest.fixture
def stage(home: Stage) -> Stage:
    return calm(home)


def calm(stage: Stage) -> Stage:
    """Let everything go well on a stage, and nothing be in the documents for the last case."""
    stage.wrong, stage.absent, stage.broken = set(), {"c29"}, {}
    return stage


@pytest.fixture(scope="module")
def alike(home: Stage) -> tuple[str, str]:
    """Two equal runs in which all went well; tests look at them and leave them as they are."""
    return asyncio.run(run(calm(home))), asyncio.run(run(home))


@pytest.fixture(scope="module")
def newly(home: Stage) -> tuple[str, str]:
    """A run with the guarded cases c3 and c4, and one in which c3 fails newly."""
    before = asyncio.run(run(calm(home), {"c3", "c4"}))
    home.wrong = {"c3"}
    return before, asyncio.run(run(home, {"c3", "c4"}))


async def run(stage: Stage, tagged: set[str] | None = None, **columns: Any) -> str:
    made = make_set(30, thresholds=THRESHOLDS, **columns)
    cases = [replace(case, tags=["guard"]) if case.case_id in (tagged or ()) else case for case in made.cases]
    together = runner.Plan(settings=RunSettings(session="s"), concurrency=1)
    found = await runner.run(replace(made, cases=tuple(cases)), Variant(), stage.pipeline, together, kb="k")
    return found.run_id


def judge(stage: Stage, candidate: str, baseline: str, facts: Facts = FACTS, **more: Any) -> Verdict:
    more = {"limits": WIDE, **more}
    stage.store.drain()
    with stage.store.read() as ledger:
        return check(ledger, facts, candidate, baseline, **more)


def state(verdict: Verdict, name: str) -> str:
    return next(one.state for one in verdict.checks if one.name == name)


def test_an_equal_candidate_passes(stage: Stage, alike: tuple[str, str]) -> None:
    verdict = judge(stage, *alike)
    assert verdict.passed
    assert verdict.reasons == []
    assert state(verdict, "recall@5") == "passed"
    assert {one.state for one in verdict.checks} == {"passed"}


async def test_a_worse_candidate_is_stopped_with_its_cases(stage: Stage, alike: tuple[str, str]) -> None:
    stage.wrong = {f"c{i}" for i in range(12)}
    verdict = judge(stage, await run(stage), alike[0], thresholds={})
    assert not verdict.passed
    assert any("worse on Hit@5" in reason and "12 of 29 cases" in reason for reason in verdict.reasons)
    hit = next(one for one in verdict.checks if one.name == "hit@5")
    assert set(hit.cases) == stage.wrong
    assert hit.baseline == 1.0
    assert hit.candidate == pytest.approx(17 / 29)


async def test_a_missed_threshold_stops_it_even_when_nothing_changed(stage: Stage) -> None:
    stage.wrong = {f"c{i}" for i in range(5)}
    both = await run(stage), await run(stage)
    verdict = judge(stage, *both)
    assert verdict.reasons == ["Hit@5 is 0.828, below the evalset's threshold of 0.900"]
    missing = judge(stage, *both, thresholds={"must_contain": 1.0})
    assert missing.reasons == ["Must contain has a threshold and was not measured"]


async def test_too_many_failures_stop_it(stage: Stage, alike: tuple[str, str]) -> None:
    for i in range(3):
        stage.broken[f"c{i}"] = RuntimeError("boom")
    verdict = judge(stage, await run(stage), alike[0])
    assert any("Groundedness: only 90% of the cases could be scored" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            replace(FACTS, prompt_fingerprint="ffff0000"),
            f"prompt file {ANSWER.fingerprint} in the run",
        ),
        (replace(FACTS, index_version="v4"), "index v3 in the run, v4 now"),
        (replace(FACTS, guardrails="hh"), "guardrails gg in the run, hh now"),
        (replace(FACTS, code_version="dd"), "code cc in the run, dd now"),
        (replace(FACTS, model="openai:x"), f"model {MODEL} in the run, openai:x now"),
    ],
)
def test_a_run_on_something_else_does_not_count(
    stage: Stage, alike: tuple[str, str], facts: Facts, said: str
) -> None:
    verdict = judge(stage, *alike, facts)
    assert len(verdict.reasons) == 1
    assert said in verdict.reasons[0]


async def test_a_guarded_case_may_not_fail_newly(stage: Stage, newly: tuple[str, str]) -> None:
    before, after = newly
    stage.wrong = {"c3"}
    verdict = judge(stage, after, before)
    assert verdict.reasons == ["1 guarded case newly failing: c3 (Hit@5)"]
    assert judge(stage, before, after).passed
    known = judge(stage, await run(stage, {"c3", "c4"}), after)
    assert known.passed
    assert state(known, "guard") == "noted"


async def test_time_and_cost_have_room(stage: Stage, alike: tuple[str, str]) -> None:
    dearer = await run(calm(Stage(stage.store.data_dir, usd=0.00105)))
    verdict = judge(stage, dearer, alike[0])
    assert verdict.passed
    assert state(verdict, "cost_usd") == "noted"
    verdict = judge(stage, dearer, alike[0], limits=replace(WIDE, dearer=0.01))
    assert "+5%, and 1% is allowed" in verdict.reasons[0]


async def test_an_unfinished_run_and_the_same_run_are_refused(stage: Stage, alike: tuple[str, str]) -> None:
    whole = alike[0]
    assert "the same run" in judge(stage, whole, whole).reasons[0]
    some = await runner.run(make_set(30), Variant(), stage.pipeline, runner.Plan(limit=20), kb="k")
    assert "only 20 of the baseline's 30 cases" in judge(stage, some.run_id, whole).reasons[0]


def test_it_is_told_to_people_and_build_servers(stage: Stage, newly: tuple[str, str]) -> None:
    before, after = newly
    verdict = judge(stage, after, before)
    assert Verdict.read(json.loads(json.dumps(verdict.to_dict()))) == verdict
    text = gate_report.markdown(verdict)
    assert text.startswith("## Gate not passed: answer@v1 · local:scripted on small")
    assert "- 1 guarded case newly failing: c3" in text
    assert "| ❌ | guard |" in text
    suite = ElementTree.fromstring(gate_report.junit(verdict).partition("?>")[2])
    assert (suite.get("failures"), suite.get("tests")) == ("1", str(len(verdict.checks)))
    assert [test.get("name") for test in suite if test.find("failure") is not None] == ["guard"]


async def test_a_judge_nobody_checked_decides_nothing(stage: Stage, tmp_path: Path) -> None:
    ids = await run(stage), await run(stage)
    for run_id, value in zip(ids, (0.2, 0.9), strict=True):
        for i in range(29):
            score = Score(
                uuid7(), "t", "faithfulness", value, "eval", datetime.now(UTC),
                scorer="ragas-0.4.3/openai:x@1", run_id=run_id, case_id=f"c{i}",
            )  # fmt: skip
            stage.journal.write(score)
    asked = replace(WIDE, data_dir=tmp_path)
    assert state(judge(stage, *ids), "faithfulness") == "failed"
    verdict = judge(stage, *ids, limits=asked)
    assert verdict.passed
    told = next(one.text for one in verdict.checks if one.name == "faithfulness")
    assert "may not decide" in told
    verdict = judge(stage, *ids, limits=asked, thresholds={"faithfulness": 0.1})
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
