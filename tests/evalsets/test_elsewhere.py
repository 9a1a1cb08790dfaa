"""An eval whose turns run on workers is recorded here, each turn once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from evalsets.runs import elsewhere, runner
from evalsets.runs.elsewhere import Bench, WorkerPipeline
from evalsets.runs.runner import Variant
from pipeline import build
from pipeline.context.patience import Patience
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.settings import load_settings
from pipeline.turn import Pipeline
from tests.evalsets.fakes import make_set
from traces.queries import runs


class Thread:
    """One worker, a thread of this process."""

    width = 1

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)

    def close(self) -> None:
        pass


@pytest.fixture
async def pipeline(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pipeline]:
    """A pipeline, and a worker's bench with the same documents that ends with the test."""
    own = build.build(load_settings())
    await store([Document("d1", "Panel", "Open the panel and press the key.")], "default", own.knowledge)
    bench = await asyncio.to_thread(Bench, {}, cache=True)
    monkeypatch.setattr(elsewhere, "_bench", lambda *order: bench)
    yield own
    await own.close()
    await asyncio.to_thread(lambda: bench.loop.run_until_complete(bench.pipeline.close()))
    bench.loop.close()
    bench._folder.cleanup()


@pytest.mark.parametrize("only", [None, "retrieval"])
async def test_turns_of_workers_are_recorded_here_once(pipeline: Pipeline, only: Any) -> None:
    there = WorkerPipeline(pipeline, Thread(), {}, cache=True)
    outcome = await runner.run(make_set(), Variant(only=only), there, kb="default")
    assert (outcome.state, outcome.cases, outcome.failed) == ("finished", 8, 0)
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        assert runs.run(ledger, outcome.run_id).state == "finished"
        turns = ledger.rows("select turn_id, case_id, kb from turns")
    assert len({row["turn_id"] for row in turns}) == len(turns) == 8
    assert {row["case_id"] for row in turns} == {f"c{n}" for n in range(8)}


async def test_a_workers_first_turn_waits_as_long_as_it_takes_to_load(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cold start on a busy machine would fail the first case of each worker, and each after a kill."""
    bench: Any = elsewhere._bench("{}", True)
    knowledge, opening = bench.pipeline.knowledge, bench.pipeline.knowledge.open
    first = [True]

    async def slow(kb: str) -> Any:
        if first.pop() if first else False:
            await asyncio.sleep(0.2)
        return await opening(kb)

    monkeypatch.setattr(knowledge, "open", slow)
    monkeypatch.setattr(bench.pipeline.retriever, "_patience", Patience(open=0.1))
    there = WorkerPipeline(pipeline, Thread(), {}, cache=False)
    outcome = await runner.run(make_set(), Variant(only="retrieval"), there, kb="default")
    assert outcome.failed == 0
    assert not first
