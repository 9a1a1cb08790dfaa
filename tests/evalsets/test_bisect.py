"""A bisection names the change behind a drop, or says that it is nothing that can be switched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalsets.release import bisect
from evalsets.release.bisect import CONTROL, TOGETHER, Finding, Trial, Unlike
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from tests.evalsets.fakes import Stage, make_set
from traces.records import RunSettings

FEW = {f"c{i}" for i in range(12)}


class World:
    """Where `wrong` says which questions fail under which prompt, model and number of passages."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder, models=("m1", "m2"))
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
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        self.tried.append(trial)
        passages = (trial.retrieval or {})["passages"]
        made = self.run(
            str(trial.variant.prompt), str(trial.variant.model), passages, f"try-{len(self.tried)}"
        )
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(asyncio.run, made).result()

    def find(self, metric: str = "hit@5") -> Finding:
        return bisect.find_cause(self.stage.store.read, "good", "bad", metric, self.ask)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_change_behind_the_drop_is_named(world: World) -> None:
    world.rule = lambda variant, passages: passages == 1
    await world.run("answer@v1", "m1", 5, "good")
    await world.run("answer@v2", "m2", 1, "bad")
    found = world.find()
    assert [one.title for one in found.steps] == [
        CONTROL, "prompt answer@v1 → answer@v2", "model m1 → m2", "passages 5 → 1"]  # fmt: skip
    assert [one.to_blame for one in found.steps] == [False, False, False, True]
    assert world.tried[-1] == Trial("passages 5 → 1", Variant("answer@v1", "m1"), {"passages": 1})
    assert "Behind it: passages 5 → 1 by 0." in found.sentence
    assert "(95 %)" in found.sentence


@pytest.mark.usefixtures("unmeasured")
async def test_changes_that_only_hurt_together_are_tried_together(world: World) -> None:
    world.rule = lambda variant, passages: passages == 1 and variant.prompt == "answer@v2"
    await world.run("answer@v1", "m1", 5, "good")
    await world.run("answer@v2", "m1", 1, "bad")
    found = world.find()
    assert found.steps[-1].title == TOGETHER and found.steps[-1].to_blame
    assert "No change alone" in found.sentence


async def test_what_cannot_be_switched_is_said_after_one_run(world: World) -> None:
    await world.run("answer@v1", "m1", 5, "good")
    world.broken = True
    await world.run("answer@v2", "m1", 5, "bad")
    found = world.find()
    assert [one.title for one in found.steps] == [CONTROL]
    assert "no change explains it" in found.sentence  # the fake's code has the same name throughout


async def test_a_drop_that_is_over_is_said(world: World) -> None:
    await world.run("answer@v1", "m1", 5, "good")
    world.broken = True
    await world.run("answer@v2", "m1", 5, "bad")
    world.broken = False
    assert "nothing that can be switched makes it so" in world.find().sentence


async def test_runs_that_cannot_be_bisected_are_refused(world: World) -> None:
    await world.run("answer@v1", "m1", 5, "good")
    await world.run("answer@v2", "m1", 5, "bad")
    with pytest.raises(Unlike, match="no drop to explain"):
        world.find()
    with pytest.raises(Unlike, match="scored on 'faithfulness'"):
        world.find("faithfulness")
    await world.run("answer@v2", "m1", 5, "short", cases=19)
    with pytest.raises(Unlike, match="did not ask the same"):
        bisect.find_cause(world.stage.store.read, "good", "short", "hit@5", world.ask)
    assert not world.tried
