"""Variants of one command are asked by turns, case by case, so that their times can be compared."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from evalsets.cases.evalset import EvalsetError
from evalsets.release import in_force
from evalsets.release.in_force import Facts
from evalsets.reports import compare
from evalsets.runs import load, runner
from evalsets.runs.runner import Plan, Variant, VariantSide
from pipeline.prompts.library import Library
from tests.evalsets.fakes import MODEL, Stage, make_set
from traces.queries import runs
from traces.records import RunSettings, Turn

ANSWER, CONDENSE = Library().get("answer@v1"), Library().get("condense@v1")
FACTS = Facts(
    "answer@v1", ANSWER.fingerprint, "openai:a", "k", "v3", "gg", "cc", "condense@v1", CONDENSE.fingerprint
)
TWO = [VariantSide(Variant(model="openai:a")), VariantSide(Variant(model="openai:b"))]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, models=("openai:a", "openai:b", MODEL))


async def test_each_case_is_asked_of_all_variants_in_an_order_of_chance(stage: Stage) -> None:
    plan = Plan(seed=5, concurrency=1)
    found = await runner.run_together(make_set(24), TWO, stage.pipeline, plan, kb="k")
    asked = [(turn.case_id, turn.run_id) for turn in stage.turns]
    assert all(first[0] == second[0] for first, second in zip(asked[::2], asked[1::2], strict=True))
    first = [run_id for _, run_id in asked[::2]]
    assert all(5 <= first.count(one.run_id) <= 19 for one in found)
    stage.store.drain()
    with stage.store.read() as ledger:
        settings = [runs.run(ledger, one.run_id).settings for one in found]
    assert settings[0].session == settings[1].session != None  # noqa: E711
    assert settings[0].beside == ("answer@v1 · openai:a", "answer@v1 · openai:b")
    places = zip(settings[0].order or "", settings[1].order or "", strict=True)
    assert all({*pair} == {"1", "2"} for pair in places)
    assert [place == "1" for place in settings[0].order or ""] == [one == found[0].run_id for one in first]
    again = await runner.run_together(make_set(24), TWO, stage.pipeline, plan, kb="k")
    with stage.store.read() as ledger:
        assert runs.run(ledger, again[0].run_id).settings.order == settings[0].order


@pytest.mark.parametrize(("reranker", "width"), [("cross_encoder", 1), ("embedded", 8)])
async def test_what_a_reranker_reads_on_this_machine_is_asked_one_by_one(
    stage: Stage, reranker: str, width: int
) -> None:
    sides = [TWO[0], replace(TWO[1], search={"reranker": reranker})]
    outcomes = await runner.run_together(make_set(2), sides, stage.pipeline, kb="k")
    stage.store.drain()
    with stage.store.read() as ledger:
        widths = [runs.run(ledger, outcome.run_id).settings.concurrency for outcome in outcomes]
    assert widths == [width, width]


async def test_times_of_one_session_are_compared_and_others_are_not(stage: Stage) -> None:
    a, b = await runner.run_together(make_set(12), TWO, stage.pipeline, Plan(concurrency=1), kb="k")
    alone = await runner.run(make_set(12), TWO[1].variant, stage.pipeline, kb="k")
    stage.store.drain()
    with stage.store.read() as ledger:
        together = compare.compare_runs(ledger, a.run_id, b.run_id)
        apart = compare.compare_runs(ledger, a.run_id, alone.run_id)
    timed = {row.metric: row for row in together.differences}
    assert timed["seconds"].verdict == "same"
    assert not any("measured apart" in note for note in together.notes)
    untimed = {row.metric: row for row in apart.differences}["seconds"]
    assert (untimed.verdict, untimed.p) == ("none", None)
    assert "not measured side by side" in untimed.sentence
    assert any("measured apart" in note for note in apart.notes)


async def test_the_embedded_model_is_said_to_read_no_prompt(stage: Stage) -> None:
    sides = [VariantSide(Variant("answer@v1", "extractive")), VariantSide(Variant("answer@v2", "extractive"))]
    a, b = await runner.run_together(make_set(12), sides, stage.pipeline, kb="k")
    stage.store.drain()
    with stage.store.read() as ledger:
        found = compare.compare_runs(ledger, a.run_id, b.run_id)
    assert any("reads no prompt" in note for note in found.notes)
    assert {row.metric: row for row in found.differences}["seconds"].verdict == "none"


async def test_a_case_asked_again_has_no_time(stage: Stage) -> None:
    stage.broken["c2"] = RuntimeError("boom")

    def mend(turn: Turn) -> None:
        if turn.case_id == "c2" and [one.case_id for one in stage.turns].count("c2") == 2:
            stage.broken.clear()

    stage.before = mend
    found = await runner.run_together(make_set(12), TWO, stage.pipeline, Plan(retries=1), kb="k")
    assert [one.failed for one in found] == [0, 0]
    timed = [one.metrics["seconds"].n - one.metrics["groundedness"].n for one in found]
    assert sorted(timed) == [-1, 0]  # of the variant that was asked first


async def test_a_spent_cap_stops_all_of_them_together(tmp_path: Path) -> None:
    stage = Stage(tmp_path, usd=0.5, models=("openai:a", "openai:b"))
    found = await runner.run_together(
        make_set(30), TWO, stage.pipeline, Plan(budget_usd=2.0, concurrency=1), kb="k"
    )
    assert [one.state for one in found] == ["stopped", "stopped"]
    assert 7 <= len(stage.turns) <= 8


async def test_two_processes_cannot_make_the_run_of_one_id(stage: Stage, tmp_path: Path) -> None:
    with load.alone(tmp_path, "r"):
        assert load.going(tmp_path) == 1
        with pytest.raises(EvalsetError, match="run r goes on in another process"):
            await runner.run(make_set(), Variant(), stage.pipeline, Plan(run_id="r"))
        assert stage.turns == []
    assert load.going(tmp_path) == 0
    await runner.run(make_set(), Variant(), stage.pipeline, Plan(run_id="r"))
    assert list((tmp_path / "runs").iterdir()) == []


async def test_a_run_says_how_busy_the_machine_was(stage: Stage, tmp_path: Path) -> None:
    async with load.measuring(tmp_path) as meter:
        meter.late(0.01)
        meter.late(2.5)
        await asyncio.sleep(0)
    assert (meter.load.stalled_seconds, meter.load.waited_seconds) == (2.5, 2.5)
    assert "stood still for 2.5 s" in str(meter.load)
    found = await runner.run(make_set(), Variant(), stage.pipeline)
    assert found.load is not None and found.load.runs == 1
    assert found.load.cores >= 1


async def test_the_gate_prefers_runs_made_side_by_side(stage: Stage) -> None:
    evalset = make_set(8)
    sides = [VariantSide(Variant()), VariantSide(Variant())]
    pair = await runner.run_together(evalset, sides, stage.pipeline, kb="k")
    late = await runner.run(
        evalset, Variant(), stage.pipeline, Plan(settings=RunSettings(session="x")), kb="k"
    )
    stage.store.drain()
    with stage.store.read() as ledger:
        newest = in_force.together(ledger, evalset, [FACTS])
        found = in_force.together(ledger, evalset, [FACTS, replace(FACTS)])
        none = in_force.together(ledger, evalset, [FACTS, replace(FACTS, model="openai:x")])
    assert [run and run.run_id for run in newest] == [late.run_id]
    assert {run and run.settings.session for run in found} <= {pair[0].session, "x"}
    assert none[1] is None


async def test_a_side_may_search_otherwise_and_is_named_by_it(stage: Stage, tmp_path: Path) -> None:
    other = Stage(tmp_path / "other", models=(MODEL,))
    eight = Variant(model=MODEL, retrieval="passages=8")
    sides = [
        VariantSide(Variant(model=MODEL), search={"passages": 5}),
        VariantSide(eight, pipeline=other.pipeline, search={"passages": 8}),
    ]
    a, b = await runner.run_together(make_set(), sides, stage.pipeline, kb="k")
    assert (len(stage.turns), len(other.turns)) == (8, 8)
    assert b.variant == f"{a.variant} · passages=8"
    for each in (stage, other):
        each.store.drain()
    with stage.store.read() as ledger:
        first = runs.run(ledger, a.run_id)
    with other.store.read() as ledger:
        second = runs.run(ledger, b.run_id)
    assert (first.settings.trial, second.settings.trial) == (None, "retrieval passages=8")
    assert (first.settings.retrieval, second.settings.retrieval) == ({"passages": 5}, {"passages": 8})
    assert compare.names(first, second) == ("retrieval as configured", "retrieval passages=8")
    moved = replace(second, prompt="answer@v2", variant="answer@v2 · m · passages=8")
    assert compare.names(first, moved) == (first.variant, moved.variant)
