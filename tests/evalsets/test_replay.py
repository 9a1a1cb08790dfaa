"""Real turns are asked again under a candidate, and what changed is told turn by turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.release import playground, replay
from evalsets.release.playground import CannotReplay
from evalsets.runs.runner import Variant
from pipeline.errors import ModelError
from pipeline.extractive.extractive import Extractive
from pipeline.models.gateway import Gateway
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.pipeline.turns import ask, make_pipeline, recorded
from traces.queries import runs

GOOD = "Open Settings and click Accessibility. [1]"
BAD = "Bananas ripen faster beside apples in warm rooms. [1]"


def cases(pipeline: Pipeline, **more: Any) -> Evalset:
    now = datetime.now(UTC) + timedelta(seconds=1)
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        return replay.recorded(ledger, "default", now - timedelta(days=7), now, **more)


def answering(pipeline: Pipeline, *replies: str | ModelError) -> Scripted:
    model = Scripted(*replies)
    pipeline.gateway = Gateway([model], Extractive(), prices=Prices())
    return model


async def talked() -> Pipeline:
    """A conversation of two turns and a turn by itself, all answered from the documents."""
    pipeline = await make_pipeline(Scripted(GOOD))
    await ask(pipeline, "How do I turn on bounce keys?", conversation_id="one")
    await ask(pipeline, "And where do I click to turn on bounce keys?", conversation_id="one")
    await ask(pipeline, "How do I turn on bounce keys in Settings?", door="chat")
    await ask(pipeline, "How do I turn on bounce keys?", door="eval")
    return pipeline


async def test_flips_are_found_and_nothing_counts_as_production() -> None:
    pipeline = await talked()
    asked = cases(pipeline)
    assert len(asked.cases) == 3
    assert [len(case.history or ()) for case in asked.cases] == [0, 2, 0]
    model = answering(pipeline, BAD, BAD, GOOD)
    found = await replay.replay_turns(pipeline, asked, Variant("answer@v1", "scripted"))
    assert (found["turns"], found["better"], found["worse"], found["same"]) == (3, 0, 2, 1)
    assert found["intervals"]["worse"]["low"] < 2 / 3 < found["intervals"]["worse"]["high"]
    assert {flip["change"] for flip in found["flips"]} == {"worse"}
    assert "grounded" in found["flips"][0]["reason"]
    assert found["flips"][0]["after"].startswith(BAD)
    assert found["metrics"]["support"]["losses"]
    assert any("and where do i click" in prompt.render().lower() for prompt in model.prompts)
    again = recorded(pipeline, found["flips"][0]["replayed_id"])
    assert (again.turn.door, again.turn.user_id) == ("replay", "replay")
    assert len(cases(pipeline).cases) == 3
    with pipeline.store.read() as ledger:
        variants = [run.variant for run in runs.runs(ledger, evalset="replay")]
    assert sorted(variants) == ["answer@v1 · scripted", "as recorded"]
    await pipeline.close()


async def test_it_goes_on_where_it_stopped() -> None:
    pipeline = await talked()
    model = answering(pipeline, GOOD)
    first = await replay.replay_turns(
        pipeline, cases(pipeline), Variant("answer@v1", "scripted"), run_id="r1"
    )
    calls = len(model.prompts)
    await ask(pipeline, "How do I turn on bounce keys today?")
    with pipeline.store.read() as ledger:
        same = replay.again(ledger, "r1")
    second = await replay.replay_turns(pipeline, same, Variant("answer@v1", "scripted"), run_id="r1")
    assert len(model.prompts) == calls + 1
    assert (second["turns"], second["same"]) == (first["turns"], 3)
    await pipeline.close()


async def test_costs_are_told_before() -> None:
    pipeline = await talked()
    asked = cases(pipeline)
    rates = {"input_per_million": 10.0, "output_per_million": 10.0}
    with pipeline.store.read() as ledger:
        dear = replay.expected(ledger, asked, "local:m", Prices({"local:m": rates}))
        unknown = replay.expected(ledger, asked, "local:other", Prices())
    assert dear.turns == 3
    assert dear.usd is not None
    assert 0.001 < dear.usd < 0.1
    assert unknown.usd is None
    await pipeline.close()


async def test_nothing_to_replay_is_said() -> None:
    pipeline = await make_pipeline(Scripted(GOOD))
    with pytest.raises(EvalsetError, match="nobody asked"):
        cases(pipeline)
    await pipeline.close()


async def test_one_turn_with_the_same_and_with_fresh_passages() -> None:
    pipeline = await make_pipeline(Scripted(GOOD))
    done, _ = await ask(pipeline, "How do I turn on bounce keys?")
    assert done.turn_id
    for fresh in (False, True):
        answering(pipeline, BAD)
        found = await playground.again(pipeline, done.turn_id, prompt=None, model=None, fresh=fresh)
        before, after = found["before"], found["after"]
        assert before["answer"] == GOOD
        assert after["answer"].startswith(BAD)
        assert [one["title"] for one in after["placed"]] == [one["title"] for one in before["placed"]]
        assert after["support"] < before["support"]
        assert recorded(pipeline, after["turn_id"]).turn.door == "replay"
        names = {span.name for span in recorded(pipeline, after["turn_id"]).spans}
        assert ("same passages" in names) is not fresh
        pipeline = pipeline if fresh else await reopened(pipeline)
    with pytest.raises(CannotReplay, match="there is no turn"):
        await playground.again(pipeline, "nope", prompt=None, model=None, fresh=False)
    await pipeline.close()


async def reopened(pipeline: Pipeline) -> Pipeline:
    await pipeline.close()
    return await make_pipeline(documents=())
