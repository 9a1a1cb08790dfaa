"""Breakers around every dependency: guarded calls, the kept history, the operators' switch."""

import asyncio
from pathlib import Path

import httpx2 as httpx
import pytest

from pipeline.breaker import Policy
from pipeline.breakers import Breakers, Guarded, changes
from pipeline.errors import KnowledgeError
from pipeline.http.api import create_app
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.served import served
from tests.pipeline.turns import ask, make_pipeline, recorded

LID = "What happens when I close the lid of my laptop?"
SAID = "The laptop goes to sleep to save power [1]."


async def test_a_hanging_dependency_is_left_and_then_rests(tmp_path: Path) -> None:
    breakers = Breakers(tmp_path / "breakers.jsonl")
    guarded = Guarded(breakers.get("store", Policy(minimum_calls=3)), 0.02, KnowledgeError)
    calls = 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(10)

    for _ in range(10):
        with pytest.raises(KnowledgeError):
            await guarded.call(hang)
    assert calls == 3
    (change,) = changes(tmp_path / "breakers.jsonl")
    assert (change.name, change.old, change.new) == ("store", "closed", "open")


async def test_a_librarys_own_error_becomes_ours() -> None:
    guarded = Guarded(Breakers().get("store"), 1.0, KnowledgeError)

    async def broken() -> None:
        raise RuntimeError("lance error at /home/build/secret.rs")

    with pytest.raises(KnowledgeError, match="store: RuntimeError") as caught:
        await guarded.call(broken)
    assert "/home" not in str(caught.value)


async def test_operators_isolate_and_release_over_http() -> None:
    model = Scripted(SAID, name="openai:stub")
    pipeline = await make_pipeline(model)
    async with (
        served(create_app(pipeline, load_settings())) as address,
        httpx.AsyncClient(base_url=address, timeout=60) as http,
    ):
        before = await http.post("/api/chat", json={"question": LID}, headers={"accept": "application/json"})
        isolated = await http.post("/api/breakers/openai:stub", json={"isolate": True})
        during = await http.post("/api/chat", json={"question": LID}, headers={"accept": "application/json"})
        metrics = await http.get("/metrics")
        ready = await http.get("/readyz")
        released = await http.post("/api/breakers/openai:stub", json={"isolate": False})
        after = await http.post("/api/chat", json={"question": LID}, headers={"accept": "application/json"})
        unknown = await http.post("/api/breakers/nothing", json={"isolate": True})
    outcomes = [one.json()["outcome"] for one in (before, during, after)]
    assert outcomes == ["answered", "degraded", "answered"]
    assert (isolated.json()["state"], released.json()["state"]) == ("isolated", "closed")
    assert 'answerdeck_breaker_state{name="openai:stub"} 3.0' in metrics.text
    assert {"journal", "embedder", "conversations", "knowledge default", "full-text default"} <= {
        one["name"] for one in ready.json()["breakers"]
    }
    assert unknown.status_code == 404


async def test_records_wait_in_memory_while_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await make_pipeline(Scripted(SAID))
    full = True
    append = pipeline.journal._append

    def appended(line: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        append(line)

    monkeypatch.setattr(pipeline.journal, "_append", appended)
    answers = [(await ask(pipeline, LID))[0] for _ in range(5)]
    assert (pipeline.unrecorded, pipeline.backlog.lost) == (5, 0)
    full = False
    pipeline.breakers()["journal"].release()
    assert pipeline.backlog.catch_up()
    assert pipeline.unrecorded == 0
    for answer in answers:
        assert recorded(pipeline, answer.turn_id or "").turn.outcome == "answered"
    await pipeline.close()


async def test_a_turn_ends_by_its_deadline_whatever_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.steps.frame.SPARE_SECONDS", 0.1)
    pipeline = await make_pipeline(Scripted(SAID), rules={"turn_seconds": 0.1})

    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(pipeline.retriever, "retrieve", hang)
    answer, _ = await asyncio.wait_for(ask(pipeline, LID), 50)
    trace = recorded(pipeline, answer.turn_id or "")
    assert (trace.turn.outcome, trace.turn.error_class) == ("cut", "deadline")
    assert pipeline.running == 0
    await pipeline.close()
