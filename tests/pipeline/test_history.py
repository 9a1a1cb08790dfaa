"""What users do with past conversations, in the real file and in real shared tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.context.conversation_tables import TABLES
from pipeline.context.history import History
from pipeline.context.memory import Memory
from pipeline.events import Answer
from traces.postgres.tables import SharedTables


@pytest.fixture(params=["file", "shared"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    """Conversations in this machine's file, and in the tables that machines share."""
    if request.param == "file":
        memory = Memory(tmp_path / "conversations.sqlite")
    else:
        memory = Memory(SharedTables(request.getfixturevalue("postgres").fresh(), TABLES))
    yield memory
    memory.close()


def say(memory: Memory, conversation: str, turn: str, question: str, user: str = "ada") -> None:
    answer = Answer(turn, conversation, "answered", f"About {question} [1].", (), (), {}, None, None, None)
    memory.remember(user, None, question, answer)


def asked(memory: Memory, conversation: str = "c") -> list[str]:
    return [turn["question"] for turn in memory.conversation("ada", conversation) or []]


def listed(memory: Memory, **more: str) -> list[str]:
    return [row["title"] for row in memory.history.conversations("ada", **more)]  # type: ignore[arg-type]


def test_names_and_pins_are_the_users_own(memory: Memory) -> None:
    say(memory, "c1", "01", "Grinding")
    say(memory, "c2", "02", "Rinsing")
    history = memory.history
    assert listed(memory) == ["Rinsing", "Grinding"]
    assert history.label("ada", "c1", title="  The\n grinder ", pinned=True)
    assert listed(memory) == ["The grinder", "Rinsing"]
    assert history.label("ada", "c1", title="", pinned=False)
    assert listed(memory) == ["Rinsing", "Grinding"]
    assert not history.label("bob", "c1", title="Mine now")
    assert not history.label("ada", "c9", pinned=True)
    assert history.title("bob", "c1") is None


def test_search_reads_titles_questions_and_answers(memory: Memory) -> None:
    say(memory, "c1", "01", "Choosing a grind")
    say(memory, "c1", "02", "How fine?")
    say(memory, "c2", "03", "Rinsing 100 % of it")
    say(memory, "c3", "04", "Grind of somebody else", user="bob")
    memory.history.label("ada", "c2", title="Weekly cleaning")
    assert listed(memory, search="FINE grind") == ["Choosing a grind"]
    assert listed(memory, search="weekly") == ["Weekly cleaning"]
    assert listed(memory, search="100 %") == ["Weekly cleaning"]
    assert listed(memory, search="tea") == []


def test_an_edited_question_leaves_its_version_to_go_back_to(memory: Memory) -> None:
    for turn, question in (("01", "a"), ("02", "b"), ("03", "c")):
        say(memory, "c", turn, question)
    history = memory.history
    assert history.set_aside("ada", "c", "02")
    say(memory, "c", "04", "b changed")
    assert asked(memory) == ["a", "b changed"]
    assert history.versions("ada", "c") == {"01": ["02"]}
    assert [m.text for m in memory.recall("ada", "c") if m.role == "user"] == ["a", "b changed"]
    assert history.show("ada", "c", "02")
    assert asked(memory) == ["a", "b", "c"]
    assert history.versions("ada", "c") == {"01": ["04"]}
    assert history.set_aside("ada", "c", "03")  # a version within a version
    say(memory, "c", "05", "c changed")
    assert history.show("ada", "c", "04")
    assert asked(memory) == ["a", "b changed"]
    assert history.show("ada", "c", "02")
    assert asked(memory) == ["a", "b", "c changed"]
    assert history.versions("ada", "c") == {"01": ["04"], "02": ["03"]}


def test_what_is_taken_back_takes_its_versions_along(memory: Memory) -> None:
    for turn, question in (("01", "a"), ("02", "b"), ("03", "c")):
        say(memory, "c", turn, question)
    memory.history.set_aside("ada", "c", "03")
    say(memory, "c", "04", "c changed")
    memory.history.set_aside("ada", "c", "02")
    say(memory, "c", "05", "b changed")
    assert memory.forget_from("ada", "c", "05")
    assert memory.history.versions("ada", "c") == {}
    assert asked(memory) == ["a"]


def test_nobody_moves_the_versions_of_somebody_else(memory: Memory) -> None:
    say(memory, "c", "01", "a")
    assert not memory.history.set_aside("bob", "c", "01")
    assert memory.history.set_aside("ada", "c", "01")
    assert not memory.history.show("bob", "c", "01")
    assert memory.history.versions("bob", "c") == {}


def test_deleting_leaves_nothing_behind(memory: Memory) -> None:
    say(memory, "c", "01", "a")
    say(memory, "c", "02", "b")
    memory.history.label("ada", "c", title="Secret", pinned=True)
    memory.history.share("ada", "c")
    memory.history.set_aside("ada", "c", "02")
    assert memory.forget("ada", "c")
    for table in ("exchanges", "labels", "aside", "shares"):
        assert memory._rows(f"select * from {table}") == [], table  # noqa: S608


def test_a_link_shows_the_conversation_as_it_was_until_it_ends(memory: Memory) -> None:
    now = [1000.0]
    history = History(memory._run, clock=lambda: now[0])
    say(memory, "c", "01", "a")
    token = history.share("ada", "c", seconds=60) or ""
    say(memory, "c", "02", "later, and private")
    shown = history.shared(token)
    assert shown is not None
    assert (shown[0], [turn["question"] for turn in shown[1]]) == ("a", ["a"])
    assert history.shared("guessed") is None
    assert history.share("bob", "c") is None
    now[0] += 61
    assert history.shared(token) is None
    again = history.share("ada", "c") or ""
    assert history.unshare("bob", "c") == 0
    assert history.shared(again) is not None
    assert history.unshare("ada", "c") == 2
    assert history.shared(again) is None
