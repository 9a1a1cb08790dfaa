"""Real turns are asked again under a candidate, and what changed is told turn by turn."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.release import playground, replay
from evalsets.release.playground import CannotReplay
from evalsets.runs.runner import Variant
from pipeline.context.condenser import Condenser
from pipeline.errors import ModelError
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from pipeline.turn import Pipeline
from tests.pipeline.turns import ask, make_pipeline, recorded
from traces.queries import runs

GOOD = "Open Settings and click Accessibility. [1]"
BAD = "Bananas ripen faster beside apples in warm rooms. [1]"


def cases(pipeline: Pipeline, **more: Any) -> Evalset:
    now = datetime.now(UTC) + timedelta(seconds=1)
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        return replay.recorded(
            ledger, "default", now - timedelta(days=7), now, reach=pipeline.memory.reach, **more
        )


async def talked(model: Scripted) -> Pipeline:
    """A conversation of two turns and a turn by itself, all answered from the documents by the model."""
    pipeline = await make_pipeline(model, parts={"condenser": Condenser(None)})
    await ask(pipeline, "How do I turn on bounce keys?", conversation_id="one")
    await ask(pipeline, "And where do I click to turn on bounce keys?", conversation_id="one")
    await ask(pipeline, "How do I turn on bounce keys in Settings?", door="chat")
    await ask(pipeline, "How do I turn on bounce keys?", door="eval")
    return pipeline


async def test_flips_are_found_and_nothing_counts_as_production() -> None:
    model = Scripted(GOOD)
    pipeline = await talked(model)
    asked = cases(pipeline)
    assert len(asked.cases) == 3
    assert [len(case.history or ()) for case in asked.cases] == [0, 2, 0]
    model.script(BAD, BAD, GOOD)
    found = await replay.replay_turns(pipeline, asked, Variant("answer@v1", "scripted"))
    assert (found.turns, found.counts["better"], found.counts["worse"], found.counts["same"]) == (3, 0, 2, 1)
    assert found.intervals["worse"].low < 2 / 3 < found.intervals["worse"].high
    assert {flip.change for flip in found.flips} == {"worse"}
    assert "grounded" in found.flips[0].reason
    assert (found.flips[0].after or "").startswith(BAD)
    assert found.metrics["support"].losses
    assert any("and where do i click" in prompt.render().lower() for prompt in model.prompts)
    again = recorded(pipeline, found.flips[0].replayed_id or "")
    assert (again.turn.door, again.turn.user_id) == ("replay", "replay")
    assert len(cases(pipeline).cases) == 3
    with pipeline.store.read() as ledger:
        variants = [run.variant for run in runs.runs(ledger, evalset="replay")]
    assert sorted(variants) == ["answer@v1 · scripted", "as recorded"]
    await pipeline.close()


@pytest.mark.parametrize("what", ["degraded", "turned away"])
async def test_a_turn_asked_in_an_outage_credits_no_candidate(what: str) -> None:
    model = Scripted(GOOD)
    limits: dict[str, Any] = {"limits": {"requests_per_minute": 1}} if what == "turned away" else {}
    pipeline = await make_pipeline(model, parts={"condenser": Condenser(None)}, **limits)
    await ask(pipeline, "How do I turn on bounce keys?", user_id="ada")
    if what == "degraded":
        model.script(ModelError("provider_5xx", "down"), ModelError("provider_5xx", "down"))
    await ask(pipeline, "How do I turn on bounce keys in Settings?", user_id="ada")
    model.script(GOOD, GOOD)
    found = await replay.replay_turns(pipeline, cases(pipeline), Variant("answer@v1", "scripted"))
    assert (
        found.turns,
        found.counts["better"],
        found.counts["worse"],
        found.counts["same"],
        found.counts["outage"],
    ) == (
        2,
        0,
        0,
        1,
        1,
    )
    (flip,) = found.flips
    assert flip.change == "outage" and "when it was asked" in flip.reason
    assert found.metrics["support"].n == 1
    await pipeline.close()


async def test_the_configured_memory_reaches_a_replay() -> None:
    pipeline = await talked(Scripted(GOOD))
    await pipeline.close()
    short = await make_pipeline(documents=(), memory={"turns": 0, "tokens": 1500, "context_tokens": 6000})
    assert [len(case.history or ()) for case in cases(short).cases] == [0, 0, 0]
    await short.close()


async def test_it_goes_on_where_it_stopped() -> None:
    model = Scripted(GOOD)
    pipeline = await talked(model)
    first = await replay.replay_turns(
        pipeline, cases(pipeline), Variant("answer@v1", "scripted"), run_id="r1"
    )
    calls = len(model.prompts)
    await ask(pipeline, "How do I turn on bounce keys today?")
    with pipeline.store.read() as ledger:
        same = replay.again(ledger, "r1")
    second = await replay.replay_turns(pipeline, same, Variant("answer@v1", "scripted"), run_id="r1")
    assert len(model.prompts) == calls + 1
    assert (second.turns, second.counts["same"]) == (first.turns, 3)
    await pipeline.close()


async def test_costs_are_told_before() -> None:
    model = Scripted(GOOD)
    pipeline = await talked(model)
    asked = [case.case_id for case in cases(pipeline).cases]
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


@pytest.mark.parametrize("fresh", [False, True])
async def test_one_turn_with_the_same_and_with_fresh_passages(fresh: bool) -> None:
    pipeline = await make_pipeline(Scripted(GOOD))
    done, _ = await ask(pipeline, "How do I turn on bounce keys?")
    assert done.turn_id
    await pipeline.close()
    replayed = await playground.again(
        load_settings(), done.turn_id, prompt=None, model=None, fresh=fresh, models=[Scripted(BAD)]
    )
    before, after = replayed.before, replayed.after
    assert playground.ReplayedTurn.read(json.loads(json.dumps(replayed.to_dict()))) == replayed
    assert before.answer == GOOD
    assert (after.answer or "").startswith(BAD)
    assert [row.title for row in after.placed] == [row.title for row in before.placed]
    assert after.support < before.support
    trace = recorded(pipeline, after.turn_id)
    assert trace.turn.door == "replay"
    assert ("same passages" in {span.name for span in trace.spans}) is not fresh


async def test_a_turn_that_is_not_there_cannot_be_asked_again() -> None:
    with pytest.raises(CannotReplay, match="there is no turn"):
        await playground.again(load_settings(), "nope", prompt=None, model=None, fresh=False)
