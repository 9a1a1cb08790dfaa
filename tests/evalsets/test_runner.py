"""Runs are recorded, resumable and honest about what failed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.runs import runner
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Variant
from pipeline.prompts.library import Library
from tests.evalsets.fakes import Stage, make_set
from traces.queries import runs
from traces.records import Case, Turn


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.absent = {"c7"}
    return made


async def test_a_run_gives_the_promised_json(stage: Stage) -> None:
    stage.wrong = {"c1"}
    said: list[tuple[int, int, int]] = []
    found = await runner.run(
        make_set(), Variant(), stage.pipeline, kb="k", progress=lambda *now: said.append(now)
    )
    assert {"run_id", "evalset", "variant", "metrics", "cost_usd", "seconds"} <= found.to_dict().keys()
    assert found.variant == "answer@v1 · local:scripted"
    recall = found.metrics["recall@5"]
    assert (recall.mean, recall.n, recall.failed, recall.not_applicable) == (6 / 7, 7, 0, 1)
    assert (recall.ci_low or 1.0) < 6 / 7 < (recall.ci_high or 0.0)
    assert found.metrics["abstention_correct"].mean == 1.0
    assert found.metrics["false_answer"].n == 1
    assert found.metrics["citation_precision"].mean == 1.0
    assert found.cost_usd == pytest.approx(0.008)
    assert said[0] == (0, 8, 0)
    assert said[-1] == (8, 8, 0)
    assert all(turn.door == "eval" for turn in stage.turns)
    with stage.store.read() as ledger:
        assert {row["kb"] for row in ledger.rows("select kb from turns")} == {"k"}


async def test_a_run_is_in_the_ledger(stage: Stage) -> None:
    found = await runner.run(make_set(title="Small", thresholds={"hit@5": 0.9}), Variant(), stage.pipeline)
    with stage.store.read() as ledger:
        row = runs.run(ledger, found.run_id[:13])
        assert runs.run(ledger, "latest").run_id == found.run_id
        assert (row.state, row.done, row.failed, row.cases) == ("finished", 8, 0, 8)
        assert (row.prompt_fingerprint, row.index_version, row.code_version) == (
            Library().get("answer@v1").fingerprint,
            "v3",
            "cc",
        )
        assert row.settings.thresholds == {"hit@5": 0.9}
        cases = runs.cases_of(ledger, row.run_id)
        assert [case.case_id for case in cases] == [f"c{i}" for i in range(8)]
        assert cases[0].answer == "Open the panel and press the key. [1]"
        assert cases[7].outcome == "no_context"
        assert len(runs.turns_of(ledger, row.run_id)) == 8
        with pytest.raises(runs.UnknownRun, match="no run 'zzz'"):
            runs.run(ledger, "zzz")


async def test_retrieval_alone_calls_no_model(stage: Stage) -> None:
    found = await runner.run(make_set(), Variant(only="retrieval"), stage.pipeline)
    assert found.variant == "retrieval only"
    assert found.metrics["mrr@10"].mean == 1.0
    assert "groundedness" not in found.metrics
    assert found.cost_usd == 0.0


async def test_a_failing_case_is_counted_apart(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.broken = {f"c{i}": RuntimeError("boom") for i in (2, 3, 4)}
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(concurrency=3))
    assert found.state == "finished"
    assert found.failed == 3
    table = found.metrics
    assert (table["groundedness"].n, table["groundedness"].failed) == (4, 3)
    assert (table["recall@5"].n, table["recall@5"].failed) == (4, 3)
    assert table["groundedness"].mean == 1.0
    assert "boom" in caplog.text
    with stage.store.read() as ledger:
        reasons = {row.case_id: row.reason for row in runs.scores_of(ledger, found.run_id) if row.failed}
    assert reasons["c2"] == "the turn was failed (internal)"


async def test_a_stopped_run_goes_on_where_it_ended(stage: Stage) -> None:
    task: asyncio.Task[Outcome]

    def stop(turn: Turn) -> None:
        if turn.case_id == "c4":
            task.cancel()

    stage.before = stop
    task = asyncio.create_task(
        runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="r1", concurrency=1))
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    with stage.store.read() as ledger:
        row = runs.run(ledger, "r1")
        assert row.state == "stopped"
        done = row.done or 0
        assert 4 <= done < 8
    stage.before = lambda _: None
    asked = len(stage.turns)
    found = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="r1"))
    assert len(stage.turns) - asked == 8 - done
    assert found.metrics["recall@5"].n == 7
    assert found.state == "finished"
    with stage.store.read() as ledger:
        assert len(runs.cases_of(ledger, "r1")) == 8
        assert runs.run(ledger, "r1").done == 8


async def test_a_second_go_tries_what_failed_and_the_new_score_counts(stage: Stage) -> None:
    stage.broken["c3"] = RuntimeError("boom")
    first = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="r2"))
    assert first.failed == 1
    stage.broken.clear()
    asked = len(stage.turns)
    second = await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="r2"))
    assert len(stage.turns) == asked + 1
    assert second.failed == 0
    assert second.metrics["groundedness"].n == 7
    assert second.cost_usd == pytest.approx(0.008)
    with stage.store.read() as ledger:
        scores = runs.scores_of(ledger, "r2")
        assert len({(row.case_id, row.name) for row in scores}) == len(scores)
        assert not any(row.failed for row in scores)


async def test_another_variant_cannot_go_on_with_a_run(stage: Stage) -> None:
    await runner.run(make_set(), Variant(), stage.pipeline, runner.Plan(run_id="r3"))
    with pytest.raises(EvalsetError, match="variant was 'answer@v1 · local:scripted'"):
        await runner.run(make_set(), Variant(only="retrieval"), stage.pipeline, runner.Plan(run_id="r3"))


async def test_history_is_handed_over(stage: Stage) -> None:
    case = Case("", "c0", "And then?", history=[{"role": "user", "text": "First?"}])
    await runner.run(Evalset("h", "f", (case,)), Variant(), stage.pipeline)
    assert stage.models[0].prompts[-1].messages[0].text == "First?"


async def test_an_unknown_price_makes_the_cost_unknown(tmp_path: Path) -> None:
    stage = Stage(tmp_path, usd=None)
    found = await runner.run(make_set(), Variant(), stage.pipeline)
    assert found.cost_usd is None
    assert found.metrics["cost_usd"].failed == 8
    assert found.metrics["cost_usd"].mean is None


@pytest.mark.parametrize(
    "variant",
    [
        Variant("answer@v1", "openai:a"),
        Variant("answer@v1", "openai:a", retrieval="passages=8,floor=0.2"),
        Variant(only="retrieval", retrieval="passages=8"),
        Variant(only="retrieval"),
        Variant(model="target:x · y"),
    ],
)
def test_a_label_names_its_variant(variant: Variant) -> None:
    assert Variant.read(variant.label) == variant
