"""A bisection names the change behind a drop, or says that it is nothing that can be switched."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from evalsets.release import bisect
from evalsets.release.bisect import CONTROL, TOGETHER, Bisection, Trial, Unlike
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set
from traces.ids import uuid7
from traces.records import RunSettings

FEW = {f"c{i}" for i in range(12)}


class World:
    """Where `wrong` says which questions fail under which prompt, model and number of passages."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.tried: list[Trial] = []
        self.broken = False  # by what cannot be switched
        self.rule: Any = lambda variant, passages: False

    async def run(self, prompt: str, model: str, passages: int, run_id: str, cases: int = 20) -> str:
        variant = Variant(prompt, model)
        self.stage.wrong = FEW if self.broken or self.rule(variant, passages) else set()
        shaped = RunSettings(retrieval={"passages": passages})
        await runner.run(
            make_set(cases), variant, self.stage.pipeline, runner.Plan(run_id=run_id, settings=shaped)
        )
        return run_id

    def ask(self, trial: Trial) -> str:
        self.tried.append(trial)
        passages = (trial.retrieval or {})["passages"]
        made = self.run(str(trial.variant.prompt), str(trial.variant.model), passages, uuid7())
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(asyncio.run, made).result()

    def find(self, bad: str, metric: str = "hit@5") -> Bisection:
        return bisect.find_cause(self.stage.store.read, "good", bad, metric, self.ask)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A stage with the run `good`, in which every document was found."""
    stage = Stage(tmp_path_factory.mktemp("stage"), models=("m1", "m2"))
    asyncio.run(World(stage).run("answer@v1", "m1", 5, "good"))
    return stage


@pytest.fixture
def world(stage: Stage) -> World:
    return World(stage)


async def test_the_change_behind_the_drop_is_named(world: World) -> None:
    world.rule = lambda variant, passages: passages == 1
    await world.run("answer@v2", "m2", 1, "bad-1")
    found = world.find("bad-1")
    assert [one.title for one in found.steps] == [
        CONTROL, "prompt answer@v1 → answer@v2", "model m1 → m2", "passages 5 → 1"]  # fmt: skip
    assert [one.to_blame for one in found.steps] == [False, False, False, True]
    assert world.tried[-1] == Trial("passages 5 → 1", Variant("answer@v1", "m1"), {"passages": 1})
    assert "Behind it: passages 5 → 1 by 0." in found.sentence
    assert "(95 %)" in found.sentence


async def test_changes_that_only_hurt_together_are_tried_together(world: World) -> None:
    world.rule = lambda variant, passages: passages == 1 and variant.prompt == "answer@v2"
    await world.run("answer@v2", "m1", 1, "bad-2")
    found = world.find("bad-2")
    assert found.steps[-1].title == TOGETHER and found.steps[-1].to_blame
    assert "No change alone" in found.sentence


async def test_what_cannot_be_switched_is_said_after_one_run(world: World) -> None:
    world.broken = True
    await world.run("answer@v2", "m1", 5, "bad-3")
    found = world.find("bad-3")
    assert [one.title for one in found.steps] == [CONTROL]
    assert "no change explains it" in found.sentence  # the fake's code has the same name throughout


async def test_a_drop_that_is_over_is_said(world: World) -> None:
    world.broken = True
    await world.run("answer@v2", "m1", 5, "bad-4")
    world.broken = False
    assert "nothing that can be switched makes it so" in world.find("bad-4").sentence


async def test_runs_that_cannot_be_bisected_are_refused(world: World) -> None:
    await world.run("answer@v2", "m1", 5, "bad-5")
    with pytest.raises(Unlike, match="no drop to explain"):
        world.find("bad-5")
    with pytest.raises(Unlike, match="scored on 'faithfulness'"):
        world.find("bad-5", "faithfulness")
    await world.run("answer@v2", "m1", 5, "short", cases=19)
    with pytest.raises(Unlike, match="did not ask the same"):
        bisect.find_cause(world.stage.store.read, "good", "short", "hit@5", world.ask)
    assert not world.tried
