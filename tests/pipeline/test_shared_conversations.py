"""A conversation goes on on another machine, is nobody else's, and outlives the servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.erasing import erase
from pipeline import build
from pipeline.context.memory import Memory
from pipeline.errors import ConversationsError, Refused
from pipeline.events import Answer, Message
from pipeline.settings import Settings, load_settings
from tests.databases import Databases
from tests.pipeline.turns import ask
from traces.ids import uuid7


@pytest.fixture
def machines(postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    monkeypatch.setenv("ANSWERDECK_LEDGER", postgres.fresh())
    return [load_settings(data_dir=tmp_path / name) for name in ("north", "south")]


@pytest.fixture
def both(machines: list[Settings]) -> Iterator[list[Memory]]:
    memories = [build.memory(settings) for settings in machines]
    yield memories
    for memory in memories:
        memory.close()


def done(conversation: str, answer: str = "Yes [1].") -> Answer:
    return Answer(uuid7(), conversation, "answered", answer, (), (), {}, 0.0, 0.1, 0.2)


def test_a_conversation_goes_on_on_another_machine(both: list[Memory]) -> None:
    north, south = both
    answer = done("c1", "Pull\0 the lever.")
    north.remember("ada", "k1", "How do I print?", answer)
    north.digest("ada", "My name is Ada.", answer)
    assert south.recall("ada", "c1") == (
        Message("user", "How do I print?"),
        Message("assistant", "Pull the lever."),
    )
    assert (south.repeated("ada", "k1") or {})["turn_id"] == answer.turn_id
    assert [fact.text for fact in south.facts("ada")] == ["My name is Ada."]
    south.remember("ada", "k1", "How do I print?", done("c1"))
    assert len(north.conversation("ada", "c1") or []) == 1, "one turn per client id, over all machines"
    with pytest.raises(Refused):
        south.recall("eve", "c1")


def test_a_fact_stated_anew_and_the_summary_are_kept_once(both: list[Memory]) -> None:
    north, south = both
    for number in range(12):
        answer = done("c1", f"It is number {number} [1].")
        memory = both[number % 2]
        memory.remember("ada", None, f"What is the step {number}?", answer)
        memory.digest("ada", f"My city is Town{number}.", answer)
    assert [fact.text for fact in north.facts("ada")] == ["My city is Town11."]
    assert north.recollect("ada", "c1", "step").summary == south.recollect("ada", "c1", "step").summary
    assert "step 1" in (north.recollect("ada", "c1", "step").summary or "")


def test_while_it_is_gone_turns_get_a_clear_error_and_it_goes_on_after(
    both: list[Memory], postgres: Databases
) -> None:
    north, _ = both
    north.remember("ada", None, "Before", done("c1"))
    postgres.kill()
    try:
        with pytest.raises(ConversationsError):
            for _ in range(500):  # a connection outlives its killed server for a moment
                north.facts("ada")
                time.sleep(0.01)
    finally:
        postgres.start()
    north.remember("ada", None, "After", done("c1"))
    assert [turn["question"] for turn in north.conversation("ada", "c1") or []] == ["Before", "After"]


async def test_a_turn_without_the_conversations_is_answered_and_recorded(
    machines: list[Settings], postgres: Databases
) -> None:
    pipeline = build.build(machines[0])
    try:
        postgres.kill()
        answer, _ = await ask(pipeline, "Hello there!")
        assert isinstance(answer, Answer)
        searched, _ = await ask(pipeline, "How do I open the valve?")
        assert isinstance(searched, Answer)
    finally:
        postgres.start()
        await pipeline.close()
    store = build.store(machines[0])
    store.drain()
    with store.read() as ledger:
        assert ledger.rows("select outcome from turns order by turn_id") == [
            {"outcome": "answered"},
            {"outcome": "degraded"},  # there are no documents here
        ]


def test_erasure_reaches_what_machines_share(machines: list[Settings], both: list[Memory]) -> None:
    north, south = both
    answer = done("c1")
    north.remember("ada", None, "My name is Ada.", answer)
    north.digest("ada", "My name is Ada.", answer)
    north.remember("eve", None, "Mine", done("c2"))
    certificate = erase(build.store(machines[1]), "ada")
    (line,) = [line for line in certificate.lines if line.place.startswith("shared conversations")]
    assert (line.erased, line.left) == (2, [])
    assert south.conversation("ada", "c1") is None
    assert south.facts("ada") == []
    assert south.conversation("eve", "c2") is not None


def test_erasure_reaches_users_that_machines_share(machines: list[Settings]) -> None:
    people = build.people(machines[0])
    people.note("signed in", "ada", "ada")
    people.note("key made", "ci", "eve")
    lines = erase(build.store(machines[1]), "ada").lines
    assert {line.place: line.erased for line in lines if line.place.startswith("shared")} == {
        "shared conversations and memory": 0,
        "shared people and sessions": 1,
        "shared audit of people": 0,
    }
    other = build.people(machines[1])
    assert [event.actor for event in other.events()] == ["eve"]
    for opened in (people, other):
        opened.close()
