"""What is remembered beside the last turns: facts a user stated, and a running summary."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.context import memory as memory_file
from pipeline.context.facts import Fact, recalled
from pipeline.context.memory import Memory
from pipeline.context.statements import personal, stated
from pipeline.context.summary import LONGEST, extended
from pipeline.events import Answer
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.pipeline.test_api import door
from tests.pipeline.turns import ask, make_pipeline
from traces.ids import uuid7


def done(conversation: str, answer: str = "Yes [1].") -> Answer:
    return Answer(uuid7(), conversation, "answered", answer, (), (), {}, 0.0, 0.1, 0.2)


@pytest.mark.parametrize(
    ("question", "slots"),
    [
        ("My name is Ana. How do I print?", ["my name"]),
        ("call me Bob", ["my name"]),
        ("I'm a teacher at a school.", ["i am"]),
        ("I have two monitors. My laptop is a ThinkPad.", ["i have monitor", "my laptop"]),
        ("Remember that we deploy on Fridays", ["noted deploy friday"]),
        ("I use Fedora 41 now, how do I update?", []),
        ("I have a problem with wifi.", []),
        ("My laptop is broken.", []),
        ("What is my name?", []),
        ("Is my name Ana", []),
        ("I am a bit lost.", []),
        ("My password is hunter2. My card printer is 4111 1111 1111 1111.", []),
        ("How do I print?", []),
        ("", []),
        ("🙂" * 300, []),
        ("my region is the north", ["my region"]),
        ("please answer in short sentences", ["answers form"]),
        ("I work on the night shift", ["my shift"]),
        ("I'm on the day shift now.", ["my shift"]),
        ("Use metric units please.", ["answers form"]),
        ("Hi, I'm Wren from the east depot.", ["my name"]),
        ("I have the premium plan.", ["i have premium"]),
        ("I changed teams, I am in billing now.", ["i am in bill"]),
        ("Suppose my role is admin.", []),
        ("Imagine I am a manager.", []),
        ("Maybe my region is the north.", []),
        ('The sign says "call me when you arrive".', []),
        ("He says: I use Windows.", []),
        ("According to the log, I am the admin.", []),
        ("Translate: I am a teacher. My name is Wren.", []),
        ("My manager is on the night shift.", []),
        ("Call me back tomorrow.", []),
        ("My printer is jammed again.", []),
        ("I use the printer and it jams", []),
        ("I have a red light on the front.", []),
        ("Remember to save the file.", []),
        ("Remember: the code is hunter2.", []),
        ("The door code is 4471, remember that.", []),
        ("Remember that the safe opens with 4711.", []),
        ("I use hunter2 as password.", []),
        ("My wifi key is horse-battery.", []),
    ],
)
def test_lasting_first_person_statements_are_facts(question: str, slots: list[str]) -> None:
    facts = stated(question)
    assert [slot for slot, _ in facts] == slots
    assert not facts or personal(question)


@pytest.mark.parametrize(
    ("before", "question", "after"),
    [
        ("My region is the north.", "no, it is the south now", "My region is the south"),
        ("my region is the north", "Sorry, I meant the south.", "my region is the south"),
        ("Call me Wren.", "actually it's Robin", "Call me Robin"),
        ("I use Fedora 41.", "no, it is Debian now", "I use Fedora 41; no, it is Debian"),
        ("My region is the north.", "no, it is broken", None),
        ("My region is the north.", "No, it is not.", None),
        ("My region is the north.", "it is raining", None),
        ("My region is the north.", "no, it is hunter2, my password", None),
        ("My region is the north.", "Is it the south now?", None),
    ],
)
def test_a_correction_takes_the_place_of_what_was_stated_just_before(
    tmp_path: Path, before: str, question: str, after: str | None
) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    for text, conversation in ((before, "c1"), (question, "c2"), (question, "c1")):
        answer = done(conversation)
        memory.remember("ada", None, text, answer)
        memory.digest("ada", text, answer)
        if conversation == "c2":
            assert [fact.text for fact in memory.facts("ada")] == [before]
    assert [fact.text for fact in memory.facts("ada")] == [after or before]


def test_many_facts_are_recalled_by_what_is_asked() -> None:
    facts = [Fact(str(n), f"s{n}", f"I use tool{n} daily.", "t", f"2026-01-{n:02}") for n in range(1, 10)]
    chosen = recalled("How do I configure tool2?", facts)
    assert len(chosen) == 5 and chosen[0].fact_id == "2" and chosen[1].fact_id == "9"


def test_a_later_statement_replaces_and_nobody_sees_anothers(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    for user, text in (("ada", "My name is Ada."), ("eve", "My name is Eve."), ("ada", "My name is Ana.")):
        memory.digest(user, text, done(f"of-{user}"))
    assert [fact.text for fact in memory.facts("ada")] == ["My name is Ana."]
    [theirs] = memory.facts("eve")
    assert memory.forget_facts("ada", theirs.fact_id) == 0
    assert memory.recollect("bob", "of-ada", "who am I").to_dict() is None
    memory.digest("ada", "Forget my name", done("of-ada"))
    assert memory.facts("ada") == [] and memory.facts("eve") == [theirs]


@pytest.mark.parametrize(
    "wish",
    [
        "Forget my region",
        "please forget what I said about my region.",
        "Could you forget that my region is the north?",
        "don't remember my region",
        "Forget everything you know about me",
    ],
)
def test_a_fact_is_forgotten_in_several_words(tmp_path: Path, wish: str) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    for text in ("My region is the north.", wish):
        memory.digest("ada", text, done("c1"))
    assert memory.facts("ada") == []


def test_what_is_deleted_or_erased_takes_facts_and_summary_along(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite", turns=1)
    for conversation, owned in (("c1", "scanner"), ("c2", "printer")):
        for text in ("My name is Ana.", "I prefer the keyboard.", f"I own a {owned}."):
            answer = done(conversation)
            memory.remember("ada", None, text, answer)
            memory.digest("ada", text, answer)
    assert memory.recollect("ada", "c1", "x").summary is not None
    assert memory.forget("ada", "c2")
    assert [fact.text for fact in memory.facts("ada")] == ["I own a scanner."]
    assert memory.recollect("ada", "c2", "x").summary is None
    assert memory.erase("ada") == 3
    assert memory.recollect("ada", "c1", "x").to_dict() is None


def test_the_summary_tells_the_turns_before_the_window_and_stays_short(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite", turns=2)
    for number in range(40):
        answer = done("c1", f"First, wait. Printer{number} needs paper{number} [1].")
        memory.remember("ada", None, f"What does printer{number} need?", answer)
        memory.digest("ada", f"What does printer{number} need?", answer)
    summary = memory.recollect("ada", "c1", "x").summary or ""
    assert "- What does printer37 need? — Printer37 needs paper37." in summary
    assert "printer38" not in summary and len(summary) <= LONGEST
    assert extended("", "q" * 5000, "a" * 5000).count("\n") == 0


def test_turn_2000_costs_what_turn_10_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    def counted(path: Path, connect: Callable[[Path], sqlite3.Connection] = memory_file._open) -> Any:
        connection = connect(path)
        connection.set_progress_handler(step, 10)  # instructions of SQLite's machine
        return connection

    monkeypatch.setattr(memory_file, "_open", counted)
    memory = Memory(tmp_path / "c.sqlite")

    def cost(first: int, last: int) -> int:
        before = steps
        for number in range(first, last):
            answer = done("c1", "Open Settings and press Print [1].")
            memory.recall("ada", "c1")
            memory.recollect("ada", "c1", "How do I print?")
            memory.remember("ada", None, f"How do I print {number}?", answer)
            memory.digest("ada", "How do I print?", answer)
        return steps - before

    cost(0, 10)
    early = cost(10, 60)
    cost(60, 2_000)
    assert 0 < cost(2_000, 2_050) <= 1.5 * early


async def settled(pipeline: Pipeline) -> None:
    await asyncio.gather(*pipeline._chores)


async def test_a_fact_of_one_conversation_reaches_the_next_ones_prompt_of_its_user_only() -> None:
    pipeline = await make_pipeline(Scripted("scripted", ["Noted [1]."]))
    first, _ = await ask(pipeline, "My name is Ana. How do I turn on bounce keys?", user_id="ada")
    await settled(pipeline)
    second, _ = await ask(pipeline, "How do I turn on bounce keys?", user_id="ada")
    other, _ = await ask(pipeline, "How do I turn on bounce keys?", user_id="eve")
    assert isinstance(first, Answer) and isinstance(second, Answer) and isinstance(other, Answer)
    assert second.memory is not None and other.memory is None and first.memory is None
    [fact] = second.memory["facts"]
    assert (fact["text"], fact["turn_id"]) == ("My name is Ana.", first.turn_id)
    assert second.trace is not None and "- My name is Ana." in (second.trace.payload.prompt or "")
    assert other.trace is not None and "Ana" not in (other.trace.payload.prompt or "")
    await pipeline.close()


async def test_own_facts_are_listed_and_deleted_over_http() -> None:
    async with door() as (client, pipeline):
        body = {"question": "My name is Ana. How do I turn on bounce keys?"}
        await client.post("/api/chat", json=body, headers={"accept": "application/json"})
        await settled(pipeline)
        [fact] = (await client.get("/api/memory")).json()["facts"]
        assert fact["text"] == "My name is Ana."
        assert (await client.delete("/api/memory/nope")).status_code == 404
        assert (await client.delete(f"/api/memory/{fact['fact_id']}")).json() == {"deleted": 1}
        assert (await client.get("/api/memory")).json() == {"facts": []}
        assert (await client.delete("/api/memory")).json() == {"deleted": 0}
